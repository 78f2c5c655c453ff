#include "client/scaling/contrast.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"

namespace retort::scaling {
namespace {

constexpr const char* kDecodingNames[kDecodings] = {"median", "arg max", "expectation"};

// Why these clusters say nothing of chance; empty if they do.
std::string ProblemOf(const Clusters& clusters) {
  const int subjects = clusters.subjects();
  if (subjects < kMinSubjects) {
    return absl::StrCat(subjects, subjects == 1 ? " subject" : " subjects", "; at least ",
                        kMinSubjects, " are needed for an interval");
  }
  if (!clusters.HasRepeatedTraining() && !clusters.HasFoldsToLeaveOut()) {
    return "one training; at least 2 seeds or 3 folds are needed to tell an effect from the chance "
           "of one training";
  }
  return "";
}

// One-sided p of the truth being 0 or below.
double OneSidedP(double estimate, const Uncertainty& uncertainty) {
  const double two_sided = TwoSidedP(estimate, uncertainty);
  return estimate > 0 ? two_sided / 2 : 1 - two_sided / 2;
}

}  // namespace

std::vector<HolmStep> HolmSteps(const std::vector<double>& p_values) {
  std::vector<size_t> order(p_values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return p_values[a] < p_values[b]; });
  std::vector<HolmStep> steps(p_values.size());
  double least = 0;
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const int tests = static_cast<int>(order.size() - rank);
    least = std::max(least, std::min(1.0, p_values[order[rank]] * tests));
    steps[order[rank]] = {least, tests};
  }
  return steps;
}

void AddPairs(const std::vector<ErrorCell>& a, const std::vector<ErrorCell>& b, int item,
              std::vector<Pair>& pairs) {
  std::map<std::pair<int, int>, std::vector<const ErrorCell*>> by_twin;
  for (const ErrorCell& cell : b) by_twin[{cell.subject, cell.training}].push_back(&cell);
  for (const ErrorCell& cell : a) {
    const auto twins = by_twin.find({cell.subject, cell.training});
    if (twins == by_twin.end()) continue;
    for (const ErrorCell* twin : twins->second) {
      pairs.push_back({cell.subject, cell.training, cell.fold, item, cell.mae_bpm, twin->mae_bpm});
    }
  }
}

Estimate EstimateOf(
    const Clusters& clusters,
    const std::function<std::optional<PerDecoding>(const LeftOut& left_out)>& statistic) {
  Estimate estimate;
  estimate.subjects = clusters.subjects();
  const auto effect = statistic({});
  if (!effect) {
    estimate.problem = "nothing to compare";
    return estimate;
  }
  estimate.effect = *effect;
  estimate.problem = ProblemOf(clusters);
  if (!estimate.problem.empty()) return estimate;
  const JackknifeResult jackknife =
      Jackknife(clusters, kDecodings, LeaveFoldsOut::kIfSeveral,
                [&](const LeftOut& left_out) -> std::optional<std::vector<double>> {
                  const auto replicate = statistic(left_out);
                  if (!replicate) return std::nullopt;
                  return std::vector<double>(replicate->begin(), replicate->end());
                });
  if (jackknife.uncertainty.empty()) {
    estimate.problem = "nothing is left without one of the seeds or folds";
    return estimate;
  }
  std::copy(jackknife.uncertainty.begin(), jackknife.uncertainty.end(),
            estimate.uncertainty.begin());
  return estimate;
}

Estimate EstimateOf(std::vector<Pair> pairs, const PairStatistic& statistic) {
  if (pairs.empty()) {
    Estimate estimate;
    estimate.problem = "no two networks of the same fold, seed and subject to compare";
    return estimate;
  }
  // Clusters that these pairs lack must not be left out: their numbers begin anew.
  const auto labels_of = [](const Pair& pair) {
    return ClusterLabels{std::to_string(pair.subject), pair.fold, pair.training};
  };
  std::vector<ClusterLabels> labels;
  for (const Pair& pair : pairs) labels.push_back(labels_of(pair));
  const Clusters clusters(labels);
  for (size_t i = 0; i < pairs.size(); ++i) {
    pairs[i].subject = clusters.SubjectOf(labels[i]);
    pairs[i].training = clusters.TrainingOf(labels[i]);
    pairs[i].fold = clusters.FoldOf(labels[i]);
  }
  return EstimateOf(clusters, [&](const LeftOut& left_out) { return statistic(pairs, left_out); });
}

