#include "server/upkeep/upkeep.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"
#include "server/upkeep/tasks.h"

namespace retort {
namespace {

constexpr absl::Duration kCollectPeriod = absl::Hours(1);
constexpr absl::Duration kAfterRefusal = absl::Minutes(5);
// The wall clock may drift so far from the monotonic one in an hour.
constexpr absl::Duration kMostDrift = absl::Minutes(1);

}  // namespace

class Upkeep::Running {
 public:
  Running(Upkeep& upkeep, Kind kind) : upkeep_(upkeep), kind_(kind) {}
  ~Running() {
    std::lock_guard lock(upkeep_.mutex_);
    upkeep_.running_.erase(kind_);
    upkeep_.wake_.notify_all();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

 private:
  Upkeep& upkeep_;
  const Kind kind_;
};

Upkeep::Upkeep(std::string folder, ArtifactStore& artifacts, const Clock& clock)
    : folder_(std::move(folder)), artifacts_(artifacts), clock_(clock) {
  const Now now = clock_.Read();
  clock_offset_ = (now.wall - absl::UnixEpoch()) - now.monotonic;
}

Upkeep::~Upkeep() { Stop(); }

void Upkeep::Stop() {
  std::unique_lock lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
  wake_.wait(lock, [this] { return running_.empty(); });
  lock.unlock();
  if (collector_.joinable()) collector_.join();
}

absl::StatusOr<std::unique_ptr<Upkeep::Running>> Upkeep::Begin(Kind kind) {
  std::lock_guard lock(mutex_);
  if (stopping_) return absl::UnavailableError("the coordinator is ending");
  if (running_.contains(kind)) {
    const char* name = kind == Kind::kBackup  ? "backup"
                       : kind == Kind::kCheck ? "check"
                                              : "collection";
    return absl::ResourceExhaustedError(
        absl::StrCat("another ", name, " runs; try again when it has ended"));
  }
  const bool others =
      kind == Kind::kCollect ? !running_.empty() : running_.contains(Kind::kCollect);
  if (others) {
    return absl::UnavailableError(
        kind == Kind::kCollect
            ? "a backup or a check runs, which needs the artifacts as they are; try again later"
            : "artifacts are being collected; try again in a moment");
  }
  running_.insert(kind);
  return std::make_unique<Running>(*this, kind);
}

UpkeepWatch Upkeep::Watched(const UpkeepWatch& watch) {
  UpkeepWatch watched = watch;
  watched.cancelled = [this, asked = watch.cancelled] {
    if (asked && asked()) return true;
    std::lock_guard lock(mutex_);
    return stopping_;
  };
  return watched;
}

absl::StatusOr<BackupReport> Upkeep::Backup(const std::string& target, const UpkeepWatch& watch) {
  RETORT_ASSIGN_OR_RETURN(const auto running, Begin(Kind::kBackup));
  return BackUpFolder(folder_, target, clock_.Read().wall, Watched(watch));
}

absl::StatusOr<CheckReport> Upkeep::Check(const CheckOptions& options, const UpkeepWatch& watch) {
  RETORT_ASSIGN_OR_RETURN(const auto running, Begin(Kind::kCheck));
  return CheckContent(folder_, options, Watched(watch));
}

absl::StatusOr<CollectReport> Upkeep::Collect(const CollectOptions& options,
                                              const UpkeepWatch& watch) {
  RETORT_ASSIGN_OR_RETURN(const auto running, Begin(Kind::kCollect));
  RETORT_RETURN_IF_ERROR(CheckClock());
  return CollectArtifacts(folder_ + "/retort.db", artifacts_, clock_.Read().wall, options,
                          Watched(watch));
}

// Pins are times of the wall clock. One that was set forward would make them all look old.
absl::Status Upkeep::CheckClock() {
  const Now now = clock_.Read();
  const absl::Duration offset = (now.wall - absl::UnixEpoch()) - now.monotonic;
  std::lock_guard lock(mutex_);
  if (absl::AbsDuration(offset - clock_offset_) > kMostDrift) steady_since_ = now.monotonic;
  clock_offset_ = offset;
  if (now.monotonic - steady_since_ >= kPinTime) return absl::OkStatus();
  return absl::UnavailableError(
      "the machine's clock was set within the last hour, so that it is not known which artifacts "
      "somebody asked for since; try again in an hour");
}

void Upkeep::StartCollecting() {
  collector_ = std::thread([this] { RunCollector(); });
}

void Upkeep::RunCollector() {
  absl::Duration pause = kCollectPeriod;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, absl::ToChronoNanoseconds(pause), [this] { return stopping_; });
      if (stopping_) return;
    }
    const auto report = Collect({});
    pause = report.ok() ? kCollectPeriod : kAfterRefusal;
    if (!report.ok()) {
      spdlog::warn("artifacts not collected: {}", MessageOf(report.status()));
    } else if (report->taken + report->removed + report->put_back + report->partial_removed > 0) {
      spdlog::info(
          "collected: {} artifacts ({} bytes) to the trash, {} ({} bytes) removed from it, {} put "
          "back, {} unfinished uploads removed",
          report->taken, report->taken_bytes, report->removed, report->removed_bytes,
          report->put_back, report->partial_removed);
    }
  }
}

}  // namespace retort
