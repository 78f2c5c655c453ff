#include "client/scaling/loss_table.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace retort::scaling {
namespace {

absl::Status Check(const Observation& row, size_t index, int size_variables) {
  const auto wrong = [&](const char* field, double value) {
    return absl::InvalidArgumentError(absl::StrCat("observation ", index + 1, ": ", field, " is ",
                                                   value, "; a positive, finite number is needed"));
  };
  const auto good = [](double value) { return std::isfinite(value) && value > 0; };
  if (!good(row.size)) return wrong("size", row.size);
  if (size_variables == 2 && !good(row.size2)) return wrong("size2", row.size2);
  if (!good(row.loss)) return wrong("loss", row.loss);
  return absl::OkStatus();
}

Size SizeOf(const Observation& row, int size_variables) {
  return {row.size, size_variables == 2 ? row.size2 : 0};
}

ClusterLabels LabelsOf(const Observation& row) { return {row.subject, row.fold, row.seed}; }

Clusters ClustersOf(const std::vector<Observation>& observations) {
  std::vector<ClusterLabels> labels;
  labels.reserve(observations.size());
  for (const Observation& row : observations) labels.push_back(LabelsOf(row));
  return Clusters(labels);
}

}  // namespace

absl::StatusOr<LossTable> LossTable::Make(const std::vector<Observation>& observations,
                                          int size_variables, PointsAre points_are) {
  if (observations.empty()) {
    return absl::InvalidArgumentError(
        "observations: there are none; a law needs losses at 3 sizes or more");
  }
  LossTable table;
  table.size_variables_ = size_variables;
  table.points_are_ = points_are;
  std::set<Size> sizes;
  for (size_t i = 0; i < observations.size(); ++i) {
    RETORT_RETURN_IF_ERROR(Check(observations[i], i, size_variables));
    sizes.insert(SizeOf(observations[i], size_variables));
  }
  table.sizes_.assign(sizes.begin(), sizes.end());
  if (points_are == PointsAre::kRows) {
    if (sizes.size() > kMaxPoints) {
      return absl::InvalidArgumentError(
          absl::StrCat("observations: ", observations.size(), " rows at ", sizes.size(),
                       " distinct sizes; at most ", kMaxPoints,
                       " sizes are fitted: a law shows as well with a sample of them"));
    }
    table.FillRows(observations);
    table.Finish();
    return table;
  }

  std::map<std::string, std::set<Size>> sizes_of;
  for (const Observation& row : observations)
    sizes_of[row.subject].insert(SizeOf(row, size_variables));
  std::set<std::string> subjects;
  for (const auto& [subject, tested_at] : sizes_of) {
    if (tested_at.size() == sizes.size()) {
      subjects.insert(subject);
    } else {
      table.dropped_subjects_.push_back(subject);
    }
  }
  if (subjects.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "observations: none of the ", sizes_of.size(), " subjects was tested at all ", sizes.size(),
        " sizes; losses at different sizes must be of the same subjects"));
  }
  std::vector<Observation> kept;
  for (const Observation& row : observations) {
    if (subjects.contains(row.subject)) kept.push_back(row);
  }
  table.FillCells(kept);
  table.Finish();
  return table;
}

void LossTable::FillCells(const std::vector<Observation>& observations) {
  clusters_ = ClustersOf(observations);
  std::map<std::tuple<int, int, int>, std::pair<double, int>> sums;
  for (const Observation& row : observations) {
    const auto size = std::lower_bound(sizes_.begin(), sizes_.end(), SizeOf(row, size_variables_));
    auto& [sum, count] =
        sums[{static_cast<int>(size - sizes_.begin()), clusters_.SubjectOf(LabelsOf(row)),
              clusters_.TrainingOf(LabelsOf(row))}];
    sum += row.loss;
    ++count;
  }
  for (const auto& [key, sum] : sums) {
    const auto& [size, subject, training] = key;
    cells_.push_back({size, subject, training, sum.first / sum.second});
  }
}

void LossTable::FillRows(const std::vector<Observation>& observations) {
  clusters_ = ClustersOf(observations);
  cells_.reserve(observations.size());
  for (const Observation& row : observations) {
    const auto size = std::lower_bound(sizes_.begin(), sizes_.end(), SizeOf(row, size_variables_));
    cells_.push_back({static_cast<int>(size - sizes_.begin()), clusters_.SubjectOf(LabelsOf(row)),
                      clusters_.TrainingOf(LabelsOf(row)), std::log(row.loss)});
  }
}

void LossTable::Finish() {
  centers_ = {};
  const auto count = static_cast<double>(sizes_.size());
  for (const Size& size : sizes_) {
    centers_.size += std::log(size.size) / count;
    if (size_variables_ == 2) centers_.size2 += std::log(size.size2) / count;
  }
  size_of_point_.clear();
  if (points_are_ == PointsAre::kRows && cells_.size() <= kMaxPoints) {
    for (const Cell& cell : cells_) size_of_point_.push_back(cell.size);
  } else {
    for (size_t i = 0; i < sizes_.size(); ++i) size_of_point_.push_back(static_cast<int>(i));
  }
  whole_ = *Build(EqualWeights());  // a table of means has a subject at every size
}

