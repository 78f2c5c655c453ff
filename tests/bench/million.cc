#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/status.h"
#include "retort/v1/worker_service.pb.h"
#include "tests/bench/benchmarks.h"
#include "tests/bench/client.h"
#include "tests/bench/fleet.h"
#include "tests/bench/probe.h"
#include "tests/bench/report.h"
#include "tests/bench/server_process.h"

namespace retort::bench {
namespace {

constexpr absl::Duration kLimit = absl::Minutes(10);
constexpr int kReads = 20;
constexpr char kSweep[] = "large";

double Ms(absl::Duration duration) { return absl::ToDoubleMilliseconds(duration); }
double Mib(int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); }

// The longest of some repetitions, milliseconds.
template <typename Read>
absl::StatusOr<double> Slowest(const Read& read) {
  double slowest = 0;
  for (int i = 0; i < kReads; ++i) {
    const absl::Time start = absl::Now();
    RETORT_RETURN_IF_ERROR(read().status());
    slowest = std::max(slowest, Ms(absl::Now() - start));
  }
  return slowest;
}

class Million {
 public:
  Million(const MillionOptions& options, const std::string& parent)
      : options_(options), folder_(parent), server_(folder_.path()) {}

  absl::Status Run() {
    RETORT_RETURN_IF_ERROR(server_.Start());
    RETORT_RETURN_IF_ERROR(Submit());
    RETORT_RETURN_IF_ERROR(Read("queued"));
    RETORT_RETURN_IF_ERROR(Restart("queued"));
    RETORT_RETURN_IF_ERROR(Work());
    RETORT_RETURN_IF_ERROR(Read("done"));
    RETORT_RETURN_IF_ERROR(Restart("done"));
    PrintRow("million_memory", Mib(most_memory_), "MiB", 2048, {});
    return server_.Stop();
  }

 private:
  void PrintRow(const std::string& name, double value, const std::string& unit, double target,
                nlohmann::json settings) {
    settings["jobs"] = options_.jobs;
    Print({name, value, unit, target, Better::kLess, std::move(settings)}, folder_.path());
  }

  absl::Status Submit() {
    Client client(server_.address());
    RETORT_ASSIGN_OR_RETURN(weights_, client.Upload("weights"));
    RETORT_RETURN_IF_ERROR(client.UploadDataset());
    Probe probe(server_.address(), weights_);
    absl::SleepFor(absl::Milliseconds(200));
    const absl::Time start = absl::Now();
    const absl::Duration cpu = server_.CpuTime();
    const absl::Status submitted = client.Submit(kSweep, options_.jobs, 1);
    const double submit_s = absl::ToDoubleSeconds(absl::Now() - start);
    RETORT_RETURN_IF_ERROR(probe.Stop());
    RETORT_RETURN_IF_ERROR(submitted);
    RETORT_ASSIGN_OR_RETURN(const v1::Sweep sweep, client.Sweep(kSweep));
    if (sweep.counts().queued() != options_.jobs || sweep.state() != v1::SWEEP_STATE_ACTIVE) {
      return absl::InternalError("jobs are missing: " + sweep.counts().ShortDebugString());
    }
    PrintRow("million_submit", submit_s, "s", 60,
             {{"coordinator_cpu_s", absl::ToDoubleSeconds(server_.CpuTime() - cpu)}});
    const double longest = Percentile(probe.times_ms(), 1);
    PrintRow("million_longest_sync", longest, "ms", 200,
             {{"syncs", probe.times_ms().size()},
              {"p50_ms", Percentile(probe.times_ms(), 0.5)},
              {"p99_ms", Percentile(probe.times_ms(), 0.99)}});
    return absl::OkStatus();
  }

  absl::Status Read(const std::string& when) {
    Client client(server_.address());
    RETORT_ASSIGN_OR_RETURN(const double list, Slowest([&] { return client.Jobs(kSweep); }));
    RETORT_ASSIGN_OR_RETURN(const double failed,
                            Slowest([&] { return client.Jobs(kSweep, {v1::JOB_STATE_FAILED}); }));
    RETORT_ASSIGN_OR_RETURN(const double counts, Slowest([&] { return client.Sweep(kSweep); }));
    const nlohmann::json settings = {{"jobs_are", when}, {"repetitions", kReads}};
    PrintRow("million_first_page", list, "ms", 100, settings);
    PrintRow("million_first_page_failed", failed, "ms", 100, settings);
    PrintRow("million_counts", counts, "ms", 10, settings);
    return absl::OkStatus();
  }

