#include "client/scaling/compare.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/scaling/jackknife.h"
#include "common/status.h"

namespace retort::scaling {
namespace {

// One network, but for method and teacher: what twins share.
using NetworkKey =
    std::tuple<std::string, int, int64_t, std::string>;  // student, fold, seed, settings
// Twins tested on one subject.
using TwinKey = std::pair<NetworkKey, std::string>;

NetworkKey NetworkOf(const Outcome& outcome) {
  return {outcome.student, outcome.fold, outcome.seed, outcome.settings};
}

TwinKey TwinOf(const Outcome& outcome) { return {NetworkOf(outcome), outcome.subject}; }

// The outcomes of one scratch label.
using Arm = std::map<TwinKey, const Outcome*>;
using Arms = std::map<std::string, Arm>;

std::string Describe(const Outcome& outcome) {
  return absl::StrCat("outcome of method '", outcome.method, "', student '", outcome.student,
                      "', teacher '", outcome.teacher, "', fold ", outcome.fold, ", seed ",
                      outcome.seed, ", subject '", outcome.subject, "'");
}

absl::Status Check(const Outcome& outcome) {
  const auto error_ok = [](double mae) { return std::isfinite(mae) && mae >= 0; };
  if (outcome.method.empty())
    return absl::InvalidArgumentError(Describe(outcome) + ": the method has no label");
  if (outcome.student.empty())
    return absl::InvalidArgumentError(Describe(outcome) + ": the student has no name");
  if (outcome.subject.empty())
    return absl::InvalidArgumentError(Describe(outcome) + ": the subject has no name");
  if (!error_ok(outcome.mae_bpm)) {
    return absl::InvalidArgumentError(absl::StrCat(
        Describe(outcome), ": mae_bpm is ", outcome.mae_bpm, "; a finite number from 0 is needed"));
  }
  if (outcome.validation_mae_bpm && !error_ok(*outcome.validation_mae_bpm)) {
    return absl::InvalidArgumentError(absl::StrCat(Describe(outcome), ": validation_mae_bpm is ",
                                                   *outcome.validation_mae_bpm,
                                                   "; a finite number from 0 is needed, or none"));
  }
  return absl::OkStatus();
}

absl::Status CheckAll(const std::vector<Outcome>& outcomes, const CompareOptions& options) {
  if (!(options.confidence > 0 && options.confidence < 1)) {
    return absl::InvalidArgumentError(
        absl::StrCat("confidence: ", options.confidence, " is not between 0 and 1; 0.95 is usual"));
  }
  if (outcomes.empty()) return absl::InvalidArgumentError("outcomes: there are none to compare");
  std::set<std::tuple<std::string, std::string, TwinKey>> seen;
  std::map<std::string, bool> is_scratch;
  for (const Outcome& outcome : outcomes) {
    RETORT_RETURN_IF_ERROR(Check(outcome));
    if (!seen.insert({outcome.method, outcome.teacher, TwinOf(outcome)}).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(Describe(outcome),
                       " is there twice; what tells the two apart belongs in method or settings"));
    }
    const auto [it, fresh] = is_scratch.emplace(outcome.method, outcome.scratch);
    if (!fresh && it->second != outcome.scratch) {
      return absl::InvalidArgumentError(absl::StrCat(
          Describe(outcome), ": '", outcome.method, "' is marked both as scratch and as a method"));
    }
  }
  return absl::OkStatus();
}

// A student of a method beside its twin.
struct Pair {
  const Outcome* method;
  const Outcome* scratch;
};

ClusterLabels LabelsOf(const Pair& pair) {
  return {pair.method->subject, pair.method->fold, pair.method->seed};
}

Clusters ClustersOf(const std::vector<Pair>& pairs) {
  std::vector<ClusterLabels> labels;
  for (const Pair& pair : pairs) labels.push_back(LabelsOf(pair));
  return Clusters(labels);
}

// Pairs by subject and training.
class PairTable {
 public:
  explicit PairTable(const std::vector<Pair>& pairs) : clusters_(ClustersOf(pairs)) {
    for (const Pair& pair : pairs) {
      rows_.push_back({clusters_.SubjectOf(LabelsOf(pair)), clusters_.TrainingOf(LabelsOf(pair)),
                       clusters_.FoldOf(LabelsOf(pair)), pair.method->mae_bpm,
                       pair.scratch->mae_bpm});
    }
  }

