#include "server/core/outlook.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "server/core/placement.h"

namespace retort::core {
namespace {

// A job that takes longer than expected is thought to go on for as long as this part of what it
// has taken. It makes waiting for it end: what is expected of it grows with time.
constexpr double kOverrun = 0.5;

bool Present(const Draft& draft, WorkerKey key) {
  const WorkerRow& row = draft.worker(key);
  const Worker& worker = draft.state().worker(key);
  return row.state == WorkerState::kActive && !row.away && !worker.draining;
}

}  // namespace

double Outlook::Seconds(double cost, double speed) const {
  const double seconds = draft_.state().pace().Seconds(cost);
  return seconds < 0 ? -1 : seconds / speed;
}

double Outlook::Remaining(JobKey job, double speed) const {
  const double all_s = Seconds(draft_.state().job(job).expected_cost, speed);
  const double took_s = draft_.LeasedFor(job);
  return std::max(all_s - took_s, kOverrun * std::max(0.0, took_s - all_s));
}

Fleet MeasureFleet(const Draft& draft) {
  const State& state = draft.state();
  std::vector<double> known;
  double unknown_slots = 0;
  Fleet fleet;
  fleet.at = draft.now().monotonic;
  for (int64_t i = 1; i <= state.workers(); ++i) {
    if (!Present(draft, {i})) continue;
    const Worker& worker = state.worker({i});
    const auto slots = static_cast<double>(worker.row.slots.size());
    if (!worker.speed.known()) {
      unknown_slots += slots;
      continue;
    }
    known.push_back(worker.speed.factor());
    fleet.capacity += slots * known.back();
  }
  if (!known.empty()) {
    const auto middle = known.begin() + static_cast<long>(known.size() / 2);
    std::nth_element(known.begin(), middle, known.end());
    fleet.median = *middle;
    fleet.fastest = *std::max_element(known.begin(), known.end());
  }
  fleet.capacity += unknown_slots * fleet.median;
  return fleet;
}

double Outlook::SpeedOf(WorkerKey worker) const {
  const State& state = draft_.state();
  if (worker.value > state.workers()) return state.fleet().median;
  const Speed& speed = state.worker(worker).speed;
  return speed.known() ? speed.factor() : state.fleet().median;
}

bool Outlook::HasFaster(double speed) const {
  return draft_.state().fleet().fastest >= speed * kClearlySooner;
}

double Outlook::Horizon(int32_t priority) const {
  const State& state = draft_.state();
  if (state.fleet().capacity <= 0) return 0;
  double work_s = 0;
  double live = state.live_cost();  // at worst all of it is of the sweep with the least to do
  for (const auto& [level, key] : state.placeable()) {
    if (-level < priority) break;
    const double cost = state.sweep(key).row.cost_open;
    double open = 0;
    for (int i = 0; i < IndexOf(JobState::kSucceeded); ++i) {
      open += static_cast<double>(state.sweep(key).row.counts[static_cast<size_t>(i)]);
    }
    const double waits = std::max(0.0, cost - live);
    live = std::max(0.0, live - cost);
    // All of it at the rate of a job of the mean cost.
    if (waits > 0) work_s += waits / cost * open * std::max(0.0, Seconds(cost / open, 1));
  }
  return work_s / state.fleet().capacity;
}

void Outlook::Build() {
  if (std::exchange(built_, true)) return;
  for (int64_t i = 1; i <= draft_.state().workers(); ++i) {
    if (Present(draft_, {i})) AddWorker({i});
  }
}

void Outlook::AddWorker(WorkerKey key) {
  const State& state = draft_.state();
  const Worker& worker = state.worker(key);
  const double speed = SpeedOf(key);
  const auto first = slots_.size();
  // A free slot counts while its worker is about to be asked. One that was asked left what there is
  // for reasons of its own, and one that does not ask may never do.
  const bool asked = state.placement_due() && state.hungry().contains(key);
  for (const Slot& slot : worker.row.slots) {
    slots_.push_back({key, static_cast<int16_t>(slots_.size() - first), RoomOf(slot), speed,
                      asked ? 0 : std::numeric_limits<double>::infinity()});
  }
  for (const JobKey job : worker.leases) {
    const JobRow& row = draft_.job(job);
    if (!IsLive(row.state) || row.worker != key || row.slot < 0) continue;
    const auto slot = first + static_cast<size_t>(row.slot);
    if (slot < slots_.size()) slots_[slot].free_in = Remaining(job, speed);
  }
}

std::vector<SlotOutlook> Outlook::Faster(double speed) {
  Build();
  std::vector<SlotOutlook> faster;
  for (const SlotOutlook& slot : slots_) {
    if (slot.speed >= speed * kClearlySooner &&
        slot.free_in < std::numeric_limits<double>::infinity()) {
      faster.push_back(slot);
    }
  }
  std::sort(faster.begin(), faster.end(), [](const SlotOutlook& a, const SlotOutlook& b) {
    return std::tie(a.free_in, a.worker, a.slot) < std::tie(b.free_in, b.worker, b.slot);
  });
  if (faster.size() > kMostFaster) faster.resize(kMostFaster);
  return faster;
}

void Outlook::Occupy(WorkerKey worker, int16_t slot, double cost) {
  if (!built_) return;
  for (SlotOutlook& known : slots_) {
    if (known.worker != worker || known.slot != slot) continue;
    known.free_in = std::max(0.0, Seconds(cost, known.speed));
    return;
  }
}

}  // namespace retort::core
