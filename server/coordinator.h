// The loop around the pure core: threads and an inbox around the strand and the expander.
//
// One thread, the strand's, owns the state (server/strand.h). A second commits what it decided, so
// that it can decide on the next batch meanwhile; a third expands sweeps (server/expander.h). What
// comes in waits in lanes that are bounded each, so that a flood of one kind neither fills the
// others' room nor keeps them waiting.
#ifndef RETORT_SERVER_COORDINATOR_H_
#define RETORT_SERVER_COORDINATOR_H_

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "retort/v1/spec.pb.h"
#include "server/answer.h"
#include "server/core/decide.h"
#include "server/core/state.h"
#include "server/expander.h"
#include "server/progress.h"
#include "server/store/store.h"
#include "server/strand.h"

namespace retort {

struct CoordinatorOptions {
  core::Options core;
  int64_t max_jobs = 1'000'000;                            // of one sweep
  size_t max_inbox = 20'000;                               // inputs that wait in one lane
  size_t max_batch = 1'000;                                // inputs of one commit
  absl::Duration first_backoff = absl::Milliseconds(100);  // after a failed commit, doubling
  absl::Duration most_backoff = absl::Seconds(5);
  absl::Duration patience = absl::Seconds(5);  // ExpanderOptions::patience
  Journal journal;                             // StrandOptions::journal
};

// Threads: any, but Start, Stop and the destructor: one.
class Coordinator {
 public:
  // The store and the clock outlive the coordinator.
  Coordinator(store::Store& store, const Clock& clock, const CoordinatorOptions& options);
  ~Coordinator();

  // Loads the state and starts the threads. Errors of Store::Load.
  absl::Status Start();
  // Answers everybody who waits with UNAVAILABLE, commits nothing more, ends the threads. What was
  // committed is durable.
  void Stop();

  // A token for Post, never given before.
  core::Token NewToken() { return ++last_token_; }
  // Puts an input into the inbox. Its token, where it has none yet, is chosen here. `done` is
  // called by the strand, or from inside if the input is refused. `over`, if any, is asked when its
  // turn has come: if true `done` is called with CANCELLED, and nothing is changed.
  void Post(core::Input input, AnswerDone done, std::function<bool()> over = nullptr);
  // The caller of a Sync has gone: its `done` is called, with CANCELLED if it was still held back.
  void ForgetSync(core::Token token, const std::string& worker);
  // Runs `look` on the strand, for what only the state knows; again, if a commit fails whose
  // changes it saw (Strand::Item). `done` follows as for Post.
  void Inspect(std::function<void(const core::State&)> look, AnswerDone done);

  // Expands the sweep off the strand and creates it (Expander::Create).
  void CreateSweep(const std::string& request_id, std::shared_ptr<const v1::SweepSpec> spec,
                   AnswerDone done);

  // What changes too often to be written down, at most kProgressAge old. Who asks after a pause
  // waits for the strand, as long as that at most, and then gets what there is.
  std::shared_ptr<const Progress> progress() const;
  // Inputs that wait for the strand, of each lane: syncs, streams, requests. Threads: any.
  std::array<size_t, 3> waiting() const;
  // Syncs that came in. Threads: any.
  uint64_t syncs() const { return syncs_.load(std::memory_order_relaxed); }
  // Grows with each commit.
  uint64_t commits() const { return commits_.load(std::memory_order_acquire); }

 private:
  using Item = Strand::Item;
  // Who waits behind whom: Syncs of workers; their streams (metrics, logs); everybody else.
  enum Lane { kSyncs, kStreams, kRequests };
  static constexpr size_t kLanes = 3;

  static Lane LaneOf(const Item& item);
  void Enqueue(Item item, AnswerDone done);
  bool InboxEmpty() const;
  static std::vector<AnswerDone> Waiting(std::deque<Item>& lane);

  // The strand's thread, and the one that commits for it, so that the next batch is decided on
  // meanwhile.
  void RunStrand();
  void RunCommits();
  // What the strand has to do next; waits for it.
  struct Work {
    std::vector<Item> items;
    std::optional<store::CommitResult> committed;
    bool progress_asked = false;
    bool stopping = false;
  };
  Work NextWork();
  // Under mutex_: when to go to work, monotonic; in the past if there is work now.
  absl::Duration WorkAt() const;
  void TakeInbox(Work& work);
  void CommitNext();
  void OpenAgain(const Now& now);
  void PublishProgress(const Now& now);

  // The expander's thread, and what others hand to it.
  void RunExpander();
  void TellExpander(std::function<void(const Now&)> event);
  void PostForExpander(core::Input input, Expander::Then then);

  store::Store& store_;  // the thread's that commits, and the strand's while none is under way
  const Clock& clock_;
  const CoordinatorOptions options_;
  std::atomic<uint64_t> commits_{0};
  std::atomic<uint64_t> syncs_{0};
  std::atomic<core::Token> last_token_{0};

  // The strand's thread's own.
  Strand core_;
  uint64_t shown_decisions_ = 0;  // what progress_ tells of

  // The expander's thread's own.
  Expander expander_;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  mutable std::condition_variable wake_;   // the strand's alone
  std::condition_variable commit_wake_;    // of the thread that commits
  std::condition_variable expander_wake_;  // the expander's alone
  std::array<std::deque<Item>, kLanes> inbox_;
  // When the strand takes what is in the inbox, monotonic: at once, unless nothing is urgent.
  absl::Duration take_at_ = absl::InfiniteDuration();
  std::deque<std::function<void(const Now&)>> expander_inbox_;
  size_t new_sweeps_ = 0;                         // in expander_inbox_
  const Strand::Records* to_commit_ = nullptr;    // kept by the strand
  std::optional<store::CommitResult> committed_;  // until the strand takes it
  bool no_more_commits_ = false;
  std::shared_ptr<const Progress> progress_;
  absl::Duration progress_at_ = -absl::InfiniteDuration();  // monotonic, when it was so
  mutable bool progress_asked_ = false;                     // somebody waits for a newer one
  mutable std::condition_variable progress_made_;
  bool serving_ = false;
  bool stopping_ = false;

  std::thread strand_thread_;
  std::thread commit_thread_;
  std::thread expander_thread_;
};

}  // namespace retort

#endif  // RETORT_SERVER_COORDINATOR_H_
