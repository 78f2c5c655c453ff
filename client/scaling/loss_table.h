// Observations as a table of size x subject x training, and the loss at each size with or without a
// cluster.
#ifndef RETORT_CLIENT_SCALING_LOSS_TABLE_H_
#define RETORT_CLIENT_SCALING_LOSS_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/scaling/fit.h"
#include "client/scaling/jackknife.h"

namespace retort::scaling {

class LossTable {
 public:
  // Subjects that lack a size are left out of the whole table, so that every size's loss is over
  // the same subjects. INVALID_ARGUMENT as FitLaw.
  static absl::StatusOr<LossTable> Make(const std::vector<Observation>& observations);

  // Distinct, ascending.
  const std::vector<double>& sizes() const { return sizes_; }
  const Clusters& clusters() const { return clusters_; }
  const std::vector<std::string>& dropped_subjects() const { return dropped_subjects_; }

  // Per size: the mean over subjects of the mean over seeds, without a cluster. Nothing if no
  // subject is left at every size.
  std::optional<std::vector<double>> Losses(const LeftOut& left_out) const;

 private:
  struct Cell {
    int size;
    int subject;
    int training;
    double loss;  // mean of the rows
  };

  std::vector<double> sizes_;
  Clusters clusters_{{}};
  std::vector<std::string> dropped_subjects_;
  std::vector<Cell> cells_;  // sparse
};

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_LOSS_TABLE_H_
