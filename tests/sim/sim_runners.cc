#include "tests/sim/sim_runners.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tests/sim/training.h"

namespace retort::sim {

SimRunners::SimRunners(Node& node, const Settings& settings, Oracle& oracle, int slots,
                       Answers answers)
    : node_(node),
      settings_(settings),
      oracle_(oracle),
      answers_(std::move(answers)),
      slots_(static_cast<size_t>(slots)) {}

int SimRunners::busy() const {
  return static_cast<int>(
      std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.busy; }));
}

void SimRunners::KillAll() {
  for (Slot& slot : slots_) {
    const Slot before = slot;
    slot = {};
    slot.life = before.life + 1;
    slot.run = before.run + 1;
  }
}

void SimRunners::DrawFate(Slot& slot) {
  World& world = node_.world();
  Random& random = world.random();
  const int32_t epochs = slot.job.spec().train().epochs();
  // A poisoned job fails everywhere.
  if (static_cast<double>(Mix(slot.number ^ 0x5eed) >> 11) * 0x1p-53 < settings_.poison) {
    slot.cause = slot.number % 2 == 0 ? v1::FAILURE_CAUSE_NUMERIC : v1::FAILURE_CAUSE_INVALID;
    slot.ends_at = static_cast<int32_t>(slot.number % static_cast<uint64_t>(epochs + 1));
    return;
  }
  if (!faulty_) return;
  slot.deaf = settings_.Has(Fault::kRunnerDeaf) && random.Chance(0.3);
  if (settings_.runner_crash > 0 && random.Chance(settings_.runner_crash)) {
    world.Count(Fault::kRunnerCrash, node_.name());
    slot.ends_at = static_cast<int32_t>(random.Between(0, epochs));
    return;
  }
  if (settings_.runner_failure > 0 && random.Chance(settings_.runner_failure)) {
    static constexpr std::array kCauses = {v1::FAILURE_CAUSE_OUT_OF_MEMORY,
                                           v1::FAILURE_CAUSE_ARTIFACT, v1::FAILURE_CAUSE_CRASHED,
                                           v1::FAILURE_CAUSE_TIMEOUT, v1::FAILURE_CAUSE_PREEMPTED};
    world.Count(Fault::kRunnerFailure, node_.name());
    slot.ends_at = static_cast<int32_t>(random.Between(0, epochs));
    slot.cause = random.OneOf(kCauses);
  }
}

void SimRunners::Run(int index, const v1::RunJob& job) {
  Slot& slot = slots_[static_cast<size_t>(index)];
  if (slot.busy) {
    node_.world().Violate("slots: " + node_.name() + " gives a busy runner another job, " +
                          job.job().substr(0, 12));
  }
  const Slot before = std::exchange(slot, {});
  slot.life = before.life;
  slot.run = before.run + 1;
  slot.reading = before.reading;
  slot.busy = true;
  slot.warm = before.warm;
  slot.job = job;
  slot.number = NumberOf(*JobId::FromHex(job.job()));
  if (!job.checkpoint_path().empty()) {
    const std::string hash = job.checkpoint_path().substr(job.checkpoint_path().rfind('/') + 1);
    const int32_t epochs = job.spec().train().epochs();
    while (slot.epoch < epochs && CheckpointOf(slot.number, slot.epoch).hex() != hash) ++slot.epoch;
    slot.first_epoch = slot.epoch;
    node_.world().Note("resumed", job.job().substr(0, 12), slot.epoch);
  }
  DrawFate(slot);
  const absl::Duration start =
      slot.warm ? node_.world().random().Time(absl::Milliseconds(1), absl::Milliseconds(20))
                : node_.world().random().Time(absl::Milliseconds(50), absl::Seconds(1));
  slot.warm = true;
  node_.After(start, [this, index, run = slot.run] { Advance(index, run); });
}

