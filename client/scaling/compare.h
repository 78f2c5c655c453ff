// Compares each distillation method with its scratch twins, pair by pair. Pure: no I/O, no clock,
// no randomness.
//
// A pair is one student, fold, seed, subject and set of training values, learnt once by the method
// and once from scratch. The gain is the mean over subjects of each subject's mean of (scratch -
// method) over its pairs, in the unit of the error (BPM): positive means that the method is better.
// Its interval comes from leaving out one subject, one training and one fold at a time
// (jackknife.h).
#ifndef RETORT_CLIENT_SCALING_COMPARE_H_
#define RETORT_CLIENT_SCALING_COMPARE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/scaling/interval.h"

namespace retort::scaling {

// One network tested on one subject.
struct Outcome {
  // Label that tells methods and their settings apart: `dkd`, `scratch(sigma=3)`.
  std::string method;
  // Learnt without a teacher: a control ("arm"), not a method to judge.
  bool scratch = false;
  std::string student;  // architecture
  // Empty for scratch. Several teachers of a student pair with the same scratch twin.
  std::string teacher;
  // Other values that twins must share (training values, dataset); empty if there are none.
  std::string settings;
  int fold = 0;
  int64_t seed = 0;
  std::string subject;
  double mae_bpm = 0;                        // the subject's error on test; finite, not negative
  std::optional<double> validation_mae_bpm;  // of the network on its fold's validation subjects
};

struct CompareOptions {
  double confidence = 0.95;
  bool per_student = false;  // one row per (method, student) rather than per method
};

enum class Verdict {
  kBetter,  // than scratch: Holm's p is below 1 - confidence, and so the interval lies above 0
  kWorse,   // the interval lies below 0, likewise
  kNotResolved,
};

// `better`, `worse`, `not resolved`.
std::string VerdictName(Verdict verdict);

// A method beside one scratch arm.
struct ArmGain {
  std::string arm;  // the arm's method label
  int pairs = 0;
  int subjects = 0;
  int seeds = 0;
  double scratch_bpm = 0;  // mean over subjects of the arm's error, in these pairs
  double method_bpm = 0;   // of the method's
  double gain_bpm = 0;     // scratch_bpm - method_bpm
  std::optional<double> standard_error_bpm;
  std::optional<Interval> interval;  // unset under kMinSubjects subjects
  std::optional<double> p_value;     // two-sided, of no gain
  std::optional<double> p_holm;      // adjusted over all rows that were compared with this arm
  Verdict verdict = Verdict::kNotResolved;  // after Holm
  std::string reason;                       // why it is not resolved; empty if it is
};

// Error of a scratch arm on validation, over the networks that the row pairs with.
struct ArmValidation {
  std::string arm;
  std::optional<double> mae_bpm;
};

// One method (and student) with everything it was compared with.
struct Comparison {
  std::string method;
  std::string student;                    // empty unless CompareOptions::per_student
  std::vector<ArmGain> arms;              // by label
  std::vector<ArmValidation> validation;  // by label
  // The arm that is better on validation, or the only one; unset without validation errors of all.
  std::optional<std::string> reference;
  // Against the reference, Holm over all rows. Without a reference: that of all arms if they agree,
  // else not resolved.
  Verdict verdict = Verdict::kNotResolved;
  std::optional<double> p_holm;       // against the reference
  std::string reason;                 // why it is not resolved; empty if it is
  std::vector<std::string> warnings;  // for people: outcomes without a twin, a single seed, ...

  // The gain over the reference, or null.
  const ArmGain* ReferenceGain() const;
};

// Compares every method among `outcomes` that is not scratch; rows are ordered by method and
// student. A method without any twin is a row without arms, not resolved, whose reason says so; so
// is every method where there is no scratch arm at all. INVALID_ARGUMENT, with the outcome, for: no
// outcomes; an error that is not finite or is negative; an empty method, student or subject; two
// outcomes with the same key; an option out of range. Any number of threads may call it at once.
absl::StatusOr<std::vector<Comparison>> CompareWithScratch(const std::vector<Outcome>& outcomes,
                                                           const CompareOptions& options);

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_COMPARE_H_
