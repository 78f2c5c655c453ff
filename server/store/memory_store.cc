#include "server/store/memory_store.h"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/names.h"
#include "retort/v1/worker_service.pb.h"
#include "server/store/messages.h"

namespace retort::store {
namespace {

absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

struct StoredJob {
  core::JobCreated created;                                          // with its row as it is now
  std::map<int32_t, core::AttemptEnded> attempts;                    // that are over
  std::map<std::string, std::map<int64_t, v1::MetricPoint>> points;  // by series, then step
  std::optional<core::ResultAccepted> result;
  std::optional<core::TrainingCheckpoint> checkpoint;
};

struct StoredSweep {
  core::SweepCreated created;  // with its row as it is now
  std::map<int64_t, core::JobKey> members;
};

// All rows; plain maps by key, so that iteration has the order of SQLite's.
struct Content {
  std::map<core::JobKey, StoredJob> jobs;
  std::map<core::SweepKey, StoredSweep> sweeps;
  std::map<core::WorkerKey, core::WorkerRow> workers;
  std::map<std::string, core::RequestAnswer> requests;
  std::map<JobId, core::JobKey> job_keys;
  std::map<std::string, core::SweepKey> sweep_keys;
  std::map<std::string, core::WorkerKey> worker_keys;

  void Do(const core::JobCreated& r) {
    jobs[r.key].created = r;
    job_keys[r.id] = r.key;
  }
  void Do(const core::JobChanged& r) { jobs.at(r.key).created.row = r.after; }
  void Do(const core::SweepCreated& r) {
    sweeps[r.key].created = r;
    sweep_keys[r.fixed.name] = r.key;
  }
  void Do(const core::SweepChanged& r) { sweeps.at(r.key).created.row = r.after; }
  void Do(const core::MemberAdded& r) { sweeps.at(r.sweep).members[r.position] = r.job; }
  void Do(const core::WorkerCreated& r) {
    workers[r.key] = r.row;
    worker_keys[r.row.name] = r.key;
  }
  void Do(const core::WorkerChanged& r) { workers.at(r.key) = r.after; }
  void Do(const core::AttemptEnded& r) { jobs.at(r.job).attempts[r.number] = r; }
  void Do(const core::ResultAccepted& r) { jobs.at(r.job).result = r; }
  void Do(const core::ResultWithdrawn& r) { jobs.at(r.job).result.reset(); }
  void Do(const core::CheckpointChanged& r) { jobs.at(r.job).checkpoint = r.after; }
  void Do(const core::PointsAdded& r) {
    auto& series = jobs.at(r.job).points;
    for (int i = r.skip; i < r.batch->points_size(); ++i) {
      const auto& point = r.batch->points(i);
      series[point.series()].emplace(point.step(), point);
    }
  }
  void Do(const core::PointsDeleted& r) {
    auto& all = jobs.at(r.job).points;
    for (auto series = all.begin(); series != all.end();) {
      series->second.erase(series->second.lower_bound(r.from_step), series->second.end());
      series = series->second.empty() ? all.erase(series) : std::next(series);
    }
  }
  void Do(const core::RequestAnswered& r) { requests[r.request_id] = r.answer; }
  void Do(const core::RequestForgotten& r) { requests.erase(r.request_id); }
};

int64_t ActiveSlots(const Content& content) {
  int64_t slots = 0;
  for (const auto& [key, row] : content.workers) {
    if (row.state == core::WorkerState::kActive && !row.away) {
      slots += static_cast<int64_t>(row.slots.size());
    }
  }
  return slots;
}

v1::Job ListedJob(const Content& content, const StoredJob& job, bool full) {
  const core::JobCreated& created = job.created;
  const core::NewJob& details = *created.details;
  JobParts parts;
  parts.id = created.id;
  if (created.teacher) parts.teacher = content.jobs.at(created.teacher).created.id;
  parts.kind = created.kind;
  parts.expected_cost = created.expected_cost;
  parts.create_ms = created.create_ms;
  parts.row = created.row;
  parts.model = details.model;
  parts.method = details.method;
  parts.teacher_label = details.teacher_label;
  parts.seed = details.seed;
  parts.fold = details.fold;
  parts.epochs = details.epochs;
  if (created.row.worker) parts.worker = content.workers.at(created.row.worker).name;
  for (const auto& [number, attempt] : job.attempts) {
    if (attempt.cause != core::FailureCause::kNone) parts.failure_message = attempt.message;
  }
  if (created.row.state == core::JobState::kRunning) {
    for (const auto& [series, points] : job.points) {
      const auto done = static_cast<int32_t>(points.rbegin()->first + 1);
      parts.epochs_done = std::min(parts.epochs, std::max(parts.epochs_done, done));
    }
  }
  v1::Job out = JobMessage(parts);
  if (full) {
    out.mutable_spec()->ParseFromString(details.spec);
    if (job.result) *out.mutable_result() = *job.result->result;
  }
  return out;
}

class MemoryStore : public Store, private Reader {
 public:
  CommitResult Commit(const std::vector<const core::Record*>& records) override {
    const std::lock_guard lock(mutex_);
    for (const core::Record* record : records) {
      std::visit([this](const auto& r) { content_.Do(r); }, *record);
    }
    return CommitResult::Done();
  }

