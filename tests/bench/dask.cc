#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "tests/bench/benchmarks.h"
#include "tests/bench/report.h"

namespace retort::bench {
namespace {

// What the script prints: one line of JSON.
absl::StatusOr<nlohmann::json> RunScript(int64_t tasks) {
  const std::string command =
      absl::StrCat("/usr/bin/python3 " RETORT_SOURCE_DIR "/tests/bench/dask_noop.py ", tasks);
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return absl::InternalError(command + " cannot be started");
  std::string text;
  char bytes[4096];
  while (const size_t n = fread(bytes, 1, sizeof bytes, pipe)) text.append(bytes, n);
  const int status = pclose(pipe);
  auto line = nlohmann::json::parse(text, nullptr, false);
  if (status == 0 && line.is_object()) return line;
  return absl::InternalError(absl::StrCat(
      command, " failed; is python3-distributed installed (deploy/install.sh --bench)?"));
}

}  // namespace

absl::Status MeasureDask(const DaskOptions& options, const std::string& parent) {
  RETORT_ASSIGN_OR_RETURN(const nlohmann::json dask, RunScript(options.dask_tasks));
  RETORT_ASSIGN_OR_RETURN(const double ours, MeasureThroughput(options.ours, parent));
  const double theirs = dask.at("tasks_per_s").get<double>();
  Row row{"times_dask", ours / theirs, "ratio", options.target};
  row.settings = {{"ours_jobs_per_s", ours}, {"dask", dask}};
  Print(row, parent);
  return absl::OkStatus();
}

}  // namespace retort::bench
