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

absl::Status Check(const Observation& row, size_t index) {
  const auto wrong = [&](const char* field, double value) {
    return absl::InvalidArgumentError(absl::StrCat("observation ", index + 1, ": ", field, " is ",
                                                   value, "; a positive, finite number is needed"));
  };
  if (!std::isfinite(row.size) || row.size <= 0) return wrong("size", row.size);
  if (!std::isfinite(row.loss) || row.loss <= 0) return wrong("loss", row.loss);
  return absl::OkStatus();
}

ClusterLabels LabelsOf(const Observation& row) { return {row.subject, row.fold, row.seed}; }

}  // namespace

absl::StatusOr<LossTable> LossTable::Make(const std::vector<Observation>& observations) {
  if (observations.empty()) {
    return absl::InvalidArgumentError(
        "observations: there are none; a law needs losses at 3 sizes or more");
  }
  std::set<double> sizes;
  std::map<std::string, std::set<double>> sizes_of;
  for (size_t i = 0; i < observations.size(); ++i) {
    RETORT_RETURN_IF_ERROR(Check(observations[i], i));
    sizes.insert(observations[i].size);
    sizes_of[observations[i].subject].insert(observations[i].size);
  }

  LossTable table;
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

  std::vector<ClusterLabels> labels;
  for (const Observation& row : observations) {
    if (subjects.contains(row.subject)) labels.push_back(LabelsOf(row));
  }
  table.clusters_ = Clusters(labels);
  table.sizes_.assign(sizes.begin(), sizes.end());
  std::map<std::tuple<int, int, int>, std::pair<double, int>> sums;
  for (const Observation& row : observations) {
    if (!subjects.contains(row.subject)) continue;
    const auto size = std::lower_bound(table.sizes_.begin(), table.sizes_.end(), row.size);
    auto& [sum, count] =
        sums[{static_cast<int>(size - table.sizes_.begin()),
              table.clusters_.SubjectOf(LabelsOf(row)), table.clusters_.TrainingOf(LabelsOf(row))}];
    sum += row.loss;
    ++count;
  }
  for (const auto& [key, sum] : sums) {
    const auto& [size, subject, training] = key;
    table.cells_.push_back({size, subject, training, sum.first / sum.second});
  }
  return table;
}

std::optional<std::vector<double>> LossTable::Losses(const LeftOut& left_out) const {
  const size_t subjects = clusters_.subjects();
  std::vector<double> sum(sizes_.size() * subjects, 0.0);
  std::vector<int> count(sum.size(), 0);
  for (const Cell& cell : cells_) {
    if (left_out.subject == cell.subject || left_out.training == cell.training) continue;
    const size_t at = cell.size * subjects + cell.subject;
    sum[at] += cell.loss;
    ++count[at];
  }
  std::vector<double> losses(sizes_.size(), 0.0);
  int kept = 0;
  for (size_t subject = 0; subject < subjects; ++subject) {
    bool everywhere = true;
    for (size_t size = 0; size < sizes_.size(); ++size)
      everywhere &= count[size * subjects + subject] > 0;
    if (!everywhere) continue;
    ++kept;
    for (size_t size = 0; size < sizes_.size(); ++size) {
      const size_t at = size * subjects + subject;
      losses[size] += sum[at] / count[at];
    }
  }
  if (kept == 0) return std::nullopt;
  for (double& loss : losses) loss /= kept;
  return losses;
}

}  // namespace retort::scaling
