#include "client/scaling/smallest_student.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "client/scaling/contrast.h"
#include "client/scaling/network_table.h"
#include "common/status.h"

namespace retort::scaling {
namespace {

// Tests a group by the log of its mean error: errors are skewed, and a bound of the log is wider
// upwards.
void Test(const Group& group, double confidence, StudentCandidate& candidate) {
  std::vector<Pair> pairs;
  for (const ErrorCell& cell : group.cells)
    pairs.push_back({cell.subject, cell.training, cell.fold, 0, cell.mae_bpm, {}});
  const auto log_mean = [](const std::vector<Pair>& of, const LeftOut& left_out) {
    auto mean = MeanDifference(of, left_out);
    if (mean) {
      for (double& value : *mean) value = std::log(value);
    }
    return mean;
  };
  const Estimate estimate = EstimateOf(std::move(pairs), log_mean);
  candidate.mae_bpm = std::exp(estimate.effect[0]);
  candidate.problem = estimate.problem;
  if (!estimate.problem.empty()) return;
  candidate.upper_bpm = std::exp(
      ConfidenceInterval(estimate.effect[0], estimate.uncertainty[0], 2 * confidence - 1).high);
}

// The arm and teacher of a model that are best on validation; nothing if none has such an error.
std::optional<StudentCandidate> CandidateOf(const NetworkTable& table, const ModelFacts& model,
                                            double confidence) {
  StudentCandidate best;
  const Group* chosen = nullptr;
  const auto offer = [&](const std::string& arm, const std::string& teacher) {
    const Group* group = table.Find(arm, model.name, teacher);
    if (group == nullptr || group->cells.empty() || !group->validation_mae_bpm) return;
    if (chosen != nullptr && *group->validation_mae_bpm >= best.validation_mae_bpm) return;
    chosen = group;
    best.arm = arm;
    best.teacher = teacher;
    best.validation_mae_bpm = *group->validation_mae_bpm;
  };
  for (const std::string& arm : table.scratch_arms()) offer(arm, "");
  for (const std::string& method : table.methods()) {
    for (const std::string& teacher : table.teacher_names()) offer(method, teacher);
  }
  if (chosen == nullptr) return std::nullopt;
  best.model = model.name;
  best.params = model.params;
  best.params_body = model.params_body;
  Test(*chosen, confidence, best);
  return best;
}

}  // namespace

absl::StatusOr<SmallestStudent> FindSmallestStudent(const std::vector<TestedNetwork>& networks,
                                                    double mae_bpm, double confidence) {
  if (!(std::isfinite(mae_bpm) && mae_bpm > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat("smallest: an error of ", mae_bpm, "; a positive, finite number is needed"));
  }
  if (!(confidence > 0.5 && confidence < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("confidence: ", confidence, " is not between 0.5 and 1; 0.95 is usual"));
  }
  RETORT_ASSIGN_OR_RETURN(const NetworkTable table, NetworkTable::Make(networks));
  SmallestStudent out;
  out.warnings = table.warnings();
  for (const ModelFacts& model : table.students()) {
    if (auto candidate = CandidateOf(table, model, confidence))
      out.candidates.push_back(*std::move(candidate));
  }
  if (out.candidates.empty()) {
    return absl::FailedPreconditionError(
        "smallest: no student has errors on validation to be chosen by; split.validation sets "
        "subjects apart for that");
  }
  std::stable_sort(out.candidates.begin(), out.candidates.end(),
                   [](const StudentCandidate& a, const StudentCandidate& b) {
                     return a.validation_mae_bpm < b.validation_mae_bpm;
                   });
  for (size_t i = 0; i < out.candidates.size(); ++i) {
    StudentCandidate& candidate = out.candidates[i];
    if (!candidate.upper_bpm || !(*candidate.upper_bpm <= mae_bpm)) break;
    candidate.keeps = true;
    if (!out.smallest || candidate.params < out.candidates[*out.smallest].params) out.smallest = i;
  }
  return out;
}

}  // namespace retort::scaling
