// The loop around the pure core: decide, commit, publish.
//
// One thread, the strand, owns the state and the store's writing side. It takes what came in since
// the last commit as one batch, decides on each input (applied at once, so that later ones see it),
// commits all records in one transaction, and only then sends the replies. Where a commit failed
// nobody learns of what it would have written.
#ifndef RETORT_SERVER_COORDINATOR_H_
#define RETORT_SERVER_COORDINATOR_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "retort/v1/spec.pb.h"
#include "server/core/decide.h"
#include "server/core/state.h"
#include "server/progress.h"
#include "server/store/store.h"

namespace retort {

struct CoordinatorOptions {
  core::Options core;
  int64_t max_jobs = 1'000'000;                            // of one sweep
  size_t max_inbox = 20'000;                               // inputs that wait; more are refused
  size_t max_batch = 1'000;                                // inputs of one commit
  absl::Duration first_backoff = absl::Milliseconds(100);  // after a failed commit, doubling
  absl::Duration most_backoff = absl::Seconds(5);
};

// What a caller hears once the commit is done; monostate where there is nothing to say.
using Answer = std::variant<std::monostate, core::SyncReply, core::MetricReply, core::SweepReply,
                            core::JobsReply, core::WorkerReply>;
// Called exactly once, by the strand or by the poster itself; must not block. Errors are those of
// core/decide.h and UNAVAILABLE: overloaded, ending, or a commit whose outcome is not known;
// RESOURCE_EXHAUSTED: the disk is full.
using AnswerDone = std::function<void(absl::StatusOr<Answer>)>;

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
  // Puts an input into the inbox. Its token, where it has none yet, is chosen here.
  void Post(core::Input input, AnswerDone done);
  // The caller of a Sync has gone: its `done` is called, with CANCELLED if it was still held back.
  void ForgetSync(core::Token token, const std::string& worker);
  // Runs `look` on the strand, for what only the state knows. `done` follows as for Post.
  void Inspect(std::function<void(const core::State&)> look, AnswerDone done);

  // Expands the sweep off the strand and creates it (core::BeginSweep, core::SweepChunk). Answers
  // with a SweepReply when its last job is durable.
  void CreateSweep(const std::string& request_id, std::shared_ptr<const v1::SweepSpec> spec,
                   AnswerDone done);

  // What changes too often to be written down, at most kProgressAge old.
  std::shared_ptr<const Progress> progress() const;
  // Grows with each commit.
  uint64_t commits() const { return commits_.load(std::memory_order_acquire); }

 private:
  struct Item {
    core::Token token = 0;
    core::Input input = {};
    std::function<void(const core::State&)> look = nullptr;  // instead of an input
    core::Token forget = 0;                                  // of a SyncGone
  };
  struct Step {
    core::Token token = 0;
    core::Decision decision;
  };
  struct Batch {
    std::vector<Step> steps;                                    // in order of decision
    std::vector<std::pair<core::Token, absl::Status>> refused;  // by Decide
  };
  // A sweep to expand: a new one, or (with a key) one that a restart interrupted.
  struct Expansion {
    std::string request_id = {};
    std::shared_ptr<const v1::SweepSpec> spec = nullptr;
    AnswerDone done = nullptr;
    core::SweepKey resume = {};
  };

  absl::Status LoadState();
  void Enqueue(Item item, AnswerDone done);

  // The strand.
  void RunStrand();
  std::vector<Item> TakeInbox();
  void RunBatch(std::vector<Item> items);
  void DecideOn(const Item& item, const Now& now, Batch& batch);
  void Publish(const std::vector<Item>& items, Batch& batch);
  void RecoverFromFailure(const std::vector<Item>& items, Batch& batch, const absl::Status& status,
                          const Now& now);
  void Reload(const absl::Status& status);
  void Reply(core::Token token, absl::StatusOr<Answer> answer);
  void FailAll(const absl::Status& status);
  void PublishProgress(const Now& now);
  bool WaitFor(absl::Duration time);

  // The expander.
  void RunExpander();
  absl::StatusOr<Answer> Expand(const Expansion& expansion);
  absl::StatusOr<Answer> SendChunks(core::SweepKey sweep, std::vector<core::NewJob> jobs);
  absl::StatusOr<Answer> PostAndWait(core::Input input);

  store::Store& store_;
  const Clock& clock_;
  const CoordinatorOptions options_;
  std::atomic<uint64_t> commits_{0};
  std::atomic<core::Token> last_token_{0};

  // The strand's own.
  core::State state_;
  int failures_ = 0;                                           // commits in a row that failed
  absl::Duration no_wake_before_ = -absl::InfiniteDuration();  // timers wait after a failed commit
  absl::Duration next_progress_ = -absl::InfiniteDuration();
  bool progress_stale_ = true;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::condition_variable wake_;           // the strand's alone
  std::condition_variable expander_wake_;  // and of whoever waits for the end
  std::deque<Item> inbox_;
  absl::flat_hash_map<core::Token, AnswerDone> waiting_;
  std::deque<Expansion> expansions_;
  std::shared_ptr<const Progress> progress_;
  bool serving_ = false;  // false before Start, while the store is reopened, and at the end
  bool stopping_ = false;

  std::thread strand_;
  std::thread expander_;
};

}  // namespace retort

#endif  // RETORT_SERVER_COORDINATOR_H_
