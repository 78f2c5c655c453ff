// What a sweep's results say, computed from its jobs: the rows, one row per group for people, each
// method beside its scratch twins, and the scaling laws. Pure but for writing to the context.
#ifndef RETORT_CLIENT_CLI_RESULTS_H_
#define RETORT_CLIENT_CLI_RESULTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/cli/context.h"
#include "client/cli/fit_rows.h"
#include "client/cli/table.h"
#include "retort/v1/resources.pb.h"

namespace retort {

// A sweep's jobs with their results, in the order of expansion.
struct SweepResults {
  v1::Sweep sweep;
  std::vector<v1::Job> jobs;
  // Of each job: it counts in tables, comparisons and fits. Jobs without a result never do; where
  // the sweep selects, only the job with the smallest error on validation of each (dataset,
  // teacher, model, method, seed, fold).
  std::vector<bool> selected;
};

// Marks what counts.
SweepResults Select(v1::Sweep sweep, std::vector<v1::Job> jobs);

// Fetches and selects. NOT_FOUND: no such sweep.
absl::StatusOr<SweepResults> FetchResults(Client& client, const std::string& sweep);

// One row per job. `train` tells the training values that the sweep varies.
std::vector<Json> ResultRows(const SweepResults& results);

// One row per (kind, model, method, teacher) of the selected jobs, and per training values where
// the sweep varies them, neither selects among them nor moves them together with another axis.
// See GroupedBy (groups.h).
std::vector<Json> GroupedRows(const SweepResults& results);
const std::vector<Column>& GroupedColumns();
// The columns with the training values behind the teacher, if any row has some.
std::vector<Column> WithTrain(std::vector<Column> columns, const std::vector<Json>& rows);

// `Floors on the same windows: ...`, or empty without results.
std::string FloorsLine(const SweepResults& results);

// What the tables do not show: jobs that are not done, that failed. Empty if there is nothing.
std::string MissingLine(const SweepResults& results);

// Each method beside its scratch twins, one row per method and arm; empty where there is nothing to
// compare.
absl::StatusOr<std::vector<Json>> MethodRows(const SweepResults& results);
const std::vector<Column>& MethodColumns();

// The law of each (family, method, teacher) that was run in at least three sizes, by default a
// power law. `size`: `params_body`, `params` or `macs`. Forms of two sizes have one law for each
// (family, method), over all teachers that the sweep trained: the second size is the teacher's
// error
// (`distill`) or its own size (`power2`). A group that cannot be fitted has a warning that says
// why, and nulls.
std::vector<Json> FitRows(const SweepResults& results, const std::string& size,
                          const FitRequest& request = {});
// The labels of a fit, and those with the parameters of a power law.
const std::vector<Column>& FitLabels();
const std::vector<Column>& FitColumns();

// What people should know of the fits: each row's warnings, every sentence once.
void PrintWarnings(Context& context, const std::vector<Json>& fits);

// Each method beside its scratch twins, with why a verdict is missing; nothing where there is
// nothing to compare.
void PrintMethods(Context& context, const SweepResults& results);

// The table, the comparison of methods and the fits, for people, as `retort local` ends.
void PrintReport(Context& context, const SweepResults& results);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_RESULTS_H_
