// A prepared dataset: windows of PPG with reference heart rates and subjects, one safetensors file.
//
// Tensors (W windows, C channels, L samples):
//   windows  F32 [W, C, L]  filtered, resampled, z-scored per window and channel
//   bpm      F32 [W]        reference heart rate, BPM
//   subject  I32 [W]        index into the subjects
//   fft_bpm  F32 [W, C]     heart rate of the strongest spectral peak: the floor that needs no
//   learning start_s  F32 [W]        start of the window in its recording, seconds recording I32
//   [W]       index into the recordings
// Metadata: `format` = retort.dataset.v1; `subjects`, `recordings`, `channels`: JSON lists of
// names; `rate_hz`, `window_s`, `stride_s`, and free keys that say how it was made (`source`,
// `filter`, `seed`).
#ifndef RETORT_COMMON_SPEC_DATASET_H_
#define RETORT_COMMON_SPEC_DATASET_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/spec/expected.h"

namespace retort {

struct Dataset {
  int64_t windows_count = 0;   // W
  int32_t channels_count = 0;  // C
  int32_t samples = 0;         // L

  std::vector<float> windows_WCL;
  std::vector<float> bpm_W;
  std::vector<int32_t> subject_W;
  std::vector<float> fft_bpm_WC;
  std::vector<float> start_s_W;
  std::vector<int32_t> recording_W;

  std::vector<std::string> subjects;
  std::vector<std::string> recordings;
  std::vector<std::string> channels;
  std::map<std::string, std::string> metadata;  // all other keys
};

// Checks sizes, indices and that every number is finite and every heart rate within 20..250 BPM.
// `what` names it in errors.
Expected<bool> CheckDataset(const Dataset& dataset, const std::string& what);

// Reads and checks a file's bytes.
Expected<Dataset> ParseDataset(std::string bytes, const std::string& what);
Expected<Dataset> ReadDataset(const std::string& path);

// The bytes of a file; the same dataset gives the same bytes.
std::string SerializeDataset(const Dataset& dataset);

}  // namespace retort

#endif  // RETORT_COMMON_SPEC_DATASET_H_
