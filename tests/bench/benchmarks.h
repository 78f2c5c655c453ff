// The measurements, one for each row (or few rows) of the table in README.md. Each starts a
// coordinator of its own, prints its rows, and fails if anything was lost or answered wrongly.
#ifndef RETORT_TESTS_BENCH_BENCHMARKS_H_
#define RETORT_TESTS_BENCH_BENCHMARKS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace retort::bench {

struct ThroughputOptions {
  std::string name = "throughput";  // of the row
  int64_t jobs = 100'000;
  int workers = 64;
  int slots = 16;  // asked for in each Sync
  int connections = 8;
  double target = 50'000;  // 0: none
};
// No-op jobs, submitted, leased and their results acknowledged. Returns jobs per second over all of
// it.
absl::StatusOr<double> MeasureThroughput(const ThroughputOptions& options,
                                         const std::string& parent);

struct PointsOptions {
  int64_t points = 3'000'000;
  int streams = 8;
  int batch = 1000;  // points in a message
  int window = 4;    // batches under way in a stream
  double target = 100'000;
};
// Metric points streamed and acknowledged, with queries meanwhile.
absl::Status MeasurePoints(const PointsOptions& options, const std::string& parent);

struct LatencyOptions {
  int samples = 1000;
  int parked = 4;  // workers that wait
};
// Submit to grant on an idle coordinator.
absl::Status MeasureLatency(const LatencyOptions& options, const std::string& parent);

struct MillionOptions {
  int64_t jobs = 1'000'000;
  int64_t edge = 10'000;  // jobs at either end whose rates are compared
  int workers = 64;
  int slots = 16;
};
// A large sweep: expansion, stalls, lists, restarts, memory, first jobs and last.
absl::Status MeasureMillion(const MillionOptions& options, const std::string& parent);

struct FleetLoadOptions {
  int workers = 2000;
  absl::Duration period = absl::Seconds(5);
  absl::Duration length = absl::Seconds(40);
  int connections = 2000;
};
// Workers with one running job each that sync and have nothing to say.
absl::Status MeasureFleetLoad(const FleetLoadOptions& options, const std::string& parent);

struct ReadsOptions {
  int sweeps = 100;
  int jobs = 1000;            // of each, all done
  int series = 10;            // of each job
  int steps = 50;             // of each series
  int long_series = 100'000;  // steps of one series of one job more
  int subjects = 12;          // that each result tells of
};
// Results, metrics and queries on a coordinator with much behind it, and Syncs meanwhile.
absl::Status MeasureReads(const ReadsOptions& options, const std::string& parent);

struct DaskOptions {
  int64_t dask_tasks = 20'000;
  ThroughputOptions ours = {.name = "throughput_beside_dask", .target = 0};
  double target = 60;
};
// Dask's scheduler and then ours; their ratio.
absl::Status MeasureDask(const DaskOptions& options, const std::string& parent);

}  // namespace retort::bench

#endif  // RETORT_TESTS_BENCH_BENCHMARKS_H_
