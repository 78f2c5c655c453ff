// The queued jobs of one sweep, in the order of placement, kept up to date one job at a time.
#ifndef RETORT_SERVER_CORE_QUEUE_H_
#define RETORT_SERVER_CORE_QUEUE_H_

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <limits>
#include <tuple>

#include "absl/container/btree_set.h"
#include "server/core/types.h"

namespace retort::core {

// What orders the jobs of one sweep for a worker that holds no teacher: what unblocks most, then
// longest expected, then oldest.
struct QueueEntry {
  int64_t unblocks = 0;  // jobs that need it
  double expected_cost = 0;
  JobKey job;

  friend bool operator<(const QueueEntry& a, const QueueEntry& b) {
    return std::tie(b.unblocks, b.expected_cost, a.job) <
           std::tie(a.unblocks, a.expected_cost, b.job);
  }
  friend bool operator==(const QueueEntry&, const QueueEntry&) = default;
};

// Jobs that only workers that allow TorchScript take lie behind all others, apart by memory too.
inline constexpr int64_t kScriptedNeed = int64_t{1} << 61;
// Where a job lies in its queues: its memory, and whether it is such a job.
inline int64_t QueueNeed(const Job& job) {
  return job.row.memory_bytes + (job.kind == JobKind::kScripted ? kScriptedNeed : 0);
}

// Jobs lie apart by what they need of a slot, so that thousands that are too large for a worker
// never stand before the one that is not. There are few different needs: estimates are rounded
// (expand.cc).
class JobQueue {
 public:
  struct Item {
    JobKey teacher;            // none: all jobs; else again those that need this one
    int64_t memory_bytes = 0;  // what they need
    QueueEntry entry;

    friend bool operator<(const Item& a, const Item& b) {
      return std::tie(a.teacher, a.memory_bytes, a.entry) <
             std::tie(b.teacher, b.memory_bytes, b.entry);
    }
  };
  using Items = absl::btree_set<Item>;

  void Insert(const QueueEntry& entry, int64_t memory_bytes, JobKey teacher) {
    items_.insert({{}, memory_bytes, entry});
    if (teacher) items_.insert({teacher, memory_bytes, entry});
    ++size_;
  }
  void Erase(const QueueEntry& entry, int64_t memory_bytes, JobKey teacher) {
    size_ -= static_cast<int64_t>(items_.erase({{}, memory_bytes, entry}));
    if (teacher) items_.erase({teacher, memory_bytes, entry});
  }

  int64_t size() const { return size_; }
  bool Contains(const QueueEntry& entry, int64_t memory_bytes) const {
    return items_.contains({{}, memory_bytes, entry});
  }

  // Calls visit(first, last) with the jobs of each need (QueueNeed) from `least` to `most`, in
  // order, the largest need first, until it returns false; of a teacher, or of all if there is
  // none. Takes O(log size) for each.
  template <typename Visit>
  void ForEachNeed(JobKey teacher, int64_t least, int64_t most, Visit visit) const {
    auto last = items_.upper_bound({teacher, most, kLast});
    while (last != items_.begin()) {
      const auto before = std::prev(last);
      if (before->teacher != teacher || before->memory_bytes < least) return;
      const auto first = items_.lower_bound({teacher, before->memory_bytes, kFirst});
      if (!visit(first, last)) return;
      last = first;
    }
  }

  // The first job behind `item`, of the same teacher and need, that unblocks nothing and costs at
  // most so much; `end`, of those jobs, if there is none. Takes O(log size).
  Items::const_iterator SkipTo(const Item& item, double most_cost,
                               Items::const_iterator end) const {
    const auto found = items_.lower_bound({item.teacher, item.memory_bytes, {0, most_cost, {}}});
    const bool same = found != items_.end() && found->teacher == item.teacher &&
                      found->memory_bytes == item.memory_bytes;
    return same ? std::max(found, items_.upper_bound(item), [](auto a, auto b) { return *a < *b; })
                : end;
  }

 private:
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  static constexpr QueueEntry kFirst{kMost, kInfinity, JobKey{0}};
  static constexpr QueueEntry kLast{-1, -kInfinity, JobKey{kMost}};

  Items items_;
  int64_t size_ = 0;
};

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_QUEUE_H_