  const Clusters& clusters() const { return clusters_; }

  // Mean over subjects of each one's mean over its pairs: {of the method, of scratch}. Nothing if
  // no pair is left.
  std::optional<std::pair<double, double>> Means(const LeftOut& left_out) const {
    const int subjects = clusters_.subjects();
    std::vector<double> method(subjects, 0.0), scratch(subjects, 0.0);
    std::vector<int> count(subjects, 0);
    for (const Row& row : rows_) {
      if (left_out.subject == row.subject || left_out.training == row.training ||
          left_out.fold == row.fold)
        continue;
      method[row.subject] += row.method_bpm;
      scratch[row.subject] += row.scratch_bpm;
      ++count[row.subject];
    }
    std::pair<double, double> means = {0, 0};
    int kept = 0;
    for (int i = 0; i < subjects; ++i) {
      if (count[i] == 0) continue;
      ++kept;
      means.first += method[i] / count[i];
      means.second += scratch[i] / count[i];
    }
    if (kept == 0) return std::nullopt;
    return std::pair(means.first / kept, means.second / kept);
  }

 private:
  struct Row {
    int subject;
    int training;
    int fold;
    double method_bpm;
    double scratch_bpm;
  };

  Clusters clusters_;
  std::vector<Row> rows_;
};

std::vector<Pair> PairsOf(const std::vector<const Outcome*>& method, const Arm& arm) {
  std::vector<Pair> pairs;
  for (const Outcome* outcome : method) {
    const auto twin = arm.find(TwinOf(*outcome));
    if (twin != arm.end()) pairs.push_back({outcome, twin->second});
  }
  return pairs;
}

ArmGain GainOver(const std::string& arm, const std::vector<Pair>& pairs, double confidence) {
  const PairTable table(pairs);
  const auto [method_bpm, scratch_bpm] = *table.Means({});
  ArmGain gain;
  gain.arm = arm;
  gain.pairs = static_cast<int>(pairs.size());
  gain.subjects = table.clusters().subjects();
  gain.seeds = table.clusters().seeds();
  gain.scratch_bpm = scratch_bpm;
  gain.method_bpm = method_bpm;
  gain.gain_bpm = scratch_bpm - method_bpm;
  if (table.clusters().subjects() < kMinSubjects) {
    gain.reason = absl::StrCat(table.clusters().subjects(), " subject",
                               table.clusters().subjects() == 1 ? "" : "s", "; at least ",
                               kMinSubjects, " are needed for an interval");
    return gain;
  }
  const JackknifeResult jackknife =
      Jackknife(table.clusters(), 1, LeaveFoldsOut::kIfSeveral,
                [&](const LeftOut& left_out) -> std::optional<std::vector<double>> {
                  const auto means = table.Means(left_out);
                  if (!means) return std::nullopt;
                  return std::vector<double>{means->second - means->first};
                });
  if (jackknife.uncertainty.empty()) {
    gain.reason = "nothing is left without one of the seeds";
    return gain;
  }
  const Uncertainty& uncertainty = jackknife.uncertainty[0];
  gain.standard_error_bpm = uncertainty.StandardError();
  gain.interval = ConfidenceInterval(gain.gain_bpm, uncertainty, confidence);
  if (!table.clusters().HasRepeatedTraining()) {
    // Two networks differ by chance alone; without a second seed nothing tells by how much.
    gain.reason =
        "one seed; at least 2 are needed to tell a method from the chance of one training";
    return gain;
  }
  gain.p_value = TwoSidedP(gain.gain_bpm, uncertainty);
  return gain;
}

// Holm (1979), Scandinavian Journal of Statistics 6: p-values adjusted for as many tests.
std::vector<double> HolmAdjust(const std::vector<double>& p_values) {
  std::vector<size_t> order(p_values.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return p_values[a] < p_values[b]; });
  std::vector<double> adjusted(p_values.size());
  double least = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    least = std::max(
        least, std::min(1.0, p_values[order[rank]] * static_cast<double>(order.size() - rank)));
    adjusted[order[rank]] = least;
  }
  return adjusted;
}

