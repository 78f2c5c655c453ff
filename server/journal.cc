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

  void operator()(const core::AttemptWritten& attempt) const {
    const bool failed = attempt.end_ms > 0 && attempt.cause != core::FailureCause::kNone;
    if (!failed && !debug_) return;
    const std::string job = state_.job(attempt.job).id.hex();
    const std::string& worker = state_.worker(attempt.worker).row.name;
    const LogAbout about({.worker = worker, .job = job, .attempt = attempt.number});
    const std::string name = job.substr(0, 12) + "/" + std::to_string(attempt.number);
    if (failed) {
      spdlog::warn("attempt {} on {} failed: {}: {}; the job is {}", name, worker,
                   Word(v1::FailureCause_descriptor(), attempt.cause), attempt.message,
                   Word(v1::JobState_descriptor(), state_.job(attempt.job).row.state));
    } else {
      spdlog::debug("attempt {} on {} {}", name, worker,
                    attempt.end_ms > 0     ? "has a result"
                    : attempt.start_ms > 0 ? "runs"
                                           : "is leased");
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