  absl::Status Load(const std::function<void(const core::Record&)>& sink) override;
  absl::Status Reopen() override { return absl::OkStatus(); }
  const Reader& reader() const override { return *this; }

 private:
  absl::StatusOr<v1::Sweep> Sweep(std::string_view name) const override {
    const std::lock_guard lock(mutex_);
    const auto key = content_.sweep_keys.find(std::string(name));
    if (key == content_.sweep_keys.end()) {
      return absl::NotFoundError(absl::StrCat(SweepName(name), ": no such sweep"));
    }
    const core::SweepCreated& created = content_.sweeps.at(key->second).created;
    v1::Sweep sweep = SweepMessage(created.fixed, created.row, ActiveSlots(content_));
    *sweep.mutable_spec() = *created.spec;
    return sweep;
  }

  absl::StatusOr<SweepPage> Sweeps(std::optional<int64_t> after, int limit) const override;
  absl::StatusOr<JobPage> Jobs(const JobFilter& filter, std::optional<int64_t> after,
                               int limit) const override;
  absl::StatusOr<v1::Job> Job(std::string_view hex_prefix) const override;

  absl::StatusOr<std::vector<std::string>> JobSpecs(
      const std::vector<core::JobKey>& keys) const override {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> specs;
    for (const core::JobKey key : keys) {
      const auto job = content_.jobs.find(key);
      if (job == content_.jobs.end()) {
        return absl::InternalError(absl::StrCat("job ", key.value, " has no spec"));
      }
      specs.push_back(job->second.created.details->spec);
    }
    return specs;
  }

  absl::StatusOr<v1::SweepSpec> SweepSpec(core::SweepKey key) const override {
    const std::lock_guard lock(mutex_);
    const auto sweep = content_.sweeps.find(key);
    if (sweep == content_.sweeps.end()) {
      return absl::DataLossError(absl::StrCat("sweep ", key.value, " has no readable spec"));
    }
    return *sweep->second.created.spec;
  }

  absl::StatusOr<std::vector<v1::MetricPoint>> Metrics(const JobId& job,
                                                       const std::vector<std::string>& series,
                                                       int max_points) const override;

  absl::StatusOr<WorkerPage> Workers(std::string_view after, int limit) const override {
    const std::lock_guard lock(mutex_);
    WorkerPage page;
    auto it = content_.worker_keys.upper_bound(std::string(after));
    for (; it != content_.worker_keys.end(); ++it) {
      if (static_cast<int>(page.workers.size()) == limit) {
        page.next = std::prev(it)->first;
        break;
      }
      page.workers.push_back(WorkerMessage(content_.workers.at(it->second)));
    }
    return page;
  }

  absl::StatusOr<v1::Worker> Worker(std::string_view name) const override {
    const std::lock_guard lock(mutex_);
    const auto key = content_.worker_keys.find(std::string(name));
    if (key == content_.worker_keys.end()) {
      return absl::NotFoundError(absl::StrCat(WorkerName(name), ": no such worker"));
    }
    return WorkerMessage(content_.workers.at(key->second));
  }

  absl::StatusOr<QueryResult> Query(
      std::string_view, const QueryLimits&,
      const std::function<void(const std::vector<std::string>&)>&,
      const std::function<bool(const std::vector<Cell>&)>&) const override {
    return absl::UnimplementedError("the store in memory knows no SQL");
  }

  mutable std::mutex mutex_;
  Content content_;  // guarded by mutex_
};

absl::Status MemoryStore::Load(const std::function<void(const core::Record&)>& sink) {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, sweep] : content_.sweeps) sink(sweep.created);
  for (const auto& [key, row] : content_.workers) sink(core::WorkerCreated{key, row});
  for (const auto& [key, job] : content_.jobs) sink(job.created);
  for (const auto& [key, job] : content_.jobs) {
    if (job.result) sink(*job.result);
  }
  for (const auto& [key, job] : content_.jobs) {
    if (job.checkpoint) sink(core::CheckpointChanged{key, {}, job.checkpoint});
  }
  for (const auto& [key, sweep] : content_.sweeps) {
    for (const auto& [position, job] : sweep.members) {
      sink(core::MemberAdded{key, job, position});
    }
  }
  for (const auto& [id, answer] : content_.requests) sink(core::RequestAnswered{id, answer, {}});
  return absl::OkStatus();
}

