// The smallest student of a sweep that keeps an error, over all methods. Pure.
//
// Of each model the arm and teacher that are best on validation are the candidate. Candidates are
// tested on the test subjects in the order of their errors on validation, the best first, each at
// the whole confidence; the first that is not sure ends it. The answer is the smallest of those
// before it. The order is not chosen by the test, so that the chance to name any student that does
// not keep the error is at most one minus the confidence, however many were tried (a fixed
// sequence; Maurer, Hothorn, Lehmacher 1995).
#ifndef RETORT_CLIENT_SCALING_SMALLEST_STUDENT_H_
#define RETORT_CLIENT_SCALING_SMALLEST_STUDENT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/scaling/claims.h"

namespace retort::scaling {

// A model by its best arm and teacher.
struct StudentCandidate {
  std::string model;
  std::string arm;      // `one-hot` or `gaussian` (scratch), or the method
  std::string teacher;  // empty for scratch
  double params = 0;
  double params_body = 0;
  double validation_mae_bpm = 0;
  double mae_bpm = 0;  // on test: mean over subjects, of the median decoding
  // Of mae_bpm, one-sided. Unset where there is none, with the reason in `problem`.
  std::optional<double> upper_bpm;
  bool keeps = false;  // the upper bound is at most the error, and so it is of all before it
  std::string problem;
};

struct SmallestStudent {
  std::vector<StudentCandidate> candidates;  // in the order of the tests
  // The smallest by parameters that keeps the error, of `candidates`.
  std::optional<size_t> smallest;
  std::vector<std::string> warnings;
};

// INVALID_ARGUMENT: as JudgeClaims; a loss that is not positive; a confidence not above 0.5 and
// below 1. FAILED_PRECONDITION: no student has errors on validation, which would choose.
absl::StatusOr<SmallestStudent> FindSmallestStudent(const std::vector<TestedNetwork>& networks,
                                                    double mae_bpm, double confidence);

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_SMALLEST_STUDENT_H_
