// What must be true: a model of what is durable, kept from the records that were really written,
// against which every commit and every answer is checked.
//
// The invariants, by the names that violations begin with, are listed in README.md.
#ifndef RETORT_TESTS_SIM_ORACLE_H_
#define RETORT_TESTS_SIM_ORACLE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/clock.h"
#include "retort/v1/worker_service.pb.h"
#include "server/answer.h"
#include "server/core/decide.h"
#include "server/core/records.h"
#include "server/core/state.h"
#include "server/store/store.h"
#include "tests/sim/network.h"
#include "tests/sim/settings.h"
#include "tests/sim/world.h"

namespace retort::sim {

class Oracle {
 public:
  // A job as it is durable.
  struct Job {
    JobId id;
    uint64_t number = 0;
    core::JobKey teacher;
    core::JobRow row;
    std::vector<core::SweepKey> sweeps;
    std::optional<int32_t> result;       // attempt whose result is accepted
    std::optional<int32_t> last_result;  // the same, kept when it is withdrawn
    ArtifactHash weights;
    std::optional<core::TrainingCheckpoint> checkpoint;
    int32_t from_epoch = 0;  // where the latest attempt goes on
    int32_t ended = 0;       // latest attempt that was written to have ended
  };
  struct Sweep {
    std::string name;
    int64_t jobs = 0;
    int64_t members = 0;
    core::SweepRow row;
  };
  struct Worker {
    core::WorkerRow row;
    int live = 0;
    absl::Duration heard = -absl::InfiniteDuration();  // on the coordinator's clock
  };

  Oracle(World& world, const Settings& settings) : world_(world), settings_(settings) {}

  // One turn of the strand: when it was, whose Syncs it took, and how many records there were after
  // it, since its batch began.
  struct Turn {
    Now now;
    absl::Duration at = absl::ZeroDuration();  // true time
    std::vector<std::string> heard;
    size_t records = 0;
  };
  // The turns of a batch, before it is written; and that it was written or given up.
  void BeginBatch(std::vector<Turn> turns) { turns_ = std::move(turns); }
  void EndBatch();
  // Records that were written, and where.
  void OnCommit(const std::vector<const core::Record*>& records, const store::Reader& reader);

  // The coordinator's time from here on, and that it begins to serve.
  void SetTime(const Now& now) { now_ = now; }
  void OnServe();

  // What it says.
  void OnSyncReply(const std::string& worker, const core::SyncReply& reply);
  void OnMetricReply(const core::MetricReply& reply, const std::string& worker);
  void OnRequestReply(const std::string& request_id, const Answer& answer);
  // What a client heard of a request, as text; the same at every repetition.
  void OnClientHeard(const std::string& request_id, const std::string& answer);

  // What happens on workers. The link knows when network or machine were at fault.
  void AddWorker(const std::string& worker, const Link& link) { links_[worker] = &link; }
  // A runner is asked to stop, or killed, by an agent that goes on.
  void OnStopped(const std::string& worker, const std::string& job, int32_t attempt);

  // Everything at once: the state in memory, and what a restart would load.
  void CheckAll(const core::State& state, store::Store& store, const core::Options& options);

  // True if all jobs have ended but those that only paused sweeps want.
  bool AllEnded() const;
  std::string Open() const;  // some that have not, for people
  const std::map<core::JobKey, Job>& jobs() const { return jobs_; }
  const std::map<core::SweepKey, Sweep>& sweeps() const { return sweeps_; }
  const Job* FindJob(const JobId& id) const;

 private:
  void Do(const core::JobCreated& r);
  void Do(const core::JobChanged& r);
  void Do(const core::SweepCreated& r);
  void Do(const core::SweepChanged& r);
  void Do(const core::MemberAdded& r);
  void Do(const core::WorkerCreated& r);
  void Do(const core::WorkerChanged& r);
  void Do(const core::AttemptEnded& r);
  void Do(const core::ResultAccepted& r);
  void Do(const core::ResultWithdrawn& r);
  void Do(const core::CheckpointChanged& r);
  void Do(const core::PointsAdded& r);
  void Do(const core::PointsDeleted&) {}  // CheckSeries sees what is left
  void Do(const core::RequestAnswered& r);
  void Do(const core::RequestForgotten& r);
  void CheckLease(const Job& job, const core::JobRow& after);
  // Number, among all points that training gives, of the first that the latest attempt sends.
  static int64_t FirstPoint(const Job& job);
  void CheckSeries(const Job& job, const store::Reader& reader);
  bool IsCurrent(const Job& job, int32_t attempt, const std::string& worker) const;
  void Begin(const Turn& turn);
  void Fail(std::string_view invariant, const std::string& what);

  World& world_;
  const Settings& settings_;
  Now now_;
  absl::Duration at_ = absl::ZeroDuration();  // true time of what is looked at
  std::vector<Turn> turns_;
  absl::Duration serving_since_ = absl::ZeroDuration();
  std::map<core::JobKey, Job> jobs_;
  std::map<core::SweepKey, Sweep> sweeps_;
  std::map<core::WorkerKey, Worker> workers_;
  std::map<std::string, core::WorkerKey> worker_keys_;
  absl::flat_hash_map<JobId, core::JobKey> job_keys_;
  std::map<std::string, core::RequestAnswer> requests_;
  std::map<std::string, std::string> heard_;
  std::map<std::string, const Link*> links_;
  std::set<core::JobKey> succeeded_now_;  // in this commit
  std::set<core::WorkerKey> leased_now_;
};

}  // namespace retort::sim

#endif  // RETORT_TESTS_SIM_ORACLE_H_
