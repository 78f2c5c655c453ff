#include "client/scaling/largest_size.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/scaling/contrast.h"
#include "client/scaling/forms.h"
#include "client/scaling/loss_table.h"
#include "client/scaling/point_fit.h"

namespace retort::scaling {
namespace {

constexpr double kLeastBpm = 0.01;

std::vector<Observation> ObservationsOf(const NetworkTable& table, const std::string& family,
                                        const std::string& arm, int decoding) {
  std::vector<Observation> observations;
  for (const ModelFacts& student : table.students()) {
    if (student.family != family) continue;
    for (const ErrorCell& cell : table.CellsOf(arm, student.name)) {
      observations.push_back({student.params_body, std::max(cell.mae_bpm[decoding], kLeastBpm),
                              std::to_string(cell.subject), cell.training, cell.fold});
    }
  }
  return observations;
}

// The misses of one decoding.
struct Misses {
  double seen = 0;
  double law = 0;       // predicted minus seen
  double constant = 0;  // likewise
};

// A table of all sizes and the law of the smaller ones.
class Prediction {
 public:
  static absl::StatusOr<Prediction> Make(const std::vector<Observation>& observations) {
    auto table = LossTable::Make(observations, 1, PointsAre::kMeans);
    if (!table.ok()) return table.status();
    LossTable smaller = table->UpTo(table->sizes().size() - 1);
    FitOptions options;
    auto fit = FitPoints(LawOf(Form::kPower), smaller, options);
    if (!fit.ok()) return fit.status();
    return Prediction(*std::move(table), std::move(smaller), *std::move(fit));
  }

  const Clusters& clusters() const { return table_.clusters(); }

  std::optional<Misses> Without(const LeftOut& left_out) const {
    const auto losses = table_.MeanLosses(table_.WeightsWithout(left_out));
    if (!losses) return std::nullopt;
    Points points = smaller_.whole();
    Misses misses;
    const size_t n = points.count();
    for (size_t i = 0; i < n; ++i) {
      points.log_loss[i] = std::log((*losses)[i]);
      misses.constant += (*losses)[i] / static_cast<double>(n);
    }
    const Law& law = LawOf(Form::kPower);
    const auto theta = Refit(law, points, fit_, /*more=*/2);
    if (!theta) return std::nullopt;
    const double x = std::log(table_.sizes().back().size) - points.centers.size;
    misses.seen = losses->back();
    misses.law = std::exp(law.log_loss(*theta, x, 0)) - misses.seen;
    misses.constant -= misses.seen;
    return misses;
  }

 private:
  Prediction(LossTable table, LossTable smaller, PointFit fit)
      : table_(std::move(table)), smaller_(std::move(smaller)), fit_(std::move(fit)) {}

