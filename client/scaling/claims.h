// The claims C1-C5 about distillation, answered for one sweep. Pure: no I/O, no clock, no
// randomness.
//
//   C1  distilled students beat their scratch twins (the scratch arm, one-hot or Gaussian, that
//       validation prefers for the student)
//   C2  DKD gains most
//   C3  ResNet students gain more than MLPs of as many parameters
//   C4  error falls predictably with size: a power law of the smaller networks predicts the
//       largest, and a constant does not
//   C5  edge-ready: a distilled student within 1 BPM of its teacher with ten times fewer bytes and
//       five times lower latency
//
// A part of a claim (a method, a student) has an effect, whose interval comes from leaving out
// subjects, trainings and folds (jackknife.h), and a margin. Yes: the interval's lower end is above
// 0. No: its upper end is below the margin. Each end stands at its step of Holm's procedure over
// the parts of the claim, one procedure for "yes" and one for "no". Everything is done for three
// decodings of the same outputs; a part whose answer differs between them is not resolved.
#ifndef RETORT_CLIENT_SCALING_CLAIMS_H_
#define RETORT_CLIENT_SCALING_CLAIMS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "client/scaling/interval.h"

namespace retort::scaling {

// Median (the headline), arg max, expectation: the order of all arrays of three.
inline constexpr int kDecodings = 3;
using PerDecoding = std::array<double, kDecodings>;

// A subject's errors on test, in BPM.
struct SubjectErrors {
  std::string subject;
  PerDecoding mae_bpm = {};
};

// One network of a sweep, tested on its fold's subjects.
struct TestedNetwork {
  bool is_teacher = false;
  std::string model;      // `resnet1d-4/4`
  std::string family;     // `resnet1d`
  std::string method;     // `scratch`, `hard`, `soft`, `dkd`, `feature`; not looked at of teachers
  bool gaussian = false;  // of scratch: learnt from Gaussian targets
  // Method's settings and training values. Of several, those count that are best on validation.
  std::string settings;
  std::string teacher;  // model; empty for scratch
  int fold = 0;
  int64_t seed = 0;
  std::optional<double> validation_mae_bpm;
  double params = 0;
  double params_body = 0;
  double bytes = 0;
  double latency_ms = 0;        // 0 if not known
  std::string latency_machine;  // latencies of different machines are not compared
  std::vector<SubjectErrors> subjects;
};

struct ClaimOptions {
  double confidence = 0.95;
  double gain_margin_bpm = 0.25;   // m1, of C1 and C2
  double family_margin = 0.05;     // of C3, a share
  double edge_margin_bpm = 1;      // of C5
  double edge_times_smaller = 10;  // likewise
  double edge_times_faster = 5;    // likewise
};

enum class Answer { kYes, kNo, kNotResolved };
// `yes`, `no`, `not resolved`.
std::string AnswerName(Answer answer);

struct ClaimPart {
  std::string of;                    // `dkd`, `resnet1d-16/4 by soft`
  std::string scope;                 // the students that it is about, such as `all` or `mlp`
  std::string compared_with;         // in words
  std::string unit;                  // of the effect: `BPM`, or `log ratio`
  std::optional<double> effect;      // median decoding
  std::optional<Interval> interval;  // likewise, each end at its step of Holm's procedure
  std::optional<double> p_yes_holm;  // one-sided, likewise
  std::optional<double> p_no_holm;   // likewise
  double margin = 0;
  int subjects = 0;
  // By itself; unset where there is nothing to judge.
  std::array<Answer, kDecodings> by_decoding = {Answer::kNotResolved, Answer::kNotResolved,
                                                Answer::kNotResolved};
  Answer answer = Answer::kNotResolved;
  std::string reason;  // why it is not resolved; empty if it is
  // More numbers, by name: errors of both sides, sizes, ratios.
  std::vector<std::pair<std::string, double>> details;
};

struct Claim {
  int number = 0;         // 1-5
  std::string statement;  // a sentence
  Answer answer = Answer::kNotResolved;
  std::string reason;  // how the answer follows from the parts
  std::vector<ClaimPart> parts;
  std::vector<std::string> warnings;
};

// Five claims. INVALID_ARGUMENT, with the network, for: none; an error that is not finite or is
// negative; a name that is empty; an option out of range; two networks that differ in nothing. What
// the networks cannot tell (too few subjects, one training, no teacher, ...) is not resolved, with
// the reason. Any number of threads may call it at once.
absl::StatusOr<std::vector<Claim>> JudgeClaims(const std::vector<TestedNetwork>& networks,
                                               const ClaimOptions& options);

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_CLAIMS_H_
