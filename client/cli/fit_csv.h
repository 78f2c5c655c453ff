// Losses for `retort fit --csv`, from any CSV file with a header line.
#ifndef RETORT_CLIENT_CLI_FIT_CSV_H_
#define RETORT_CLIENT_CLI_FIT_CSV_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "client/scaling/fit.h"

namespace retort {

// Names of columns; empty where none is meant.
struct FitCsvColumns {
  std::string loss;
  std::string size;
  std::string size2;
  std::vector<std::string> groups;  // a fit for each combination of their values
  std::string cluster;              // rows of one cluster share an error
};

// The rows of one fit.
struct FitCsvGroup {
  std::vector<std::string> values;  // of the group columns, in their order
  std::vector<scaling::Observation> rows;
  // kMeans where half of the clusters or more have rows at every size, as subjects who were tested
  // with every network have; kRows otherwise, and without clusters.
  scaling::PointsAre points_are = scaling::PointsAre::kRows;
};

// Groups in the order of their first rows. RFC 4180; blank lines are skipped. INVALID_ARGUMENT
// names file, line, column, value and what would be right: no column of that name, a row of another
// width, a size or loss that is no positive, finite number, no rows.
absl::StatusOr<std::vector<FitCsvGroup>> ReadFitCsv(std::string_view text, const std::string& file,
                                                    const FitCsvColumns& columns);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_FIT_CSV_H_