struct Decision {
  std::optional<double> p_holm;
  Verdict verdict = Verdict::kNotResolved;
  std::string reason;
};

// Verdicts of gains that were looked at together; null where a row has none.
std::vector<Decision> Decide(const std::vector<const ArmGain*>& gains, double confidence) {
  std::vector<double> p_values;
  for (const ArmGain* gain : gains) {
    if (gain && gain->p_value) p_values.push_back(*gain->p_value);
  }
  const std::vector<double> adjusted = HolmAdjust(p_values);
  std::vector<Decision> decisions(gains.size());
  size_t next = 0;
  for (size_t i = 0; i < gains.size(); ++i) {
    if (!gains[i]) continue;
    Decision& decision = decisions[i];
    if (!gains[i]->p_value) {
      decision.reason = gains[i]->reason;
      continue;
    }
    decision.p_holm = adjusted[next++];
    const Interval& interval = *gains[i]->interval;
    if (interval.low <= 0 && interval.high >= 0) {
      decision.reason = "the interval contains 0";
    } else if (*decision.p_holm >= 1 - confidence) {
      decision.reason =
          absl::StrCat("the interval leaves out 0, but not after Holm's adjustment for ",
                       p_values.size(), " comparisons");
    } else {
      decision.verdict = gains[i]->gain_bpm > 0 ? Verdict::kBetter : Verdict::kWorse;
    }
  }
  return decisions;
}

// Mean validation error of each arm over the networks that all arms have it for and that the row
// pairs with.
std::vector<ArmValidation> ValidationOf(const std::vector<const Outcome*>& method,
                                        const Arms& arms) {
  std::map<NetworkKey, std::map<std::string, double>> by_network;
  for (const auto& [label, arm] : arms) {
    for (const Outcome* outcome : method) {
      const auto twin = arm.find(TwinOf(*outcome));
      if (twin == arm.end() || !twin->second->validation_mae_bpm) continue;
      by_network[NetworkOf(*outcome)][label] = *twin->second->validation_mae_bpm;
    }
  }
  std::map<std::string, double> sum;
  int networks = 0;
  for (const auto& [network, mae] : by_network) {
    if (mae.size() != arms.size()) continue;
    ++networks;
    for (const auto& [label, value] : mae) sum[label] += value;
  }
  std::vector<ArmValidation> validation;
  for (const auto& [label, arm] : arms) {
    validation.push_back({label, std::nullopt});
    if (networks > 0) validation.back().mae_bpm = sum[label] / networks;
  }
  return validation;
}

std::optional<std::string> ChooseReference(const std::vector<ArmValidation>& validation) {
  if (validation.size() == 1) return validation[0].arm;
  const ArmValidation* best = nullptr;
  for (const ArmValidation& arm : validation) {
    if (!arm.mae_bpm) return std::nullopt;
    if (!best || *arm.mae_bpm < *best->mae_bpm) best = &arm;
  }
  return best ? std::optional(best->arm) : std::nullopt;
}

