// The uncertainty of everything in this folder: a jackknife over crossed kinds of clusters.
//
// Subjects are one kind: people differ. Trainings are the other: a network trained anew comes out
// different. All networks of one fold and seed are one training cluster; different folds are
// trained apart, so seeds are left out within one fold at a time (a stratified jackknife). Without
// folds this is leaving out one seed at a time.
//
// The variance is the sum of the delete-one variances of both kinds (Efron & Stein 1981, for one
// kind); what both share counts twice, which errs to the wide side. The interval is estimate +-
// sqrt(t_s^2 V_subjects + t_t^2 V_trainings), each t with the degrees of freedom of its own kind
// (Banerjee, Sankhya 22, 1960): it covers at least as often as asked, also where two seeds are all
// there is to judge training by. One t with subjects - 1 degrees of freedom for the sum covered
// 72-89 % there.
//
// On request whole folds are left out too, and the wider of that interval, t(folds - 1), and the
// one above is taken: folds share a training set, and what a method gains from one set it need not
// gain from another.
#ifndef RETORT_CLIENT_SCALING_JACKKNIFE_H_
#define RETORT_CLIENT_SCALING_JACKKNIFE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "client/scaling/interval.h"

namespace retort::scaling {

// Whom and what a row of data belongs to.
struct ClusterLabels {
  std::string subject;
  int fold = 0;
  int64_t seed = 0;
};

// Numbers the clusters of some rows, in the order of their labels.
class Clusters {
 public:
  explicit Clusters(const std::vector<ClusterLabels>& rows);

  int subjects() const { return static_cast<int>(subjects_.size()); }
  // Distinct seeds, over all folds.
  int seeds() const { return seeds_; }
  // The trainings of each fold, by their numbers. Folds with a single one show nothing of how
  // training varies.
  const std::vector<std::vector<int>>& trainings_by_fold() const { return trainings_by_fold_; }
  // Whether some fold was trained with two seeds or more.
  bool HasRepeatedTraining() const;
  // Whether there are so many folds (3) that LeaveFoldsOut::kIfSeveral leaves them out.
  bool HasFoldsToLeaveOut() const;

  // 0..subjects-1, of a row's.
  int SubjectOf(const ClusterLabels& row) const { return subjects_.at(row.subject); }
  // The number of a row's training.
  int TrainingOf(const ClusterLabels& row) const { return trainings_.at({row.fold, row.seed}); }
  // The position of a row's fold in trainings_by_fold().
  int FoldOf(const ClusterLabels& row) const { return folds_.at(row.fold); }

 private:
  int seeds_ = 0;
  std::map<std::string, int> subjects_;
  std::map<std::pair<int, int64_t>, int> trainings_;
  std::map<int, int> folds_;
  std::vector<std::vector<int>> trainings_by_fold_;
};

// What a resample lacks: one subject, one training, one fold, or (all unset) nothing.
struct LeftOut {
  std::optional<int> subject;
  std::optional<int> training;
  std::optional<int> fold;
};

// Statistics of the data without `left_out`, always the same number of them; nothing if they cannot
// be computed.
using Statistics = std::function<std::optional<std::vector<double>>(const LeftOut& left_out)>;

// What one kind of clusters adds to the variance of a statistic.
struct VarianceComponent {
  double variance = 0;
  double degrees_of_freedom = 0;  // 0 if nothing is known of this kind: it then adds nothing
};

// Of one statistic.
struct Uncertainty {
  VarianceComponent by_subject;
  VarianceComponent by_training;
  VarianceComponent by_fold;  // not beside the others, but instead of them where that is wider

  // The larger of that of subjects and trainings together, and that of folds.
  double StandardError() const;
};

struct JackknifeResult {
  std::vector<Uncertainty> uncertainty;  // one per statistic; empty if any resample failed
  int resamples = 0;
  int failed = 0;
};

// Whether whole folds are left out too.
enum class LeaveFoldsOut {
  kNo,
  kIfSeveral,  // from 3 folds on; two would say next to nothing
};

// Leaves out each subject, each training of folds that have several, and perhaps each fold, in
// turn. There are at least 2 subjects; `count` is the number of statistics.
JackknifeResult Jackknife(const Clusters& clusters, int count, LeaveFoldsOut folds,
                          const Statistics& statistics);

// The interval that holds the truth with this confidence.
Interval ConfidenceInterval(double estimate, const Uncertainty& uncertainty, double confidence);

// Two-sided p-value of the truth being 0: one minus the largest confidence whose interval leaves
// out 0.
double TwoSidedP(double estimate, const Uncertainty& uncertainty);

// Quantile of Student's t distribution; `probability` above 0 and below 1, `degrees_of_freedom`
// positive.
double StudentTQuantile(double probability, double degrees_of_freedom);

// Probability that |t| exceeds |`t`|.
double StudentTTwoSidedP(double t, double degrees_of_freedom);

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_JACKKNIFE_H_
