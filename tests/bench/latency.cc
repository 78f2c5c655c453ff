#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/status.h"
#include "tests/bench/benchmarks.h"
#include "tests/bench/client.h"
#include "tests/bench/fleet.h"
#include "tests/bench/report.h"
#include "tests/bench/server_process.h"

namespace retort::bench {
namespace {

constexpr absl::Duration kRest = absl::Milliseconds(3);  // so that the coordinator is idle again
constexpr absl::Duration kLimit = absl::Seconds(30);
constexpr double kTargetMs = 10;

Row RowOf(const std::string& name, std::vector<double>& sample, const LatencyOptions& options) {
  Row row{name, Percentile(sample, 0.99), "ms", kTargetMs, Better::kLess};
  row.settings = {{"samples", options.samples},
                  {"parked_workers", options.parked},
                  {"p50_ms", Percentile(sample, 0.5)},
                  {"p90_ms", Percentile(sample, 0.9)},
                  {"max_ms", sample.back()}};
  return row;
}

// One job: submits it, waits for its lease, and for its result to be acknowledged.
absl::Status Once(Fleet& fleet, Client& client, int n, std::vector<double>& grant_ms,
                  std::vector<double>& submit_ms) {
  absl::Status submission;
  const absl::Time start = absl::Now();
  absl::Time answered;
  std::thread submitter([&] {
    submission = client.Submit(absl::StrCat("one-", n), 1, n);
    answered = absl::Now();
  });
  Fleet::Event event;
  while (event.answer.leases.empty()) {
    auto came = fleet.Next(start + kLimit, event);
    if (!came.ok() || !*came) {
      submitter.join();
      return came.ok() ? absl::DeadlineExceededError("no lease came") : came.status();
    }
    if (event.answer.leases.empty()) fleet.Send(event.worker, 1);
  }
  grant_ms.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
  submitter.join();
  RETORT_RETURN_IF_ERROR(submission);
  submit_ms.push_back(absl::ToDoubleMilliseconds(answered - start));
  fleet.Send(event.worker, 0, event.answer.leases);
  const int worker = event.worker;
  for (bool acknowledged = false; !acknowledged;) {
    RETORT_ASSIGN_OR_RETURN(const bool came, fleet.Next(absl::Now() + kLimit, event));
    if (!came) return absl::DeadlineExceededError("no acknowledgement came");
    acknowledged = event.worker == worker && event.answer.acknowledged == 1;
    fleet.Send(event.worker, 1);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status MeasureLatency(const LatencyOptions& options, const std::string& parent) {
  const TemporaryFolder folder(parent);
  ServerProcess server(folder.path());
  RETORT_RETURN_IF_ERROR(server.Start());
  Client client(server.address());
  RETORT_ASSIGN_OR_RETURN(const std::string weights, client.Upload("weights"));
  Fleet fleet({.address = server.address(),
               .workers = options.parked,
               .connections = options.parked,
               .weights_sha256 = weights});
  for (int i = 0; i < options.parked; ++i) fleet.Send(i, 1);
  std::vector<double> grant_ms, submit_ms;
  for (int n = 0; n < options.samples + 10; ++n) {
    if (n == 10) grant_ms.clear(), submit_ms.clear();  // the first are to warm up
    absl::SleepFor(kRest);
    RETORT_RETURN_IF_ERROR(Once(fleet, client, n + 1, grant_ms, submit_ms));
  }
  RETORT_ASSIGN_OR_RETURN(const std::vector<double> results,
                          client.Numbers("SELECT count(*) FROM results"));
  if (results[0] != options.samples + 10) return absl::InternalError("results are missing");
  RETORT_RETURN_IF_ERROR(server.Stop());
  Print(RowOf("submit_to_grant_p99", grant_ms, options), folder.path());
  Print(RowOf("submit_answered_p99", submit_ms, options), folder.path());
  return absl::OkStatus();
}

}  // namespace retort::bench
