// The client's side: sweeps of no-op jobs, counts, queries. Blocking calls.
#ifndef RETORT_TESTS_BENCH_CLIENT_H_
#define RETORT_TESTS_BENCH_CLIENT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "retort/v1/artifact_service.grpc.pb.h"
#include "retort/v1/result.pb.h"
#include "retort/v1/sweep_service.grpc.pb.h"

namespace retort::bench {

class Client {
 public:
  explicit Client(const std::string& address);

  // Uploads bytes, returns their SHA-256 in hexadecimal digits.
  absl::StatusOr<std::string> Upload(const std::string& bytes);
  // Uploads what all sweeps name; Submit does so where it was not called.
  absl::Status UploadDataset();
  // Submits a sweep of `jobs` jobs without needs (small networks, method scratch), different from
  // those of every other `first_seed`; answers when it is active. `jobs` is 1 to 9 or a multiple
  // of 10.
  absl::Status Submit(const std::string& name, int64_t jobs, int64_t first_seed);
  absl::StatusOr<v1::Sweep> Sweep(const std::string& name);
  absl::StatusOr<v1::ListJobsResponse> Jobs(const std::string& name,
                                            const std::vector<v1::JobState>& states = {});
  // All of a sweep's jobs with specs and results, as `retort results` asks for them: how many.
  absl::StatusOr<int64_t> Results(const std::string& name);
  // Points of a job's series, thinned to `max_points` each: how many.
  absl::StatusOr<int64_t> Points(const std::string& job, const std::string& series, int max_points);
  // The first row of a SELECT, as numbers.
  absl::StatusOr<std::vector<double>> Numbers(const std::string& sql);
  // Fails unless the sweep has `jobs` jobs, all of them succeeded at their first attempt.
  absl::Status CheckAllSucceeded(const std::string& name, int64_t jobs);

 private:
  std::unique_ptr<v1::SweepService::Stub> sweeps_;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts_;
  std::string dataset_sha256_;  // once uploaded
};

}  // namespace retort::bench

#endif  // RETORT_TESTS_BENCH_CLIENT_H_
