// The heart of the coordinator: decide on a batch, commit it, and only then answer.
//
// Everything that came in since the last commit began is one batch: each input is decided on and
// applied at once, so that later ones see it; all records go into one transaction; then the replies
// are sent. Where a commit failed nobody learns of what it would have written.
//
//   Take ──▶ open batch ──BeginCommit──▶ batch under way ──EndCommit──▶ Publish: replies
//
// While one batch is committed the next is decided on, upon a state that is not durable yet: no
// answer leaves before all that was decided before it is. If the commit fails both batches are
// taken back.
//
// It has no thread, no clock and no randomness: whoever drives it (server/coordinator.h, the
// simulation) hands it inputs with the time, commits what it says, and calls it again at NextWake.
#ifndef RETORT_SERVER_STRAND_H_
#define RETORT_SERVER_STRAND_H_

#include <cstddef>
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

// Told what was committed, and the state, which may be ahead of it by the next batch; nothing has
// been answered yet.
using Journal = std::function<void(const core::State&, const std::vector<const core::Record*>&)>;

// How long whoever drives the strand lets inputs gather that are not urgent: two thousand workers
// that say each few seconds that all goes on wake it up twenty times a second then and not four
// hundred times.
inline constexpr absl::Duration kGather = absl::Milliseconds(50);
// False if nobody is the worse for it when the input waits that long: a worker's Sync that reports
// nothing but that its jobs go on, and asks for none.
bool IsUrgent(const core::Input& input);

struct StrandOptions {
  core::Options core;
  absl::Duration first_backoff = absl::Milliseconds(100);  // after a failed commit, doubling
  absl::Duration most_backoff = absl::Seconds(5);
  size_t max_batch = 1000;  // inputs of one commit
  Journal journal;          // may be empty
};

// Threads: one at a time.
class Strand {
 public:
  // An input, with the caller who waits for its answer; or a look at the state.
  struct Item {
    core::Token token = 0;  // the input's own; never 0, never used before
    core::Input input = {};
    AnswerDone done = nullptr;  // nobody waits if null
    // Instead of an input. Called again if a commit fails whose changes it saw: what counts is what
    // it found the last time.
    std::function<void(const core::State&)> look = nullptr;
    core::Token forget = 0;  // of a SyncGone
    // True if nobody waits any more: then `done` is called with CANCELLED, and nothing else is
    // done.
    std::function<bool()> over = nullptr;  // asked once, by Take
  };
  using Records = std::vector<const core::Record*>;

  // The store outlives the strand, which loads from it; committing is for who drives the strand.
  Strand(store::Store& store, const StrandOptions& options);

  // Reads the state from the store; after an unknown outcome opens the store again before. After an
  // error NextWake says when to try again. Errors of Store::Reopen and Store::Load. Not while a
  // commit is under way.
  absl::Status Load(const Now& now);
  // After Load: goes to work. Leases get a full new term from `now`.
  void Serve(const Now& now);
  // False before Serve, and from an unknown outcome until the next Serve.
  bool serving() const { return serving_; }

  // Inputs that Take may be given now; 0 while it has to wait for a commit.
  size_t Room() const;
  // Decides on the items that are not over, in order, then on what time made due; they join the
  // open batch. While not serving the items are refused with UNAVAILABLE.
  void Take(std::vector<Item> items, const Now& now);
  // What the open batch wants to have written, which is under way from now on; valid until
  // EndCommit. Null if it writes nothing, or another commit is under way.
  const Records* BeginCommit();
  // How it ended. After anything but kDone, what was decided since it began is taken back too.
  void EndCommit(const store::CommitResult& result, const Now& now);
  // Answers those whose batch is durable, or was refused.
  void Publish();
  // Answers everybody who still waits with this error.
  void FailAll(const absl::Status& status);

  // True if all that was decided is durable.
  bool settled() const { return !committing() && open_.records.empty(); }
  bool committing() const { return !under_way_.records.empty(); }
  // Records of the open batch.
  size_t open_records() const { return open_.records.size(); }

  // When to call Take, or Load while not serving, at the latest; monotonic, in the past if at once.
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
    std::vector<Item> items;
    std::vector<Step> steps;                                    // in order of decision
    std::vector<std::pair<core::Token, absl::Status>> refused;  // by Decide
    Records records;                                            // of the steps
    int wakes = 0;                                              // among the steps
    absl::Duration since = absl::ZeroDuration();                // monotonic, of its first input
  };

  // Drops what is over; keeps who waits for the others.
  void Admit(std::vector<Item>& items);
  void DecideOn(const Item& item, const Now& now);
  void HoldLeases(const Now& now);
  void WakeUp(const Now& now);
  int MostWakes() const;  // in the open batch
  void Publish(Batch batch);
  void TakeBack(const absl::Status& status, const Now& now);
  void Close(const absl::Status& status, const Now& now);
  void Reply(core::Token token, absl::StatusOr<Answer> answer);
  absl::Duration NextBackoff();

  store::Store& store_;
  const StrandOptions options_;
  core::State state_;
  Batch open_;
  Batch under_way_;             // has records
  std::vector<Batch> decided_;  // for Publish
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
