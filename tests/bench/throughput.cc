#include <thread>

#include "absl/time/clock.h"
#include "common/status.h"
#include "tests/bench/benchmarks.h"
#include "tests/bench/client.h"
#include "tests/bench/fleet.h"
#include "tests/bench/report.h"
#include "tests/bench/server_process.h"

namespace retort::bench {
namespace {

constexpr absl::Duration kNoProgress = absl::Seconds(120);

}  // namespace

absl::StatusOr<double> MeasureThroughput(const ThroughputOptions& options,
                                         const std::string& parent) {
  const TemporaryFolder folder(parent);
  ServerProcess server(folder.path());
  RETORT_RETURN_IF_ERROR(server.Start());
  Client client(server.address());
  RETORT_ASSIGN_OR_RETURN(const std::string weights, client.Upload("weights"));
  RETORT_RETURN_IF_ERROR(client.UploadDataset());
  Fleet fleet({.address = server.address(),
               .workers = options.workers,
               .slots = options.slots,
               .connections = options.connections,
               .weights_sha256 = weights});

  const absl::Duration server_cpu = server.CpuTime(), own_cpu = OwnCpuTime();
  const absl::Time start = absl::Now();
  absl::Time submitted, first;
  absl::Status submission;
  std::thread submitter([&] {
    submission = client.Submit("noop", options.jobs, 1);
    submitted = absl::Now();
  });
  const absl::Status ran =
      RunJobs(fleet, options.slots, options.jobs, kNoProgress, [&first](int64_t done) {
        if (done > 0 && first == absl::UnixEpoch()) first = absl::Now();
      });
  const absl::Time end = absl::Now();
  submitter.join();
  RETORT_RETURN_IF_ERROR(submission);
  RETORT_RETURN_IF_ERROR(ran);
  const absl::Duration server_used = server.CpuTime() - server_cpu,
                       own_used = OwnCpuTime() - own_cpu;
  RETORT_RETURN_IF_ERROR(client.CheckAllSucceeded("noop", options.jobs));

  const double whole_s = absl::ToDoubleSeconds(end - start);
  const double rate = static_cast<double>(options.jobs) / whole_s;
  Row row{.name = options.name, .value = rate, .unit = "jobs/s"};
  if (options.target > 0) row.target = options.target;
  row.settings = {{"jobs", options.jobs},
                  {"workers", options.workers},
                  {"slots_per_sync", options.slots},
                  {"connections", options.connections},
                  {"submit_s", absl::ToDoubleSeconds(submitted - start)},
                  {"after_submission_jobs_per_s",
                   static_cast<double>(options.jobs) / absl::ToDoubleSeconds(end - submitted)},
                  {"syncs", fleet.calls()},
                  {"coordinator_cpu_s", absl::ToDoubleSeconds(server_used)},
                  {"generator_cpu_s", absl::ToDoubleSeconds(own_used)},
                  {"wall_s", whole_s},
                  {"coordinator_peak_mib", static_cast<double>(server.PeakMemory()) / (1 << 20)}};
  RETORT_RETURN_IF_ERROR(server.Stop());
  Print(row, folder.path());
  return rate;
}

}  // namespace retort::bench
