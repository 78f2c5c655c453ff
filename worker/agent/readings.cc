#include "worker/agent/readings.h"

#include "common/fields.h"

namespace retort {
namespace {

using Values = std::vector<Reading::Value>;

double Number(int64_t count) { return static_cast<double>(count); }

Values OutcomesOf(const AgentCounts& agent) {
  Values values = {{"outcome", "succeeded", Number(agent.succeeded)},
                   {"outcome", "not_wanted", Number(agent.not_wanted)}};
  for (int cause = v1::FailureCause_MIN + 1; cause <= v1::FailureCause_MAX; ++cause) {
    const auto found = agent.failed.find(static_cast<v1::FailureCause>(cause));
    values.push_back({"outcome", EnumWord(*v1::FailureCause_descriptor(), cause),
                      found == agent.failed.end() ? 0 : Number(found->second)});
  }
  return values;
}

}  // namespace

std::vector<Reading> ReadingsOf(const std::function<WorkerCounts()>& counts) {
  const auto reading = [&](const char* name, const char* help, bool counter, auto values) {
    return Reading{name, help, counter, [counts, values] { return values(counts()); }};
  };
  constexpr bool kCounter = true;
  constexpr bool kGauge = false;
  return {
      reading("retort_worker_slots", "Slots, busy and free.", kGauge,
              [](const WorkerCounts& c) {
                return Values{{"state", "busy", Number(c.agent.slots_busy)},
                              {"state", "free", Number(c.agent.slots - c.agent.slots_busy)}};
              }),
      reading("retort_worker_attempts",
              "Attempts: fetching their inputs, running, settling (uploads and points under way), "
              "reported and not yet acknowledged.",
              kGauge,
              [](const WorkerCounts& c) {
                return Values{{"phase", "fetching", Number(c.agent.fetching)},
                              {"phase", "running", Number(c.agent.running)},
                              {"phase", "settling", Number(c.agent.settling)},
                              {"phase", "reported", Number(c.agent.reported)}};
              }),
      reading("retort_worker_attempts_ended_total",
              "Attempts that ended here: succeeded, failed by cause, or not wanted any more.",
              kCounter, [](const WorkerCounts& c) { return OutcomesOf(c.agent); }),
      reading("retort_worker_runner_restarts_total",
              "Runners that took the place of another one of their slot.", kCounter,
              [](const WorkerCounts& c) {
                return Values{{"", "", Number(c.runner_restarts)}};
              }),
      reading("retort_worker_runner_exits_total", "Runners that left while they had a job.",
              kCounter,
              [](const WorkerCounts& c) {
                return Values{{"", "", Number(c.agent.runner_exits)}};
              }),
      reading("retort_worker_syncs_total", "Syncs that were answered, and that failed.", kCounter,
              [](const WorkerCounts& c) {
                return Values{{"outcome", "answered", Number(c.agent.syncs_answered)},
                              {"outcome", "failed", Number(c.agent.syncs_failed)}};
              }),
      reading("retort_worker_metric_points_total",
              "Points that runners sent, and that the coordinator has made durable.", kCounter,
              [](const WorkerCounts& c) {
                return Values{{"step", "spooled", Number(c.agent.points_spooled)},
                              {"step", "durable", Number(c.agent.points_durable)}};
              }),
      reading("retort_worker_spool_bytes", "Points on the disk that wait for the coordinator.",
              kGauge,
              [](const WorkerCounts& c) {
                return Values{{"", "", Number(c.spool_bytes)}};
              }),
      reading("retort_worker_artifact_bytes_total", "Bytes of artifacts fetched and uploaded.",
              kCounter,
              [](const WorkerCounts& c) {
                return Values{{"direction", "in", Number(c.artifact_bytes_in)},
                              {"direction", "out", Number(c.artifact_bytes_out)}};
              }),
  };
}

}  // namespace retort
