#include "server/core/placement.h"

#include <algorithm>
#include <tuple>

namespace retort::core {

bool Before(const Candidate& a, const Candidate& b) {
  return std::tie(b.priority, b.entry.unblocks, b.affinity, b.entry.expected_cost, a.entry.job) <
         std::tie(a.priority, a.entry.unblocks, a.affinity, a.entry.expected_cost, b.entry.job);
}

Placement::Placement(const Draft& draft, WorkerKey worker, const std::vector<ArtifactHash>& cached)
    : draft_(draft), worker_(worker), next_sweep_(draft.state().placeable().begin()) {
  for (const ArtifactHash& hash : cached) {
    for (const JobKey producer : draft.state().Producers(hash, kMostCandidates)) {
      if (!draft.state().children(producer).empty()) teachers_.push_back(producer);
    }
  }
  std::sort(teachers_.begin(), teachers_.end());
  teachers_.erase(std::unique(teachers_.begin(), teachers_.end()), teachers_.end());
}

bool Placement::OpenLevel() {
  const State& state = draft_.state();
  streams_.clear();
  if (next_sweep_ == state.placeable().end()) return false;
  const int32_t level = next_sweep_->first;
  for (; next_sweep_ != state.placeable().end() && next_sweep_->first == level; ++next_sweep_) {
    const JobQueue& queue = state.sweep(next_sweep_->second).queue;
    if (static_cast<int>(streams_.size()) >= kMostCandidates) continue;
    streams_.push_back({queue.all().begin(), queue.all().end(), -level});
    // The best job with affinity may stand behind many without: look at its bucket's head too.
    for (const JobKey teacher : teachers_) {
      const JobQueue::Entries* bucket = queue.WithTeacher(teacher);
      if (bucket == nullptr || static_cast<int>(streams_.size()) >= kMostCandidates) continue;
      streams_.push_back({bucket->begin(), bucket->end(), -level});
    }
  }
  return true;
}

bool Placement::OthersAreActive() {
  if (others_are_active_) return *others_are_active_;
  others_are_active_ = false;
  for (int64_t i = 1; i <= draft_.state().workers(); ++i) {
    const WorkerRow& row = draft_.worker({i});
    if (i != worker_.value && row.state == WorkerState::kActive && !row.away) {
      others_are_active_ = true;
      break;
    }
  }
  return *others_are_active_;
}

bool Placement::Usable(JobKey job) {
  const JobRow& row = draft_.job(job);
  if (row.state != JobState::kQueued) return false;
  const JobKey teacher = draft_.state().job(job).teacher;
  // Its children were not told yet that a teacher was queued again (a chore, timers.cc).
  const bool ready = !teacher || draft_.job(teacher).state == JobState::kSucceeded;
  const bool failed_here = row.worker == worker_ && (row.last_cause == FailureCause::kCrashed ||
                                                     row.last_cause == FailureCause::kArtifact);
  if (ready && (!failed_here || !OthersAreActive())) return true;
  ++passed_over_;
  return false;
}

bool Placement::HasAffinity(JobKey job) const {
  const JobKey teacher = draft_.state().job(job).teacher;
  return teacher && std::binary_search(teachers_.begin(), teachers_.end(), teacher);
}

std::optional<JobKey> Placement::Next() {
  while (true) {
    std::optional<Candidate> best;
    for (Stream& stream : streams_) {
      while (stream.next != stream.end && passed_over_ < kMostCandidates &&
             !Usable(stream.next->job)) {
        ++stream.next;
      }
      if (stream.next == stream.end || passed_over_ >= kMostCandidates) continue;
      const Candidate candidate{stream.priority, HasAffinity(stream.next->job), *stream.next};
      if (!best || Before(candidate, *best)) best = candidate;
    }
    if (best) return best->entry.job;
    if (passed_over_ >= kMostCandidates || !OpenLevel()) return std::nullopt;
  }
}

}  // namespace retort::core