// One step of training: said to the agent once it reads.
void SimRunners::Advance(int index, uint64_t run) {
  Slot& slot = slots_[static_cast<size_t>(index)];
  if (slot.run != run || !slot.busy) return;
  if (!slot.reading) {
    slot.waits = true;
    return;
  }
  slot.waits = false;
  if (slot.stopping) {
    if (node_.world().random().Chance(0.7)) WriteCheckpoint(index);
    return EndWith(index, v1::FAILURE_CAUSE_PREEMPTED, "stopped");
  }
  if (slot.epoch == slot.ends_at) {
    if (slot.cause == v1::FAILURE_CAUSE_UNSPECIFIED) return Exit(index, "killed by signal 11");
    return EndWith(index, slot.cause, "as it was drawn");
  }
  v1::RunnerEvent event;
  if (!slot.started) {
    slot.started = true;
    event.mutable_started();
    Say(index, event);
    return Next(index);
  }
  const auto attempt = slot.job.attempt();
  if (slot.epoch == slot.job.spec().train().epochs()) {
    *event.mutable_finished()->mutable_result() = ResultOf(slot.number, attempt, slot.job.spec());
    event.mutable_finished()->set_weights_path(
        WeightsOf(slot.number, attempt, settings_.attempts_differ).hex());
    slot.busy = false;
    return Say(index, event);
  }
  v1::RunnerProgress* progress = event.mutable_progress();
  for (v1::MetricPoint& point : PointsOf(slot.number, attempt, slot.epoch)) {
    *progress->add_points() = std::move(point);
  }
  progress->set_epochs_done(++slot.epoch);
  progress->set_epochs(slot.job.spec().train().epochs());
  if (slot.epoch % 2 == 1) answers_.output(index, "epoch\n");
  Say(index, event);
  if (slot.job.checkpoint_every_s() > 0 && node_.world().random().Chance(0.5)) {
    WriteCheckpoint(index);
  }
  Next(index);
}

void SimRunners::WriteCheckpoint(int index) {
  const Slot& slot = slots_[static_cast<size_t>(index)];
  // The end of training has none: then there is a result.
  if (slot.epoch == slot.first_epoch || slot.epoch == slot.job.spec().train().epochs()) return;
  v1::RunnerEvent event;
  event.mutable_checkpoint()->set_path(CheckpointOf(slot.number, slot.epoch).hex());
  event.mutable_checkpoint()->set_epochs_done(slot.epoch);
  event.mutable_checkpoint()->set_steps_done(slot.epoch);
  Say(index, event);
}

void SimRunners::Next(int index) {
  Slot& slot = slots_[static_cast<size_t>(index)];
  if (!slot.busy) return;
  const absl::Duration time =
      node_.world().random().Time(settings_.most_epoch / 8, settings_.most_epoch);
  node_.After(time, [this, index, run = slot.run] { Advance(index, run); });
}

void SimRunners::Say(int index, const v1::RunnerEvent& event) { answers_.event(index, event); }

void SimRunners::EndWith(int index, v1::FailureCause cause, const std::string& message) {
  slots_[static_cast<size_t>(index)].busy = false;
  v1::RunnerEvent event;
  event.mutable_failed()->set_cause(cause);
  event.mutable_failed()->set_message(message);
  Say(index, event);
}

void SimRunners::Exit(int index, const std::string& reason) {
  Slot& slot = slots_[static_cast<size_t>(index)];
  slot.busy = slot.warm = false;
  ++slot.run;
  ++slot.life;
  answers_.exit(index, reason);
}

void SimRunners::Stop(int index) {
  Slot& slot = slots_[static_cast<size_t>(index)];
  if (!slot.busy) return;
  if (!answers_.leaving()) oracle_.OnStopped(node_.name(), slot.job.job(), slot.job.attempt());
  if (slot.deaf) return node_.world().Count(Fault::kRunnerDeaf, node_.name());
  slot.stopping = true;
  node_.After(node_.world().random().Time(absl::Milliseconds(1), absl::Seconds(2)),
              [this, index, run = slot.run] { Advance(index, run); });
}

void SimRunners::Kill(int index) {
  Slot& slot = slots_[static_cast<size_t>(index)];
  node_.After(absl::Milliseconds(1), [this, index, life = slot.life] {
    if (slots_[static_cast<size_t>(index)].life == life) Exit(index, "killed by signal 9");
  });
}

void SimRunners::SetReading(int index, bool reading) {
  Slot& slot = slots_[static_cast<size_t>(index)];
  slot.reading = reading;
  if (!reading || !slot.waits) return;
  node_.After(absl::ZeroDuration(), [this, index, run = slot.run] { Advance(index, run); });
}

}  // namespace retort::sim
