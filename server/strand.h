// The heart of the coordinator: decide on a batch, commit it, and only then answer.
//
// Everything that came in since the last commit is one batch: each input is decided on and applied
// at once, so that later ones see it; all records go into one transaction; then the replies are
// sent. Where a commit failed nobody learns of what it would have written.
//
// It has no thread, no clock and no randomness: whoever drives it (server/coordinator.h, the
// simulation) hands it inputs with the time, and calls it again at NextWake.
#ifndef RETORT_SERVER_STRAND_H_
#define RETORT_SERVER_STRAND_H_

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "server/answer.h"
#include "server/core/decide.h"
#include "server/core/state.h"
#include "server/store/store.h"

namespace retort {

// Told what was committed, and the state after it; nothing has been answered yet.
using Journal = std::function<void(const core::State&, const std::vector<const core::Record*>&)>;

struct StrandOptions {
  core::Options core;
  absl::Duration first_backoff = absl::Milliseconds(100);  // after a failed commit, doubling
  absl::Duration most_backoff = absl::Seconds(5);
  Journal journal;  // may be empty
};

// Threads: one at a time.
class Strand {
 public:
  // An input, with the caller who waits for its answer; or a look at the state.
  struct Item {
    core::Token token = 0;  // the input's own; never 0, never used before
    core::Input input = {};
    AnswerDone done = nullptr;  // nobody waits if null
    // Instead of an input. Called again if the commit fails whose changes it saw: what counts is
    // what it found the last time.
    std::function<void(const core::State&)> look = nullptr;
    core::Token forget = 0;  // of a SyncGone
    // True if nobody waits any more: then `done` is called with CANCELLED, and nothing else is
    // done.
    std::function<bool()> over = nullptr;  // asked once, by Run
  };

  // The store outlives the strand.
  Strand(store::Store& store, const StrandOptions& options);

  // Reads the state from the store; after an unknown outcome opens the store again before. After an
  // error NextWake says when to try again. Errors of Store::Reopen and Store::Load.
  absl::Status Load(const Now& now);
  // After Load: goes to work. Leases get a full new term from `now`.
  void Serve(const Now& now);
  // False before Serve, and from an unknown outcome until the next Serve.
  bool serving() const { return serving_; }

  // Decides on the items that are not over, in order, then on what time made due; commits; answers.
  // While not serving the items are refused with UNAVAILABLE.
  void Run(std::vector<Item> items, const Now& now);
  // Answers everybody who still waits with this error.
  void FailAll(const absl::Status& status);

  // When to call Run, or Load while not serving, at the latest; monotonic, in the past if at once.
  absl::Duration NextWake() const;
  // Sweeps whose expansion was interrupted: somebody has to send their chunks.
  std::vector<core::SweepKey> Expanding() const;

  const core::State& state() const { return state_; }
  // Grows with each commit, and with each new start from the store.
  uint64_t commits() const { return commits_; }
  // Grows with each decision.
  uint64_t decisions() const { return decisions_; }

 private:
  struct Step {
    core::Token token = 0;
    core::Decision decision;
  };
  struct Batch {
    std::vector<Step> steps;                                    // in order of decision
    std::vector<std::pair<core::Token, absl::Status>> refused;  // by Decide
  };

  // Drops what is over; keeps who waits for the others.
  void Admit(std::vector<Item>& items);
  void DecideOn(const Item& item, const Now& now, Batch& batch);
  void HoldLeases(const Now& now);
  void WakeUp(const Now& now, Batch& batch);
  // False if the outcome is not known: then nothing more is said of the batch.
  bool Commit(const std::vector<Item>& items, Batch& batch, const Now& now);
  void Publish(const std::vector<Item>& items, Batch& batch);
  void TakeBack(const std::vector<Item>& items, Batch& batch, const absl::Status& status,
                const Now& now);
  void Close(const absl::Status& status, const Now& now);
  void Reply(core::Token token, absl::StatusOr<Answer> answer);
  absl::Duration NextBackoff();

  store::Store& store_;
  const StrandOptions options_;
  core::State state_;
  absl::flat_hash_map<core::Token, AnswerDone> waiting_;
  bool serving_ = false;
  bool broken_ = false;  // the store has to be opened again
  int failures_ = 0;     // commits, or tries to open the store, in a row that failed
  absl::Duration load_at_ = -absl::InfiniteDuration();         // while not serving
  absl::Duration no_wake_before_ = -absl::InfiniteDuration();  // timers wait after a failed commit
  absl::Duration held_until_ = absl::ZeroDuration();           // leases, while commits fail
  uint64_t commits_ = 0;
  uint64_t decisions_ = 0;
};

}  // namespace retort

#endif  // RETORT_SERVER_STRAND_H_
