// The jobs that a sweep expands to (expand.h), made from their patterns when they are asked for:
// while others are stored, and without a million of them in memory.
#ifndef RETORT_SERVER_CORE_EXPANSION_H_
#define RETORT_SERVER_CORE_EXPANSION_H_

#include <cstdint>
#include <vector>

#include "common/ids.h"
#include "server/core/records.h"

namespace retort::core {

// Pure.
class Expansion {
 public:
  static constexpr int32_t kNoTeacher = -1;

  int64_t size() const { return static_cast<int64_t>(entries_.size()); }
  // The jobs at `first` and after it: so many, or as many as there are.
  std::vector<NewJob> Jobs(int64_t first, int64_t count) const;
  // Of the job at `position`; from 0 to size() - 1.
  const JobId& id(int64_t position) const;
  double expected_cost(int64_t position) const;

  // For whoever expands. Room for so many jobs.
  void Reserve(int64_t jobs) { entries_.reserve(static_cast<size_t>(jobs)); }
  // What jobs that differ in id, seed and teacher's job alone have in common; numbered from 0.
  // The spec is without seed and teacher_job.
  int32_t AddPattern(NewJob pattern);
  // One more job. Its teacher, a position or kNoTeacher, stands before it.
  void Add(const JobId& id, int32_t pattern, int64_t seed, int32_t teacher);

 private:
  struct Entry {
    JobId id;
    int64_t seed;
    int32_t pattern;
    int32_t teacher;
  };

  std::vector<NewJob> patterns_;
  std::vector<Entry> entries_;
};

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_EXPANSION_H_
