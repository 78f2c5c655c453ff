#include "tests/sim/faults.h"

#include <array>

namespace retort::sim {
namespace {

// The others happen by chance to single messages, transfers and attempts.
constexpr std::array kStriking = {Fault::kCoordinatorCrash,  Fault::kCrashBeforeCommit,
                                  Fault::kCrashAfterCommit,  Fault::kCoordinatorSuspended,
                                  Fault::kDiskFull,          Fault::kUnknownWritten,
                                  Fault::kUnknownNotWritten, Fault::kReopenFails,
                                  Fault::kSlowCommit,        Fault::kWorkerCrash,
                                  Fault::kWorkerLeaves,      Fault::kWorkerSuspended,
                                  Fault::kPartition,         Fault::kOneWayPartition,
                                  Fault::kWallClockJump,     Fault::kSpoolFull,
                                  Fault::kSpoolBroken,       Fault::kArtifactLost};

}  // namespace

Faults::Faults(World& world, Settings& settings, Cast cast)
    : world_(world), settings_(settings), cast_(cast) {
  for (const Fault fault : kStriking) {
    if (settings.Has(fault)) kinds_.push_back(fault);
  }
}

void Faults::Start() {
  if (!kinds_.empty()) Schedule();
}

absl::Duration Faults::Some(absl::Duration most) {
  return world_.random().Time(absl::Milliseconds(10), most);
}

void Faults::Schedule() {
  world_.After(Some(2 * settings_.between_faults), [this] {
    if (healed_) return;
    Strike(world_.random().OneOf(kinds_));
    Schedule();
  });
}

void Faults::Strike(Fault fault) {
  switch (fault) {
    case Fault::kWorkerCrash:
    case Fault::kWorkerLeaves:
    case Fault::kWorkerSuspended:
    case Fault::kSpoolFull:
    case Fault::kSpoolBroken:
      return StrikeWorker(fault, *world_.random().OneOf(cast_.workers));
    case Fault::kPartition:
    case Fault::kOneWayPartition: {
      const bool client = world_.random().Chance(0.2);
      Link& link = client ? world_.random().OneOf(cast_.clients)->link()
                          : world_.random().OneOf(cast_.workers)->link();
      world_.Count(fault, link.peer().name());
      const bool up = fault == Fault::kPartition || world_.random().Chance(0.5);
      link.Cut(up, fault == Fault::kPartition || !up);
      world_.After(Some(2 * settings_.lease), [&link] {
        link.Disturb();
        link.Heal();
      });
      return;
    }
    case Fault::kWallClockJump: {
      const auto count = static_cast<int64_t>(cast_.workers.size());
      const int64_t who = world_.random().Between(-1, count - 1);
      Node& node =
          who < 0 ? cast_.coordinator.node() : cast_.workers[static_cast<size_t>(who)]->node();
      world_.Count(fault, node.name());
      node.JumpWall(world_.random().Time(-absl::Hours(30), absl::Hours(30)));
      return;
    }
    default:
      return StrikeCoordinator(fault);
  }
}

void Faults::StrikeWorker(Fault fault, SimWorker& worker) {
  if (!worker.node().alive()) return;
  world_.Count(fault, worker.node().name());
  switch (fault) {
    case Fault::kWorkerCrash:
      return worker.Crash();
    case Fault::kWorkerLeaves:
      return worker.Leave();
    case Fault::kWorkerSuspended:
      return worker.Suspend(Some(2 * settings_.lease));
    case Fault::kSpoolFull:
      worker.spool().SetFull(true);
      return world_.After(Some(settings_.lease), [&worker] { worker.spool().SetFull(false); });
    default:
      worker.spool().SetBroken(true);
      return world_.After(Some(absl::Seconds(5)), [&worker] { worker.spool().SetBroken(false); });
  }
}

void Faults::StrikeCoordinator(Fault fault) {
  if (!cast_.coordinator.node().alive()) return;
  switch (fault) {
    case Fault::kCoordinatorCrash:
      world_.Count(fault);
      return cast_.coordinator.Crash();
    case Fault::kCoordinatorSuspended:
      world_.Count(fault);
      return cast_.coordinator.Suspend(Some(3 * settings_.lease));
    case Fault::kDiskFull:
      world_.Count(fault);
      cast_.store.SetFull(true);
      return world_.After(Some(2 * settings_.lease), [this] { cast_.store.SetFull(false); });
    case Fault::kReopenFails:
      world_.Count(fault);
      cast_.store.SetBroken(true);
      cast_.store.FailNext(world_.random().Chance(0.5) ? Fault::kUnknownWritten
                                                       : Fault::kUnknownNotWritten);
      return world_.After(Some(settings_.lease), [this] { cast_.store.SetBroken(false); });
    case Fault::kSlowCommit:
      world_.Count(fault);
      cast_.coordinator.SetCommitTime(Some(settings_.lease / 2));
      return world_.After(Some(settings_.lease),
                          [this] { cast_.coordinator.SetCommitTime(kQuickCommit); });
    case Fault::kArtifactLost:
      if (cast_.coordinator.LoseArtifact(world_.random().Chance(0.3))) world_.Count(fault);
      return;
    default:
      return cast_.store.FailNext(fault);  // counted when it happens
  }
}

void Faults::Heal() {
  healed_ = true;
  settings_.network = {};
  settings_.on = {};
  cast_.store.Heal();
  cast_.coordinator.SetCommitTime(kQuickCommit);
  if (!cast_.coordinator.node().alive()) cast_.coordinator.Start();
  for (auto& worker : cast_.workers) worker->Heal();
  for (auto& client : cast_.clients) client->Heal();
}

}  // namespace retort::sim
