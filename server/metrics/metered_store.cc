#include "server/metrics/metered_store.h"

#include <utility>
#include <variant>

#include "common/fields.h"
#include "retort/v1/resources.pb.h"
#include "server/core/records.h"

namespace retort {
namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;
using prometheus::Histogram;

// The numbers are those of the protos.
std::string CauseWord(int cause) { return EnumWord(*v1::FailureCause_descriptor(), cause); }
std::string StateWord(int index) { return EnumWord(*v1::JobState_descriptor(), index + 1); }

Histogram& SecondsOf(prometheus::Registry& registry) {
  return BuildHistogram()
      .Name("retort_commit_seconds")
      .Help("How long a transaction took until it was durable.")
      .Register(registry)
      .Add({}, Histogram::BucketBoundaries{0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2,
                                           0.5, 1, 2, 5});
}

Histogram& RecordsOf(prometheus::Registry& registry) {
  return BuildHistogram()
      .Name("retort_commit_records")
      .Help("Changes that one transaction wrote.")
      .Register(registry)
      .Add({}, Histogram::BucketBoundaries{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000});
}

prometheus::Counter& CounterOf(prometheus::Registry& registry, const char* name, const char* help) {
  return BuildCounter().Name(name).Help(help).Register(registry).Add({});
}

}  // namespace

MeteredStore::MeteredStore(store::Store& inner, prometheus::Registry& registry,
                           std::function<absl::Duration()> monotonic)
    : inner_(inner),
      monotonic_(std::move(monotonic)),
      commit_seconds_(SecondsOf(registry)),
      commit_records_(RecordsOf(registry)),
      points_(CounterOf(registry, "retort_metric_points_total",
                        "Points of metrics that were made durable.")),
      results_(CounterOf(registry, "retort_results_total", "Results that were accepted.")) {
  auto& commits = BuildCounter()
                      .Name("retort_commits_total")
                      .Help(
                          "Transactions: done, not_done (undone in memory; its callers ask "
                          "again), unknown (the database was opened again).")
                      .Register(registry);
  commits_ = {&commits.Add({{"outcome", "done"}}), &commits.Add({{"outcome", "not_done"}}),
              &commits.Add({{"outcome", "unknown"}})};
  auto& jobs = BuildGauge().Name("retort_jobs").Help("Jobs by state.").Register(registry);
  for (int i = 0; i < core::kJobStates; ++i) {
    jobs_[static_cast<size_t>(i)] = &jobs.Add({{"state", StateWord(i)}});
  }
  auto& ends = BuildCounter()
                   .Name("retort_attempts_failed_total")
                   .Help("Attempts that ended without a result, by cause; lost: the lease expired.")
                   .Register(registry);
  const int causes = static_cast<int>(core::FailureCause::kInvalid);
  ends_.push_back(nullptr);
  for (int cause = 1; cause <= causes; ++cause) {
    ends_.push_back(&ends.Add({{"cause", CauseWord(cause)}}));
  }
}

store::CommitResult MeteredStore::Commit(const std::vector<const core::Record*>& records) {
  const absl::Duration begin = monotonic_();
  store::CommitResult result = inner_.Commit(records);
  commits_[static_cast<size_t>(result.outcome)]->Increment();
  if (result.outcome != store::CommitResult::Outcome::kDone) return result;
  commit_seconds_.Observe(absl::ToDoubleSeconds(monotonic_() - begin));
  commit_records_.Observe(static_cast<double>(records.size()));
  for (const core::Record* record : records) Count(*record);
  return result;
}

absl::Status MeteredStore::Load(const std::function<void(const core::Record&)>& sink) {
  // Also after an unknown outcome: what the database holds is counted anew.
  for (prometheus::Gauge* gauge : jobs_) gauge->Set(0);
  return inner_.Load([&](const core::Record& record) {
    if (const auto* created = std::get_if<core::JobCreated>(&record)) {
      CountState(created->row.state, 1);
    }
    sink(record);
  });
}

void MeteredStore::Count(const core::Record& record) {
  if (const auto* created = std::get_if<core::JobCreated>(&record)) {
    CountState(created->row.state, 1);
  } else if (const auto* changed = std::get_if<core::JobChanged>(&record)) {
    CountState(changed->before.state, -1);
    CountState(changed->after.state, 1);
  } else if (const auto* points = std::get_if<core::PointsAdded>(&record)) {
    points_.Increment(points->batch->points_size() - points->skip);
  } else if (std::holds_alternative<core::ResultAccepted>(record)) {
    results_.Increment();
  } else if (const auto* attempt = std::get_if<core::AttemptEnded>(&record)) {
    const auto cause = static_cast<size_t>(attempt->cause);
    if (cause > 0 && cause < ends_.size()) ends_[cause]->Increment();
  }
}

void MeteredStore::CountState(core::JobState state, double by) {
  jobs_[static_cast<size_t>(core::IndexOf(state))]->Increment(by);
}

}  // namespace retort