// A row with its gains, before any verdict.
Comparison CompareOne(const std::string& method, const std::string& student,
                      const std::vector<const Outcome*>& outcomes, const Arms& arms,
                      double confidence) {
  Comparison row;
  row.method = method;
  row.student = student;
  Arms with_pairs;
  for (const auto& [label, arm] : arms) {
    const std::vector<Pair> pairs = PairsOf(outcomes, arm);
    if (pairs.size() < outcomes.size()) {
      row.warnings.push_back(absl::StrCat(outcomes.size() - pairs.size(), " of ", outcomes.size(),
                                          " outcomes have no twin in ", label,
                                          " and were left out of that comparison"));
    }
    if (pairs.empty()) continue;
    row.arms.push_back(GainOver(label, pairs, confidence));
    with_pairs.emplace(label, arm);
    if (row.arms.back().interval && !row.arms.back().p_value) {
      row.warnings.push_back(
          absl::StrCat("one seed: the interval against ", label,
                       " leaves out how much training itself varies, and is too narrow"));
    }
  }
  row.validation = ValidationOf(outcomes, with_pairs);
  row.reference = ChooseReference(row.validation);
  if (row.arms.empty()) {
    row.reason =
        arms.empty()
            ? "no student was learnt from scratch"
            : "no outcome has a scratch twin (same student, fold, seed, subject and settings)";
  } else if (!row.reference) {
    row.warnings.push_back(
        "no validation errors to choose a scratch arm by: the verdict is that of all arms, if they "
        "agree");
  }
  return row;
}

// Verdicts against each arm, adjusted over the rows.
void DecideArms(double confidence, std::vector<Comparison>& rows) {
  std::map<std::string, std::vector<ArmGain*>> by_arm;
  for (Comparison& row : rows) {
    for (ArmGain& gain : row.arms) by_arm[gain.arm].push_back(&gain);
  }
  for (auto& [label, gains] : by_arm) {
    const auto decisions = Decide({gains.begin(), gains.end()}, confidence);
    for (size_t i = 0; i < gains.size(); ++i) {
      gains[i]->p_holm = decisions[i].p_holm;
      gains[i]->verdict = decisions[i].verdict;
      gains[i]->reason = decisions[i].reason;
    }
  }
}

// The verdict of each row.
void DecideRows(double confidence, std::vector<Comparison>& rows) {
  std::vector<const ArmGain*> gains;
  for (const Comparison& row : rows) gains.push_back(row.ReferenceGain());
  const auto decisions = Decide(gains, confidence);
  for (size_t i = 0; i < rows.size(); ++i) {
    Comparison& row = rows[i];
    if (row.arms.empty()) continue;
    if (gains[i]) {
      row.p_holm = decisions[i].p_holm;
      row.verdict = decisions[i].verdict;
      row.reason = decisions[i].reason;
      continue;
    }
    const bool agree = std::all_of(row.arms.begin(), row.arms.end(), [&](const ArmGain& gain) {
      return gain.verdict == row.arms[0].verdict;
    });
    if (agree) row.verdict = row.arms[0].verdict;
    if (row.verdict == Verdict::kNotResolved) {
      row.reason = agree
                       ? row.arms[0].reason
                       : "the scratch arms disagree, and no validation error says which is better";
    }
  }
}

}  // namespace

std::string VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kBetter:
      return "better";
    case Verdict::kWorse:
      return "worse";
    case Verdict::kNotResolved:
      break;
  }
  return "not resolved";
}

const ArmGain* Comparison::ReferenceGain() const {
  for (const ArmGain& gain : arms) {
    if (gain.arm == reference) return &gain;
  }
  return nullptr;
}

absl::StatusOr<std::vector<Comparison>> CompareWithScratch(const std::vector<Outcome>& outcomes,
                                                           const CompareOptions& options) {
  RETORT_RETURN_IF_ERROR(CheckAll(outcomes, options));
  Arms arms;
  std::map<std::pair<std::string, std::string>, std::vector<const Outcome*>> methods;
  for (const Outcome& outcome : outcomes) {
    if (outcome.scratch) {
      arms[outcome.method].emplace(TwinOf(outcome), &outcome);
    } else {
      methods[{outcome.method, options.per_student ? outcome.student : ""}].push_back(&outcome);
    }
  }
  std::vector<Comparison> rows;
  for (const auto& [key, of_method] : methods) {
    rows.push_back(CompareOne(key.first, key.second, of_method, arms, options.confidence));
  }
  DecideArms(options.confidence, rows);
  DecideRows(options.confidence, rows);
  return rows;
}

}  // namespace retort::scaling
