// A synthetic PPG set, physiological enough to learn from, for those who have no recordings yet.
// The model and its sources stand in synth.cc. Pure; the same options give the same bytes.
#ifndef RETORT_CLIENT_DATA_SYNTH_H_
#define RETORT_CLIENT_DATA_SYNTH_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "client/data/prepare.h"
#include "common/spec/dataset.h"

namespace retort {

struct SynthOptions {
  int subjects = 12;       // 1..1000
  double minutes = 5;      // per subject, 0.5..120
  int channels = 2;        // 1..8
  uint64_t seed = 0;       // another seed, other people
  double motion = 1;       // strength of motion, 0 (none)..5; 1 is about as hard as real data
  PrepareOptions prepare;  // the same pipeline as for real recordings
};

// One recording per subject, at 125 Hz. Subject k of a seed is the same however many subjects there
// are. INVALID_ARGUMENT: an option out of its range.
absl::StatusOr<std::vector<Recording>> SynthesizeRecordings(const SynthOptions& options);

// Those as a dataset with channels `ppg1`, `ppg2`, ...
absl::StatusOr<Dataset> Synthesize(const SynthOptions& options);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_SYNTH_H_
