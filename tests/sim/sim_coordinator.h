// The coordinator's machine: the real strand, expander, core and conversions, without threads.
#ifndef RETORT_TESTS_SIM_SIM_COORDINATOR_H_
#define RETORT_TESTS_SIM_SIM_COORDINATOR_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "retort/v1/sweep_service.pb.h"
#include "retort/v1/worker_service.pb.h"
#include "server/expander.h"
#include "server/strand.h"
#include "tests/sim/network.h"
#include "tests/sim/oracle.h"
#include "tests/sim/settings.h"
#include "tests/sim/sim_store.h"
#include "tests/sim/world.h"

namespace retort::sim {

// Longest commit of a healthy disk.
inline constexpr absl::Duration kQuickCommit = absl::Milliseconds(5);

template <typename Reply>
using Respond = std::function<void(absl::StatusOr<Reply>)>;

class SimCoordinator {
 public:
  SimCoordinator(World& world, const Settings& settings, SimStore& store, Oracle& oracle);

  Node& node() { return node_; }
  void Start();
  // kill -9; starts again after a while.
  void Crash();
  void Suspend(absl::Duration time) { node_.Suspend(time); }
  // Commits take up to this long from now on.
  void SetCommitTime(absl::Duration most) { most_commit_ = most; }
  // Who is told when the process dies.
  void AddLink(Link& link) { links_.push_back(&link); }

  // The services, called on the node. Answers are given unless the process dies before.
  // `token` is set to what ForgetSync wants.
  void Sync(const v1::SyncRequest& request, const std::shared_ptr<core::Token>& token,
            Respond<v1::SyncResponse> respond);
  void ForgetSync(core::Token token, const std::string& worker);
  void Metrics(const v1::MetricBatch& batch, Respond<v1::MetricAck> respond);
  void Log(const v1::LogChunk& chunk, Respond<v1::LogAck> respond);
  void CreateSweep(const std::string& request_id, const v1::SweepSpec& spec,
                   Respond<Answer> respond);
  void Change(const std::string& request_id, absl::StatusOr<core::Input> input,
              Respond<Answer> respond);

  // Artifacts: files on its disk, by hexadecimal hash.
  bool Holds(const std::string& hash) const { return artifacts_.contains(hash); }
  void TakeArtifact(const std::string& hash) { artifacts_.insert(hash); }
  absl::Status Download(const std::vector<std::string>& hashes);
  // Takes away the weights of some job. False if there are none.
  bool LoseArtifact(bool noticed);

  // Null while it is down, or opens its database.
  const core::State* state() const;
  // False while something is decided that is not written yet.
  bool settled() const { return strand_->settled(); }
  const core::Options& options() const { return options_.core; }

 private:
  void Post(core::Input input, AnswerDone done);
  void Enqueue(Strand::Item item, AnswerDone done);
  void Poke();
  void Run();
  std::vector<Strand::Item> TakeBatch();
  // Workers whose Syncs the strand will take.
  std::vector<std::string> HeardIn(const std::vector<Strand::Item>& items) const;
  // The thread that commits: written at once or at the end, known at the end.
  void BeginCommit();
  store::CommitResult Commit(const Strand::Records& records, std::vector<Oracle::Turn> turns);
  void EndCommit(const store::CommitResult& result);
  void Expand();
  void PokeExpander();
  // What the process says once the commit is done; nothing if it died.
  AnswerDone AfterCommit(AnswerDone done);
  void Watch(core::Token token, const std::string& worker, absl::Duration time, bool suspected);
  absl::StatusOr<v1::SyncResponse> ToResponse(const core::SyncReply& reply);

  World& world_;
  const Settings& settings_;
  SimStore& store_;
  Oracle& oracle_;
  Node node_;
  StrandOptions options_;
  std::set<std::string> artifacts_;
  std::vector<Link*> links_;
  absl::Duration most_commit_ = kQuickCommit;
  absl::Duration settling_until_ = absl::ZeroDuration();  // after trouble with the disk

  // Of the process.
  std::unique_ptr<Strand> strand_;
  std::unique_ptr<Expander> expander_;
  // Not begun anew by a restart: a cancellation that is still on its way names a token of before,
  // which in truth goes to a process that is gone.
  core::Token last_token_ = 0;
  std::deque<Strand::Item> inbox_;
  absl::Duration take_at_ = absl::InfiniteDuration();  // true time, when to look into it
  std::vector<Oracle::Turn> turns_;                    // of the open batch
  absl::Duration busy_until_ = absl::ZeroDuration();
  absl::Duration run_at_ = absl::InfiniteDuration();
  absl::Duration expand_at_ = absl::InfiniteDuration();
  std::set<core::Token> unanswered_;  // Syncs
  std::map<std::string, int64_t> logs_;
};

}  // namespace retort::sim

#endif  // RETORT_TESTS_SIM_SIM_COORDINATOR_H_
