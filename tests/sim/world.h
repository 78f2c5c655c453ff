// Virtual time: what happens, in which order, and on which machine.
#ifndef RETORT_TESTS_SIM_WORLD_H_
#define RETORT_TESTS_SIM_WORLD_H_

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/clock.h"
#include "tests/sim/random.h"

namespace retort::sim {

// What can go wrong; counted by kind.
enum class Fault : uint8_t {
  kCoordinatorCrash,
  kCrashBeforeCommit,
  kCrashAfterCommit,
  kCoordinatorSuspended,
  kDiskFull,
  kUnknownWritten,
  kUnknownNotWritten,
  kReopenFails,
  kSlowCommit,
  kWorkerCrash,
  kWorkerLeaves,
  kWorkerSuspended,
  kPartition,
  kOneWayPartition,
  kRequestDropped,
  kReplyDropped,
  kDuplicated,
  kDelayed,
  kStreamBroken,
  kWallClockJump,
  kRunnerCrash,
  kRunnerFailure,
  kRunnerDeaf,
  kSpoolFull,
  kSpoolBroken,
  kArtifactLost,
  kTransferFails,
  kRequestRepeated,
};
inline constexpr int kFaultKinds = 28;
std::string_view WordFor(Fault fault);
using FaultCounts = std::array<int64_t, kFaultKinds>;

// The queue of events, true time, chance, and what was seen.
class World {
 public:
  using Event = std::function<void()>;

  World(uint64_t seed, bool trace) : random_(seed), trace_(trace) {}

  absl::Duration now() const { return now_; }
  Random& random() { return random_; }
  // Events of the same moment happen in the order in which they were asked for. A moment that has
  // passed means now.
  void At(absl::Duration when, Event event);
  void After(absl::Duration delay, Event event) { At(now_ + delay, std::move(event)); }
  // Lets the next event happen. False if there is none.
  bool Step();

  // Writes down what happened: it enters the hash of the run, and the trace if that is wanted.
  void Note(std::string_view what, std::string_view who = "", int64_t a = 0, int64_t b = 0);
  void Count(Fault fault, std::string_view who = "");
  // A promise was broken. The first one is kept.
  void Violate(const std::string& what);

  bool tracing() const { return trace_; }
  const std::string& violation() const { return violation_; }
  uint64_t hash() const { return hash_; }
  int64_t events() const { return events_; }
  const FaultCounts& faults() const { return faults_; }

 private:
  struct Entry {
    absl::Duration when;
    uint64_t number;
    Event event;
  };
  struct Later {
    bool operator()(const Entry& a, const Entry& b) const {
      return a.when != b.when ? a.when > b.when : a.number > b.number;
    }
  };

  Random random_;
  const bool trace_;
  absl::Duration now_ = absl::ZeroDuration();
  std::vector<Entry> queue_;  // a heap
  uint64_t last_number_ = 0;
  int64_t events_ = 0;
  uint64_t hash_ = 0;
  FaultCounts faults_{};
  std::string violation_;
};

// A machine with one process: clocks of its own, which may be suspended and whose process may die.
class Node {
 public:
  Node(World& world, std::string name);

  World& world() { return world_; }
  const std::string& name() const { return name_; }
  Now Read() const;
  // When this machine's monotonic clock shows that time.
  absl::Duration TrueTime(absl::Duration monotonic) const;

  // Something that its process does. Forgotten if the process dies before; waits while the machine
  // is suspended.
  void At(absl::Duration when, World::Event event);
  void After(absl::Duration delay, World::Event event) { At(world_.now() + delay, event); }

  // The process ends; what it was about to do is forgotten.
  void Die();
  // A process starts. Its monotonic clock begins anywhere.
  void Boot();
  bool alive() const { return alive_; }
  uint64_t life() const { return life_; }
  void Suspend(absl::Duration time);
  bool suspended() const { return resume_at_ > world_.now(); }
  // How long it stood still or was down since then.
  absl::Duration Off(absl::Duration since) const;
  void JumpWall(absl::Duration by) { wall_offset_ += by; }

 private:
  void Happen(uint64_t life, World::Event event);

  World& world_;
  const std::string name_;
  bool alive_ = false;
  uint64_t life_ = 0;
  absl::Duration resume_at_ = absl::ZeroDuration();
  std::vector<std::pair<absl::Duration, absl::Duration>> off_;  // spans of true time, in order
  absl::Duration boot_ = absl::ZeroDuration();  // true time when the monotonic clock was base_
  absl::Duration base_ = absl::ZeroDuration();
  int64_t drift_ppm_ = 0;  // of the monotonic clock
  absl::Duration wall_offset_ = absl::ZeroDuration();
};

}  // namespace retort::sim

#endif  // RETORT_TESTS_SIM_WORLD_H_
