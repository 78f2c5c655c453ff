// The queued jobs of one sweep, in the order of placement, kept up to date one job at a time.
#ifndef RETORT_SERVER_CORE_QUEUE_H_
#define RETORT_SERVER_CORE_QUEUE_H_

#include <cstdint>
#include <tuple>

#include "absl/container/btree_set.h"
#include "absl/container/flat_hash_map.h"
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

class JobQueue {
 public:
  using Entries = absl::btree_set<QueueEntry>;

  void Insert(const QueueEntry& entry, JobKey teacher) {
    all_.insert(entry);
    if (teacher) by_teacher_[teacher].insert(entry);
  }
  void Erase(const QueueEntry& entry, JobKey teacher) {
    all_.erase(entry);
    const auto bucket = by_teacher_.find(teacher);
    if (bucket == by_teacher_.end()) return;
    bucket->second.erase(entry);
    if (bucket->second.empty()) by_teacher_.erase(bucket);
  }

  const Entries& all() const { return all_; }
  // Jobs that need this teacher; null if none is queued.
  const Entries* WithTeacher(JobKey teacher) const {
    const auto bucket = by_teacher_.find(teacher);
    return bucket == by_teacher_.end() ? nullptr : &bucket->second;
  }

 private:
  Entries all_;
  absl::flat_hash_map<JobKey, Entries> by_teacher_;
};

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_QUEUE_H_