  LossTable table_;
  LossTable smaller_;
  PointFit fit_;
};

using AllMisses = std::array<Misses, kDecodings>;

std::optional<AllMisses> MissesWithout(const std::vector<Prediction>& predictions,
                                       const LeftOut& left_out) {
  AllMisses all;
  for (int d = 0; d < kDecodings; ++d) {
    const auto misses = predictions[d].Without(left_out);
    if (!misses) return std::nullopt;
    all[d] = *misses;
  }
  return all;
}

// Of all decodings, law's misses and a constant's.
struct ArmMisses {
  ClaimPart part;
  Estimate law;
  Estimate constant;
};

ArmMisses MissesOf(const NetworkTable& table, const std::string& family, const std::string& arm) {
  ArmMisses arm_misses;
  arm_misses.part.of = arm;
  arm_misses.part.scope = family;
  arm_misses.part.compared_with = "the error seen at the largest size";
  arm_misses.part.unit = "BPM";
  std::vector<Prediction> predictions;
  for (int d = 0; d < kDecodings; ++d) {
    auto prediction = Prediction::Make(ObservationsOf(table, family, arm, d));
    if (!prediction.ok()) {
      arm_misses.law.problem = std::string(prediction.status().message());
      return arm_misses;
    }
    predictions.push_back(*std::move(prediction));
  }
  // Both estimates leave the same out: each refit is made once.
  std::map<std::tuple<int, int, int>, std::optional<AllMisses>> known;
  const auto misses = [&](double Misses::*number) {
    return [&, number](const LeftOut& left_out) -> std::optional<PerDecoding> {
      const auto [at, is_new] =
          known.try_emplace({left_out.subject.value_or(-1), left_out.training.value_or(-1),
                             left_out.fold.value_or(-1)});
      if (is_new) at->second = MissesWithout(predictions, left_out);
      if (!at->second) return std::nullopt;
      PerDecoding values = {};
      for (int d = 0; d < kDecodings; ++d) values[d] = (*at->second)[d].*number;
      return values;
    };
  };
  const Clusters& clusters = predictions[0].clusters();
  arm_misses.law = EstimateOf(clusters, misses(&Misses::law));
  arm_misses.constant = EstimateOf(clusters, misses(&Misses::constant));
  const auto whole = predictions[0].Without({});
  if (whole) {
    arm_misses.part.details = {{"seen", whole->seen},
                               {"law", whole->seen + whole->law},
                               {"constant", whole->seen + whole->constant}};
  }
  return arm_misses;
}

// What each arm's law comes to in one decoding, with Holm's procedure over the arms.
void AnswerDecoding(const std::vector<const ArmMisses*>& arms, int d, double confidence,
                    std::vector<ClaimPart*>& parts) {
  const double level = 1 - confidence;
  const auto p_values = [&](const Estimate ArmMisses::*which) {
    std::vector<double> p;
    for (const ArmMisses* arm : arms)
      p.push_back(TwoSidedP((arm->*which).effect[d], (arm->*which).uncertainty[d]));
    return HolmSteps(p);
  };
  const auto law = p_values(&ArmMisses::law);
  const auto constant = p_values(&ArmMisses::constant);
  for (size_t i = 0; i < arms.size(); ++i) {
    const double miss = arms[i]->law.effect[d];
    const double of_constant = arms[i]->constant.effect[d];
    const Interval interval =
        ConfidenceInterval(miss, arms[i]->law.uncertainty[d], 1 - level / law[i].tests);
    // Of the constant, what is beyond chance stands in Holm's procedure; that the law says
    // something else than it, in the law's own interval.
    const Interval own = ConfidenceInterval(miss, arms[i]->law.uncertainty[d], confidence);
    const bool beats = constant[i].p < level && std::abs(miss) < std::abs(of_constant) &&
                       (of_constant < own.low || of_constant > own.high);
    if (law[i].p < level) {
      parts[i]->by_decoding[d] = Answer::kNo;
    } else if (beats) {
      parts[i]->by_decoding[d] = Answer::kYes;
    } else if (d == 0) {
      parts[i]->reason = "the data do not tell the law from a constant";
    }
    if (d == 0) parts[i]->interval = interval;
  }
}

}  // namespace

std::vector<ClaimPart> PredictLargest(const NetworkTable& table, const std::string& family,
                                      const std::vector<std::string>& arms, double confidence) {
  std::vector<ArmMisses> all;
  for (const std::string& arm : arms) {
    std::set<double> sizes;
    for (const ModelFacts& student : table.students()) {
      if (student.family == family && !table.CellsOf(arm, student.name).empty())
        sizes.insert(student.params_body);
    }
    if (static_cast<int>(sizes.size()) >= kFewestSizesToPredict)
      all.push_back(MissesOf(table, family, arm));
  }
  std::vector<const ArmMisses*> sound;
  std::vector<ClaimPart*> parts;
  for (ArmMisses& arm : all) {
    arm.part.subjects = arm.law.subjects;
    arm.part.reason = arm.law.problem;
    if (arm.law.subjects > 0) arm.part.effect = arm.law.effect[0];
    if (!arm.law.problem.empty()) continue;
    sound.push_back(&arm);
    parts.push_back(&arm.part);
  }
  for (int d = 0; d < kDecodings; ++d) AnswerDecoding(sound, d, confidence, parts);
  std::vector<ClaimPart> out;
  for (ClaimPart* part : parts) CombineDecodings(*part);
  for (ArmMisses& arm : all) out.push_back(std::move(arm.part));
  return out;
}

}  // namespace retort::scaling
