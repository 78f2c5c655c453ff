#include "server/core/expansion.h"

#include <algorithm>
#include <utility>

#include "retort/v1/spec.pb.h"

namespace retort::core {

std::vector<NewJob> Expansion::Jobs(int64_t first, int64_t count) const {
  std::vector<NewJob> jobs;
  const int64_t end = std::min(size(), first + count);
  jobs.reserve(static_cast<size_t>(std::max<int64_t>(0, end - first)));
  v1::TrainingSpec own;
  for (int64_t i = first; i < end; ++i) {
    const Entry& entry = entries_[static_cast<size_t>(i)];
    NewJob& job = jobs.emplace_back(patterns_[static_cast<size_t>(entry.pattern)]);
    job.id = entry.id;
    job.seed = entry.seed;
    own.set_seed(entry.seed);
    own.clear_teacher_job();
    if (entry.teacher != kNoTeacher) {
      job.teacher = id(entry.teacher);
      own.set_teacher_job(job.teacher->hex());
    }
    own.AppendToString(&job.spec);  // which sets the two fields
  }
  return jobs;
}

const JobId& Expansion::id(int64_t position) const {
  return entries_[static_cast<size_t>(position)].id;
}

double Expansion::expected_cost(int64_t position) const {
  const auto pattern = entries_[static_cast<size_t>(position)].pattern;
  return patterns_[static_cast<size_t>(pattern)].expected_cost;
}

int32_t Expansion::AddPattern(NewJob pattern) {
  patterns_.push_back(std::move(pattern));
  return static_cast<int32_t>(patterns_.size()) - 1;
}

void Expansion::Add(const JobId& id, int32_t pattern, int64_t seed, int32_t teacher) {
  entries_.push_back({id, seed, pattern, teacher});
}

}  // namespace retort::core