std::optional<PerDecoding> MeanDifference(const std::vector<Pair>& pairs, const LeftOut& left_out) {
  std::map<int, std::pair<PerDecoding, int>> by_subject;
  for (const Pair& pair : pairs) {
    if (!pair.IsIn(left_out)) continue;
    auto& [sum, count] = by_subject[pair.subject];
    for (int d = 0; d < kDecodings; ++d) sum[d] += pair.a[d] - pair.b[d];
    ++count;
  }
  if (by_subject.empty()) return std::nullopt;
  PerDecoding mean = {};
  for (const auto& [subject, entry] : by_subject) {
    for (int d = 0; d < kDecodings; ++d)
      mean[d] += entry.first[d] / entry.second / static_cast<double>(by_subject.size());
  }
  return mean;
}

std::vector<Ruling> Rule(const std::vector<Estimate>& estimates, int decoding, double margin,
                         double confidence) {
  std::vector<double> p_yes, p_no;
  for (const Estimate& estimate : estimates) {
    const double effect = estimate.effect[decoding];
    p_yes.push_back(OneSidedP(effect, estimate.uncertainty[decoding]));
    p_no.push_back(OneSidedP(margin - effect, estimate.uncertainty[decoding]));
  }
  const std::vector<HolmStep> yes = HolmSteps(p_yes), no = HolmSteps(p_no);
  const double level = 1 - confidence;  // of both sides together
  std::vector<Ruling> rulings;
  for (size_t i = 0; i < estimates.size(); ++i) {
    const double effect = estimates[i].effect[decoding];
    const Uncertainty& uncertainty = estimates[i].uncertainty[decoding];
    Ruling ruling;
    ruling.interval.low = ConfidenceInterval(effect, uncertainty, 1 - level / yes[i].tests).low;
    ruling.interval.high = ConfidenceInterval(effect, uncertainty, 1 - level / no[i].tests).high;
    ruling.p_yes_holm = yes[i].p;
    ruling.p_no_holm = no[i].p;
    if (ruling.p_yes_holm < level / 2) {
      ruling.answer = Answer::kYes;
    } else if (ruling.p_no_holm < level / 2) {
      ruling.answer = Answer::kNo;
    }
    rulings.push_back(ruling);
  }
  return rulings;
}

void CombineDecodings(ClaimPart& part) {
  const auto& answers = part.by_decoding;
  const bool agree = std::all_of(answers.begin(), answers.end(),
                                 [&](Answer answer) { return answer == answers[0]; });
  part.answer = agree ? answers[0] : Answer::kNotResolved;
  if (part.answer != Answer::kNotResolved) {
    part.reason.clear();
  } else if (!agree) {
    part.reason = "the answer flips with the decoding:";
    for (int d = 0; d < kDecodings; ++d) {
      absl::StrAppend(&part.reason, d == 0 ? " " : ", ", kDecodingNames[d], " ",
                      AnswerName(answers[d]));
    }
  } else if (part.reason.empty()) {
    part.reason = "the interval neither lies above 0 nor ends below the margin";
  }
}

void AnswerParts(const std::vector<Estimate>& estimates, double margin, double confidence,
                 std::vector<ClaimPart>& parts) {
  std::vector<Estimate> sound;
  std::vector<size_t> index;
  for (size_t i = 0; i < parts.size(); ++i) {
    parts[i].margin = margin;
    parts[i].subjects = estimates[i].subjects;
    if (estimates[i].subjects > 0) parts[i].effect = estimates[i].effect[0];
    parts[i].reason = estimates[i].problem;
    if (!estimates[i].problem.empty()) continue;
    sound.push_back(estimates[i]);
    index.push_back(i);
  }
  for (int d = 0; d < kDecodings; ++d) {
    const std::vector<Ruling> rulings = Rule(sound, d, margin, confidence);
    for (size_t i = 0; i < rulings.size(); ++i) {
      ClaimPart& part = parts[index[i]];
      part.by_decoding[d] = rulings[i].answer;
      if (d > 0) continue;
      part.interval = rulings[i].interval;
      part.p_yes_holm = rulings[i].p_yes_holm;
      part.p_no_holm = rulings[i].p_no_holm;
    }
  }
  for (const size_t i : index) CombineDecodings(parts[i]);
}

}  // namespace retort::scaling
