#include "server/journal.h"

#include <string>
#include <variant>

#include "common/fields.h"
#include "common/log.h"
#include "retort/v1/resources.pb.h"

namespace retort {
namespace {

// Of a proto enumeration that the core's has the numbers of: `out_of_memory`.
template <typename Enum>
std::string Word(const google::protobuf::EnumDescriptor* type, Enum value) {
  return EnumWord(*type, static_cast<int>(value));
}

class Lines {
 public:
  Lines(const core::State& state, bool debug) : state_(state), debug_(debug) {}

  void operator()(const core::JobChanged& job) const {
    if (!debug_) return;
    const bool leased = job.after.attempt != job.before.attempt;
    const bool runs = job.after.start_ms > 0 && job.before.start_ms == 0;
    if (!leased && !runs) return;
    const Attempt attempt(state_, job.key, job.after.attempt, job.after.worker);
    spdlog::debug("attempt {} on {} {}", attempt.name, attempt.worker, runs ? "runs" : "is leased");
  }

  void operator()(const core::AttemptEnded& ended) const {
    const bool failed = ended.cause != core::FailureCause::kNone;
    if (!failed && !debug_) return;
    const Attempt attempt(state_, ended.job, ended.number, ended.worker);
    if (failed) {
      spdlog::warn("attempt {} on {} failed: {}: {}; the job is {}", attempt.name, attempt.worker,
                   Word(v1::FailureCause_descriptor(), ended.cause), ended.message,
                   Word(v1::JobState_descriptor(), state_.job(ended.job).row.state));
    } else {
      spdlog::debug("attempt {} on {} has a result", attempt.name, attempt.worker);
    }
  }

  void operator()(const core::SweepChanged& sweep) const {
    if (sweep.before.state == sweep.after.state) return;
    const std::string& name = state_.sweep(sweep.key).fixed.name;
    const LogAbout about({.sweep = name});
    spdlog::info("sweep {} is {}{}", name, Word(v1::SweepState_descriptor(), sweep.after.state),
                 Because(sweep.after.reason));
  }

  void operator()(const core::WorkerCreated& worker) const {
    const LogAbout about({.worker = worker.row.name});
    spdlog::info("worker {} is new: {} slots, version {}", worker.row.name, worker.row.slots.size(),
                 worker.row.version);
  }

  void operator()(const core::WorkerChanged& worker) const {
    const core::WorkerRow& row = worker.after;
    const LogAbout about({.worker = row.name});
    if (worker.before.incarnation != row.incarnation) {
      spdlog::info("worker {} was started again", row.name);
    }
    if (worker.before.away != row.away) {
      spdlog::info("worker {} {}", row.name, row.away ? "is away" : "is back");
    }
    if (worker.before.state == row.state) return;
    spdlog::log(
        row.state == core::WorkerState::kQuarantined ? spdlog::level::warn : spdlog::level::info,
        "worker {} is {}{}", row.name, Word(v1::WorkerState_descriptor(), row.state),
        Because(row.reason));
  }

  template <typename Other>
  void operator()(const Other&) const {}

 private:
  // What lines of an attempt say, and have as fields while this lives.
  struct Attempt {
    Attempt(const core::State& state, core::JobKey key, int32_t number, core::WorkerKey on)
        : worker(state.worker(on).row.name),
          job(state.job(key).id.hex()),
          name(job.substr(0, 12) + "/" + std::to_string(number)),
          about({.worker = worker, .job = job, .attempt = number}) {}

    const std::string& worker;
    const std::string job;
    const std::string name;
    const LogAbout about;
  };

  static std::string Because(const std::string& reason) {
    return reason.empty() ? "" : ": " + reason;
  }

  const core::State& state_;
  const bool debug_;
};

}  // namespace

void LogChanges(const core::State& state, const std::vector<const core::Record*>& records) {
  const spdlog::logger& log = *spdlog::default_logger_raw();
  if (!log.should_log(spdlog::level::warn)) return;
  const Lines lines(state, log.should_log(spdlog::level::debug));
  for (const core::Record* record : records) std::visit(lines, *record);
}

}  // namespace retort
