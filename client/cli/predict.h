// Runs a trained network over a prepared dataset, by way of `retort-runner predict`.
#ifndef RETORT_CLIENT_CLI_PREDICT_H_
#define RETORT_CLIENT_CLI_PREDICT_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/context.h"

namespace retort {

// A folder that goes away with all in it.
class TemporaryFolder {
 public:
  static absl::StatusOr<TemporaryFolder> Make();
  TemporaryFolder(TemporaryFolder&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  TemporaryFolder& operator=(TemporaryFolder&&) = delete;
  ~TemporaryFolder();
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  explicit TemporaryFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// INVALID_ARGUMENT: the file is missing, or not weights of a job.
absl::Status CheckWeightsFile(const std::string& path);

// One row per window and channel, in order, as `retort model predict` prints it. Both are files
// that were checked. CANCELLED after Ctrl-C; INVALID_ARGUMENT with what the runner said;
// NOT_FOUND: there is no runner.
absl::StatusOr<std::vector<Json>> PredictDataset(const std::string& weights,
                                                 const std::string& dataset);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_PREDICT_H_