  absl::Status Restart(const std::string& when) {
    NoteMemory();
    server_.Kill();
    const absl::Time start = absl::Now();
    RETORT_RETURN_IF_ERROR(server_.Start());
    Client client(server_.address());
    RETORT_RETURN_IF_ERROR(client.Sweep(kSweep).status());
    const double serving_s = absl::ToDoubleSeconds(absl::Now() - start);
    // The first word of the strand too.
    Fleet fleet({.address = server_.address(), .prefix = "again", .weights_sha256 = weights_});
    v1::AttemptId unknown;
    unknown.set_job(std::string(64, 'e'));
    unknown.set_attempt(1);
    fleet.Send(0, 0, {unknown.SerializeAsString()});
    Fleet::Event event;
    RETORT_ASSIGN_OR_RETURN(const bool came, fleet.Next(absl::Now() + kLimit, event));
    if (!came) return absl::DeadlineExceededError("a Sync was not answered after a restart");
    const double sync_s = absl::ToDoubleSeconds(absl::Now() - start);
    PrintRow("million_restart", std::max(serving_s, sync_s), "s", 10,
             {{"jobs_are", when}, {"memory_mib", Mib(server_.Memory())}});
    NoteMemory();
    return absl::OkStatus();
  }

  // All jobs; the rates of the first and the last.
  absl::Status Work() {
    Fleet fleet({.address = server_.address(),
                 .workers = options_.workers,
                 .slots = options_.slots,
                 .connections = 8,
                 .weights_sha256 = weights_});
    const absl::Time start = absl::Now();
    const absl::Duration start_cpu = server_.CpuTime();
    absl::Duration first_cpu, last_cpu;
    absl::Time first_done, last_begun;
    int64_t first_count = 0, last_from = 0;
    RETORT_RETURN_IF_ERROR(RunJobs(fleet, options_.slots, options_.jobs, kLimit, [&](int64_t done) {
      if (done >= options_.edge && first_count == 0) {
        first_count = done;
        first_done = absl::Now();
        first_cpu = server_.CpuTime() - start_cpu;
      }
      if (done >= options_.jobs - options_.edge && last_from == 0) {
        last_from = done;
        last_begun = absl::Now();
        last_cpu = server_.CpuTime();
      }
    }));
    const absl::Time end = absl::Now();
    last_cpu = server_.CpuTime() - last_cpu;
    Client client(server_.address());
    RETORT_RETURN_IF_ERROR(client.CheckAllSucceeded(kSweep, options_.jobs));
    const double first_rate =
        static_cast<double>(first_count) / absl::ToDoubleSeconds(first_done - start);
    const double last_rate =
        static_cast<double>(options_.jobs - last_from) / absl::ToDoubleSeconds(end - last_begun);
    Row row{"million_last_to_first", last_rate / first_rate, "ratio", 0.8};
    row.settings = {
        {"jobs", options_.jobs},
        {"first_jobs_per_s", first_rate},
        {"last_jobs_per_s", last_rate},
        {"all_jobs_per_s", static_cast<double>(options_.jobs) / absl::ToDoubleSeconds(end - start)},
        {"workers", options_.workers},
        {"slots_per_sync", options_.slots}};
    Print(row, folder_.path());
    return absl::OkStatus();
  }

  void NoteMemory() { most_memory_ = std::max(most_memory_, server_.PeakMemory()); }

  const MillionOptions options_;
  const TemporaryFolder folder_;
  ServerProcess server_;
  std::string weights_;
  int64_t most_memory_ = 0;
};

}  // namespace

absl::Status MeasureMillion(const MillionOptions& options, const std::string& parent) {
  return Million(options, parent).Run();
}

}  // namespace retort::bench
