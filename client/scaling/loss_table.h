// Observations as a table of size x subject x training, and the points to fit with all of it, or
// with clusters left out or counted several times.
#ifndef RETORT_CLIENT_SCALING_LOSS_TABLE_H_
#define RETORT_CLIENT_SCALING_LOSS_TABLE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/scaling/fit.h"
#include "client/scaling/forms.h"
#include "client/scaling/jackknife.h"

namespace retort::scaling {

// How much each cluster counts in a resample: 1 each is the sample itself.
struct ClusterWeights {
  std::vector<double> subject;
  std::vector<double> training;
};

class LossTable {
 public:
  // More rows than these, as rows, are averaged at each size.
  static constexpr size_t kMaxPoints = 20'000;

  // `size_variables`: 1 leaves Observation::size2 alone. Of points that are means, subjects that
  // lack a size are left out of the whole table, so that every size's loss is over the same
  // subjects. INVALID_ARGUMENT as FitLaw.
  static absl::StatusOr<LossTable> Make(const std::vector<Observation>& observations,
                                        int size_variables, PointsAre points_are);

  // Distinct, ascending.
  const std::vector<Size>& sizes() const { return sizes_; }
  const Centers& centers() const { return centers_; }
  const Clusters& clusters() const { return clusters_; }
  const std::vector<std::string>& dropped_subjects() const { return dropped_subjects_; }
  int size_variables() const { return size_variables_; }
  // Of whole().
  const std::vector<int>& size_of_point() const { return size_of_point_; }

  // One point for each size or row. Subjects without a row at some size are left out of means.
  // Nothing if no subject is left at every size; of rows, if fewer than 2 sizes are left.
  std::optional<Points> Resampled(const ClusterWeights& weights) const;
  std::optional<Points> Without(const LeftOut& left_out) const;
  const Points& whole() const { return whole_; }
  // Every cluster once.
  ClusterWeights EqualWeights() const;

  // The table without the sizes from `first` on, in the order of sizes(), with the same subjects.
  LossTable UpTo(size_t first) const;
  // The mean loss at each size as Resampled() has it; of points that are means.
  std::optional<std::vector<double>> MeanLosses(const ClusterWeights& weights) const;
  ClusterWeights WeightsWithout(const LeftOut& left_out) const;

 private:
  struct Cell {
    int size;
    int subject;
    int training;
    double loss;  // mean of the rows; of points that are rows, its logarithm
  };

  void FillCells(const std::vector<Observation>& observations);
  void FillRows(const std::vector<Observation>& observations);
  // Sets what follows from sizes and cells.
  void Finish();
  void AddPoint(int size, double log_loss, double weight, Points& points) const;
  std::optional<Points> Build(const ClusterWeights& weights) const;
  Points ResampledRows(const ClusterWeights& weights) const;
  Points ResampledMeansOfRows(const ClusterWeights& weights) const;

  int size_variables_ = 1;
  PointsAre points_are_ = PointsAre::kMeans;
  std::vector<Size> sizes_;
  Centers centers_;
  Clusters clusters_{{}};
  std::vector<std::string> dropped_subjects_;
  std::vector<Cell> cells_;  // sparse
  Points whole_;
  std::vector<int> size_of_point_;
};

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_LOSS_TABLE_H_
