#include "server/core/placement.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/str_format.h"

namespace retort::core {

int64_t LargestRoom(const std::vector<Slot>& slots) {
  int64_t largest = 0;
  for (const Slot& slot : slots) largest = std::max(largest, RoomOf(slot));
  return largest;
}

bool Before(const Candidate& a, const Candidate& b) {
  return std::tie(b.priority, b.entry.unblocks, b.affinity, b.entry.expected_cost, a.entry.job) <
         std::tie(a.priority, a.entry.unblocks, a.affinity, a.entry.expected_cost, b.entry.job);
}

std::vector<FreeSlot> FreeSlotsOf(const Draft& draft, WorkerKey worker,
                                  const std::vector<int32_t>& reported) {
  const std::vector<Slot>& slots = draft.worker(worker).slots;
  std::vector<bool> taken(slots.size(), !reported.empty());
  for (const int32_t slot : reported) {
    if (slot >= 0 && static_cast<size_t>(slot) < slots.size())
      taken[static_cast<size_t>(slot)] = false;
  }
  size_t somewhere = 0;
  // The draft may have created the worker: then it has no leases yet.
  if (worker.value <= draft.state().workers()) {
    for (const JobKey job : draft.state().worker(worker).leases) {
      const JobRow& row = draft.job(job);
      if (!IsLive(row.state) || row.worker != worker) continue;
      if (row.slot >= 0 && static_cast<size_t>(row.slot) < slots.size()) {
        taken[static_cast<size_t>(row.slot)] = true;
      } else {
        ++somewhere;
      }
    }
  }
  std::vector<FreeSlot> free;
  for (size_t i = 0; i < slots.size(); ++i) {
    if (!taken[i]) free.push_back({static_cast<int16_t>(i), RoomOf(slots[i])});
  }
  std::stable_sort(free.begin(), free.end(),
                   [](const FreeSlot& a, const FreeSlot& b) { return a.room < b.room; });
  free.resize(free.size() - std::min(free.size(), somewhere));
  return free;
}

bool FailedOn(const JobRow& row, WorkerKey worker) {
  return row.worker == worker &&
         (row.last_cause == FailureCause::kCrashed || row.last_cause == FailureCause::kArtifact);
}

int64_t RoomOfOthers(const Draft& draft, WorkerKey worker, bool scripted) {
  int64_t room = 0;
  for (int64_t i = 1; i <= draft.state().workers(); ++i) {
    const WorkerRow& row = draft.worker({i});
    if (i == worker.value || row.state != WorkerState::kActive || row.away) continue;
    if (scripted && !draft.state().worker({i}).allows_torchscript) continue;
    room = std::max(room, LargestRoom(row.slots));
  }
  return room;
}

Placement::Placement(const Draft& draft, Outlook& outlook, WorkerKey worker,
                     bool allows_torchscript, const std::vector<ArtifactHash>& cached,
                     std::vector<FreeSlot> free)
    : draft_(draft),
      outlook_(outlook),
      worker_(worker),
      allows_torchscript_(allows_torchscript),
      speed_(outlook.SpeedOf(worker)),
      has_faster_(outlook.HasFaster(speed_)),
      free_(std::move(free)) {
  for (const ArtifactHash& hash : cached) {
    for (const JobKey producer : draft.state().Producers(hash, kMostCandidates)) {
      if (!draft.state().children(producer).empty()) teachers_.push_back(producer);
    }
  }
  std::sort(teachers_.begin(), teachers_.end());
  teachers_.erase(std::unique(teachers_.begin(), teachers_.end()), teachers_.end());
  Restart();
}

void Placement::Restart() {
  streams_.clear();
  next_sweep_ = draft_.state().placeable().begin();
  passed_over_ = 0;
  deferred_.clear();
  faster_.reset();
}

bool Placement::OpenLevel() {
  const State& state = draft_.state();
  streams_.clear();
  horizon_.reset();
  if (next_sweep_ == state.placeable().end()) return false;
  const int32_t level = next_sweep_->first;
  const auto open = [&](const JobQueue& queue, JobKey teacher) {
    const int64_t room = std::min(free_.back().room, kScriptedNeed - 1);
    const auto add = [&](auto first, auto last) {
      if (static_cast<int>(streams_.size()) >= kMostCandidates) return false;
      streams_.push_back({&queue, first, last, -level});
      return true;
    };
    queue.ForEachNeed(teacher, 0, room, add);
    if (allows_torchscript_) {
      queue.ForEachNeed(teacher, kScriptedNeed, kScriptedNeed + room, add);
    }
  };
  for (; next_sweep_ != state.placeable().end() && next_sweep_->first == level; ++next_sweep_) {
    const JobQueue& queue = state.sweep(next_sweep_->second).queue;
    open(queue, JobKey{});
    // The best job with affinity may stand behind many without: look at its bucket's head too.
    for (const JobKey teacher : teachers_) open(queue, teacher);
  }
  return true;
}

bool Placement::Usable(JobKey job) {
  const JobRow& row = draft_.job(job);
  if (row.state != JobState::kQueued) return false;
  // It may stand in two streams.
  const auto same = [job](const Deferred& deferred) { return deferred.job == job; };
  if (std::any_of(deferred_.begin(), deferred_.end(), same)) return false;
  const JobKey teacher = draft_.state().job(job).teacher;
  // Its children were not told yet that a teacher was queued again (a chore, timers.cc).
  const bool ready = !teacher || draft_.job(teacher).state == JobState::kSucceeded;
  if (ready && !FailedOn(row, worker_)) return true;
  const bool scripted = draft_.state().job(job).kind == JobKind::kScripted;
  if (ready && scripted) {
    const int64_t room = RoomOfOthers(draft_, worker_, true);
    if (row.memory_bytes > room || room == 0) return true;
  } else if (ready) {
    if (!room_of_others_) room_of_others_ = RoomOfOthers(draft_, worker_);
    if (row.memory_bytes > *room_of_others_ || *room_of_others_ == 0) return true;
  }
  ++passed_over_;
  return false;
}

bool Placement::HasAffinity(JobKey job) const {
  const JobKey teacher = draft_.state().job(job).teacher;
  return teacher && std::binary_search(teachers_.begin(), teachers_.end(), teacher);
}

double Placement::Horizon(int32_t priority) {
  if (!horizon_) horizon_ = outlook_.Horizon(priority);
  return *horizon_;
}

bool Placement::WaitedEnough(JobKey job, double here_s) const {
  if (worker_.value > draft_.state().workers()) return false;
  const JobLeft& left = draft_.state().worker(worker_).left;
  return left.job == job && draft_.now().monotonic - left.since >= absl::Seconds(here_s);
}

bool Placement::Defer(const Candidate& candidate) {
  if (!has_faster_) return false;
  const double cost = candidate.entry.expected_cost;
  const double usual_s = outlook_.Seconds(cost, 1);
  const double here_s = usual_s / speed_;
  if (here_s <= 0 || WaitedEnough(candidate.entry.job, here_s)) return false;
  if (candidate.entry.unblocks == 0 && here_s <= Horizon(candidate.priority)) return false;
  if (!faster_) faster_ = outlook_.Faster(speed_);
  const JobRow& row = draft_.job(candidate.entry.job);
  const bool scripted = draft_.state().job(candidate.entry.job).kind == JobKind::kScripted;
  SlotOutlook* best = nullptr;
  double soonest_s = here_s / kClearlySooner;
  for (SlotOutlook& slot : *faster_) {
    if (scripted && !draft_.state().worker(slot.worker).allows_torchscript) continue;
    const double end_s = slot.free_in + usual_s / slot.speed;
    if (end_s >= soonest_s || slot.room < row.memory_bytes || FailedOn(row, slot.worker)) continue;
    soonest_s = end_s;
    best = &slot;
  }
  if (best == nullptr) return false;
  best->free_in = soonest_s;
  deferred_.push_back({candidate.entry.job, best->worker, soonest_s, here_s});
  return true;
}

void Placement::Pass(Stream& stream) {
  const JobQueue::Item& item = *stream.next;
  if (deferred_.size() < kMostDeferred) {
    ++stream.next;
    return;
  }
  const double cost = item.entry.expected_cost;
  const double most = cost * Horizon(stream.priority) / outlook_.Seconds(cost, speed_);
  stream.next = stream.queue->SkipTo(item, most, stream.end);
}

Placement::Placed Placement::Take(JobKey job) {
  const int64_t need = draft_.job(job).memory_bytes;
  const auto slot = std::find_if(free_.begin(), free_.end(),
                                 [&](const FreeSlot& free) { return free.room >= need; });
  const Placed placed{job, slot->index};
  outlook_.Occupy(worker_, slot->index, draft_.state().job(job).expected_cost);
  const int64_t room = free_.back().room;
  free_.erase(slot);
  // The streams hold jobs that only a larger slot had room for.
  if (!free_.empty() && free_.back().room < room) Restart();
  return placed;
}

std::optional<Placement::Placed> Placement::Next() {
  while (!free_.empty()) {
    std::optional<Candidate> best;
    Stream* from = nullptr;
    for (Stream& stream : streams_) {
      while (stream.next != stream.end && passed_over_ < kMostCandidates &&
             !Usable(stream.next->entry.job)) {
        ++stream.next;
      }
      if (stream.next == stream.end || passed_over_ >= kMostCandidates) continue;
      const QueueEntry& entry = stream.next->entry;
      const Candidate candidate{stream.priority, HasAffinity(entry.job), entry};
      if (best && !Before(candidate, *best)) continue;
      best = candidate;
      from = &stream;
    }
    if (best && Defer(*best)) {
      if (deferred_.size() >= kMostCandidates) return std::nullopt;
      Pass(*from);
      continue;
    }
    if (best) return Take(best->entry.job);
    if (passed_over_ >= kMostCandidates || !OpenLevel()) return std::nullopt;
  }
  return std::nullopt;
}

absl::Duration NoteLeft(Draft& draft, WorkerKey worker, const Placement& placement) {
  const State& state = draft.state();
  const absl::Duration now = draft.now().monotonic;
  const JobLeft before = worker.value <= state.workers() ? state.worker(worker).left : JobLeft{};
  JobLeft left;
  absl::Duration again = absl::InfiniteDuration();
  if (!placement.deferred().empty()) {
    const Placement::Deferred& first = placement.deferred().front();
    left = before.job == first.job ? before : JobLeft{first.job, now};
    for (const Placement::Deferred& deferred : placement.deferred()) {
      again = std::min(again, now + absl::Seconds(deferred.end_s));
    }
    again = std::min(again, left.since + absl::Seconds(first.here_s));
    again = std::max(again, now + kLookAgain);
  }
  if (left != before) draft.Effect(WorkerLeaves{worker, left});
  return again;
}

std::string MemoryText(int64_t bytes) {
  constexpr double kMiB = 1 << 20;
  const double mib = static_cast<double>(bytes) / kMiB;
  return mib < 1024 ? absl::StrFormat("%.0f MiB", mib) : absl::StrFormat("%.2f GiB", mib / 1024);
}

}  // namespace retort::core
