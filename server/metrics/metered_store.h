// A store that counts what goes through it: commits, and the changes that they make durable.
#ifndef RETORT_SERVER_METRICS_METERED_STORE_H_
#define RETORT_SERVER_METRICS_METERED_STORE_H_

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <functional>
#include <vector>

#include "absl/time/time.h"
#include "server/core/job_state.h"
#include "server/store/store.h"

namespace retort {

// Passes everything on. Only what was committed is counted: a batch that was undone leaves no trace
// but in `retort_commits_total{outcome="not_done"}`.
// Threads: as store::Store; the registry may be read by others meanwhile.
class MeteredStore : public store::Store {
 public:
  // Both outlive it. `monotonic` gives the time, for latencies.
  MeteredStore(store::Store& inner, prometheus::Registry& registry,
               std::function<absl::Duration()> monotonic);

  store::CommitResult Commit(const std::vector<const core::Record*>& records) override;
  void TidyUp() override { inner_.TidyUp(); }
  absl::Status Load(const std::function<void(const core::Record&)>& sink) override;
  absl::Status Reopen() override { return inner_.Reopen(); }
  const store::Reader& reader() const override { return inner_.reader(); }

 private:
  void Count(const core::Record& record);
  void CountState(core::JobState state, double by);

  store::Store& inner_;
  const std::function<absl::Duration()> monotonic_;
  std::array<prometheus::Counter*, 3> commits_{};  // by outcome
  prometheus::Histogram& commit_seconds_;
  prometheus::Histogram& commit_records_;
  prometheus::Counter& points_;
  prometheus::Counter& results_;
  std::array<prometheus::Gauge*, core::kJobStates> jobs_{};
  std::vector<prometheus::Counter*> ends_;  // of attempts, by cause; [0]: with a result
};

}  // namespace retort

#endif  // RETORT_SERVER_METRICS_METERED_STORE_H_
