// Differences between paired networks, and the rule by which they become answers.
#ifndef RETORT_CLIENT_SCALING_CONTRAST_H_
#define RETORT_CLIENT_SCALING_CONTRAST_H_

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "client/scaling/claims.h"
#include "client/scaling/jackknife.h"
#include "client/scaling/network_table.h"

namespace retort::scaling {

// Two networks of one fold and seed, tested on one subject.
struct Pair {
  int subject = 0;
  int training = 0;
  int fold = 0;
  int item = 0;  // whatever the caller numbers, such as students
  PerDecoding a = {};
  PerDecoding b = {};

  bool IsIn(const LeftOut& left_out) const {
    return left_out.subject != subject && left_out.training != training && left_out.fold != fold;
  }
};

// Adds a pair for each cell of `a` and each of `b` of the same subject and training.
void AddPairs(const std::vector<ErrorCell>& a, const std::vector<ErrorCell>& b, int item,
              std::vector<Pair>& pairs);

// An effect with its uncertainty, for each decoding; or why there is none.
struct Estimate {
  PerDecoding effect = {};
  std::array<Uncertainty, kDecodings> uncertainty;
  int subjects = 0;
  std::string problem;
};

// A statistic of the pairs that are left, or nothing.
using PairStatistic = std::function<std::optional<PerDecoding>(const std::vector<Pair>& pairs,
                                                               const LeftOut& left_out)>;

// Leaves out subjects, trainings and whole folds of the pairs. There is no uncertainty, and so no
// answer, under kMinSubjects subjects, and without either two trainings of a fold or three folds.
Estimate EstimateOf(std::vector<Pair> pairs, const PairStatistic& statistic);
// Of a statistic of anything that has these clusters.
Estimate EstimateOf(
    const Clusters& clusters,
    const std::function<std::optional<PerDecoding>(const LeftOut& left_out)>& statistic);

// The mean over subjects of each one's mean of a - b over its pairs.
std::optional<PerDecoding> MeanDifference(const std::vector<Pair>& pairs, const LeftOut& left_out);

// Holm (1979), Scandinavian Journal of Statistics 6: of each p among those looked at together, the
// adjusted p, and how many tests share the level at its step.
struct HolmStep {
  double p = 1;
  int tests = 1;
};
std::vector<HolmStep> HolmSteps(const std::vector<double>& p_values);

// Answers of effects that are looked at together (claims.h): yes above 0, no below the margin.
struct Ruling {
  Answer answer = Answer::kNotResolved;
  Interval interval;
  double p_yes_holm = 1;
  double p_no_holm = 1;
};
std::vector<Ruling> Rule(const std::vector<Estimate>& estimates, int decoding, double margin,
                         double confidence);

// Fills effect, interval and answers of the parts from their estimates. Parts whose estimate has a
// problem take that as their reason and are not counted in Holm's procedure.
void AnswerParts(const std::vector<Estimate>& estimates, double margin, double confidence,
                 std::vector<ClaimPart>& parts);

// The answer that all decodings share; not resolved, with the reason, where they differ.
void CombineDecodings(ClaimPart& part);

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_CONTRAST_H_