absl::StatusOr<SweepPage> MemoryStore::Sweeps(std::optional<int64_t> after, int limit) const {
  const std::lock_guard lock(mutex_);
  const int64_t slots = ActiveSlots(content_);
  const int64_t before = after.value_or(std::numeric_limits<int64_t>::max());
  SweepPage page;
  int64_t last = 0;
  for (auto it = content_.sweeps.rbegin(); it != content_.sweeps.rend(); ++it) {
    if (it->first.value >= before) continue;
    if (static_cast<int>(page.sweeps.size()) == limit) {
      page.next = last;
      break;
    }
    last = it->first.value;
    const core::SweepCreated& created = it->second.created;
    page.sweeps.push_back(SweepMessage(created.fixed, created.row, slots));
  }
  return page;
}

absl::StatusOr<JobPage> MemoryStore::Jobs(const JobFilter& filter, std::optional<int64_t> after,
                                          int limit) const {
  const std::lock_guard lock(mutex_);
  std::map<int64_t, core::JobKey> order;  // by position, or by key
  if (filter.sweep.empty()) {
    for (const auto& [key, job] : content_.jobs) order[key.value] = key;
  } else {
    const auto key = content_.sweep_keys.find(filter.sweep);
    if (key == content_.sweep_keys.end()) {
      return absl::NotFoundError(absl::StrCat(SweepName(filter.sweep), ": no such sweep"));
    }
    order = content_.sweeps.at(key->second).members;
  }
  JobPage page;
  int64_t last = 0;
  for (auto it = order.upper_bound(after.value_or(-1)); it != order.end(); ++it) {
    const StoredJob& job = content_.jobs.at(it->second);
    const auto& states = filter.states;
    if (!states.empty() &&
        std::find(states.begin(), states.end(), job.created.row.state) == states.end()) {
      continue;
    }
    if (static_cast<int>(page.jobs.size()) == limit) {
      page.next = last;
      break;
    }
    last = it->first;
    page.jobs.push_back(ListedJob(content_, job, filter.full));
  }
  return page;
}

absl::StatusOr<v1::Job> MemoryStore::Job(std::string_view hex_prefix) const {
  const auto range = IdRange(hex_prefix);
  if (!range.ok()) return range.status();
  const std::lock_guard lock(mutex_);
  const auto first = content_.job_keys.lower_bound(range->first);
  if (first == content_.job_keys.end() || first->first > range->second) {
    return absl::NotFoundError(absl::StrCat("jobs/", Absl(hex_prefix), ": no such job"));
  }
  const auto second = std::next(first);
  if (second != content_.job_keys.end() && second->first <= range->second) {
    return absl::InvalidArgumentError(
        absl::StrCat("jobs/", Absl(hex_prefix), ": several jobs begin so; give more digits"));
  }
  const StoredJob& job = content_.jobs.at(first->second);
  v1::Job out = ListedJob(content_, job, true);
  for (const auto& [number, attempt] : job.attempts) {
    *out.add_attempts() = AttemptMessage(attempt, content_.workers.at(attempt.worker).name);
  }
  const core::JobRow& row = job.created.row;
  if (core::IsLive(row.state)) {
    core::AttemptEnded live;
    live.number = row.attempt;
    live.lease_ms = row.lease_ms;
    live.start_ms = row.start_ms;
    *out.add_attempts() = AttemptMessage(live, content_.workers.at(row.worker).name);
  }
  for (const auto& [series, points] : job.points) {
    *out.add_latest_metrics() = points.rbegin()->second;
  }
  return out;
}

absl::StatusOr<std::vector<v1::MetricPoint>> MemoryStore::Metrics(
    const JobId& job, const std::vector<std::string>& series, int max_points) const {
  const std::lock_guard lock(mutex_);
  const auto key = content_.job_keys.find(job);
  if (key == content_.job_keys.end()) {
    return absl::NotFoundError(absl::StrCat(JobName(job), ": no such job"));
  }
  std::vector<v1::MetricPoint> out;
  for (const auto& [name, by_step] : content_.jobs.at(key->second).points) {
    if (!series.empty() && std::find(series.begin(), series.end(), name) == series.end()) continue;
    std::vector<const v1::MetricPoint*> points;
    for (const auto& [step, point] : by_step) points.push_back(&point);
    for (const int64_t i : Thinned(static_cast<int64_t>(points.size()), max_points)) {
      out.push_back(*points[static_cast<size_t>(i)]);
    }
  }
  return out;
}

}  // namespace

std::unique_ptr<Store> NewMemoryStore() { return std::make_unique<MemoryStore>(); }

}  // namespace retort::store
