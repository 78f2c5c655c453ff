// Rows of results: which jobs, in groups over seeds and folds, in which order, with which columns.
// Pure.
#ifndef RETORT_CLIENT_CLI_GROUPS_H_
#define RETORT_CLIENT_CLI_GROUPS_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/context.h"
#include "client/cli/results.h"

namespace retort {

// A mean over subjects of each subject's mean.
class SubjectMean {
 public:
  void Add(const std::string& subject, double value) {
    auto& [sum, count] = by_subject_[subject];
    sum += value;
    ++count;
  }
  int subjects() const { return static_cast<int>(by_subject_.size()); }
  double Mean() const;  // NaN without subjects

 private:
  std::map<std::string, std::pair<double, int>> by_subject_;
};

// Which jobs are shown; what is empty does not narrow. Patterns are globs over labels; that of a
// method may also match its name without settings.
struct ResultFilter {
  std::vector<std::string> methods = {}, students = {}, teachers = {}, kinds = {}, states = {};
  std::vector<int64_t> seeds = {}, folds = {};

  bool empty() const {
    return methods.empty() && students.empty() && teachers.empty() && kinds.empty() &&
           states.empty() && seeds.empty() && folds.empty();
  }
};

// The results of the jobs that match. INVALID_ARGUMENT for a pattern or number that no job of the
// sweep has, with those there are.
absl::StatusOr<SweepResults> Filtered(const SweepResults& results, const ResultFilter& filter);

// What results can be grouped by: kind, student, method, teacher, train, seed, fold.
const std::vector<std::string>& GroupKeys();

// One row per group of the selected jobs, in the order of their first job. `train` keeps apart what
// FieldsOfGroups says. Errors are means over subjects of each subject's mean over its jobs, with
// the 95 % interval over subjects and trainings (null under 6 subjects); shares are weighted by
// windows. What not all jobs of a group have in common is null. INVALID_ARGUMENT for a key that is
// not one.
absl::StatusOr<std::vector<Json>> GroupedBy(const SweepResults& results,
                                            const std::vector<std::string>& keys);

// Sorts by the value at a key, rows without one last. INVALID_ARGUMENT with the keys there are.
absl::Status SortRows(const std::string& key, bool descending, std::vector<Json>& rows);

// The rows with these keys alone, in this order. INVALID_ARGUMENT with the keys there are.
absl::Status KeepColumns(const std::vector<std::string>& keys, std::vector<Json>& rows);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_GROUPS_H_