LossTable LossTable::UpTo(size_t first) const {
  LossTable table = *this;
  table.sizes_.resize(first);
  std::erase_if(table.cells_,
                [&](const Cell& cell) { return cell.size >= static_cast<int>(first); });
  table.Finish();
  return table;
}

ClusterWeights LossTable::EqualWeights() const {
  size_t trainings = 0;
  for (const std::vector<int>& of_fold : clusters_.trainings_by_fold()) trainings += of_fold.size();
  return {std::vector<double>(clusters_.subjects(), 1.0), std::vector<double>(trainings, 1.0)};
}

ClusterWeights LossTable::WeightsWithout(const LeftOut& left_out) const {
  ClusterWeights weights = EqualWeights();
  if (left_out.subject) weights.subject[*left_out.subject] = 0;
  if (left_out.training) weights.training[*left_out.training] = 0;
  if (left_out.fold) {
    for (const int training : clusters_.trainings_by_fold()[*left_out.fold])
      weights.training[training] = 0;
  }
  return weights;
}

std::optional<Points> LossTable::Without(const LeftOut& left_out) const {
  return Resampled(WeightsWithout(left_out));
}

void LossTable::AddPoint(int size, double log_loss, double weight, Points& points) const {
  points.log_size.push_back(std::log(sizes_[size].size) - centers_.size);
  if (size_variables_ == 2)
    points.log_size2.push_back(std::log(sizes_[size].size2) - centers_.size2);
  points.log_loss.push_back(log_loss);
  points.weight.push_back(weight);
}

std::optional<Points> LossTable::Resampled(const ClusterWeights& weights) const {
  auto points = Build(weights);
  if (!points || points_are_ == PointsAre::kMeans) return points;
  const std::vector<double>& sizes = points->log_size;
  const bool several =
      std::any_of(sizes.begin(), sizes.end(), [&](double size) { return size != sizes.front(); });
  return several ? std::move(points) : std::nullopt;
}

std::optional<Points> LossTable::Build(const ClusterWeights& weights) const {
  if (points_are_ == PointsAre::kRows) {
    return cells_.size() <= kMaxPoints ? ResampledRows(weights) : ResampledMeansOfRows(weights);
  }
  const auto losses = MeanLosses(weights);
  if (!losses) return std::nullopt;
  Points points;
  points.centers = centers_;
  for (size_t i = 0; i < sizes_.size(); ++i)
    AddPoint(static_cast<int>(i), std::log((*losses)[i]), 1, points);
  return points;
}

Points LossTable::ResampledRows(const ClusterWeights& weights) const {
  Points points;
  points.centers = centers_;
  for (const Cell& cell : cells_) {
    const double weight = weights.subject[cell.subject] * weights.training[cell.training];
    if (weight == 0) continue;
    AddPoint(cell.size, cell.loss, weight, points);
  }
  return points;
}

Points LossTable::ResampledMeansOfRows(const ClusterWeights& weights) const {
  std::vector<double> sum(sizes_.size(), 0.0), count(sizes_.size(), 0.0);
  for (const Cell& cell : cells_) {
    const double weight = weights.subject[cell.subject] * weights.training[cell.training];
    sum[cell.size] += weight * cell.loss;
    count[cell.size] += weight;
  }
  Points points;
  points.centers = centers_;
  for (size_t i = 0; i < sizes_.size(); ++i) {
    if (count[i] > 0) AddPoint(static_cast<int>(i), sum[i] / count[i], count[i], points);
  }
  return points;
}

std::optional<std::vector<double>> LossTable::MeanLosses(const ClusterWeights& weights) const {
  const size_t subjects = clusters_.subjects();
  std::vector<double> sum(sizes_.size() * subjects, 0.0);
  std::vector<double> count(sum.size(), 0.0);
  for (const Cell& cell : cells_) {
    const size_t at = cell.size * subjects + cell.subject;
    sum[at] += weights.training[cell.training] * cell.loss;
    count[at] += weights.training[cell.training];
  }
  std::vector<double> losses(sizes_.size(), 0.0);
  double kept = 0;
  for (size_t subject = 0; subject < subjects; ++subject) {
    bool everywhere = weights.subject[subject] > 0;
    for (size_t size = 0; size < sizes_.size(); ++size)
      everywhere &= count[size * subjects + subject] > 0;
    if (!everywhere) continue;
    kept += weights.subject[subject];
    for (size_t size = 0; size < sizes_.size(); ++size) {
      const size_t at = size * subjects + subject;
      losses[size] += weights.subject[subject] * sum[at] / count[at];
    }
  }
  if (kept == 0) return std::nullopt;
  for (double& loss : losses) loss /= kept;
  return losses;
}

}  // namespace retort::scaling
