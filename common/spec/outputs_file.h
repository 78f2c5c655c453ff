// What a teacher of any framework says about a dataset, as a safetensors file (worker/distill/
// teachers.md shows how one is written). Pure.
//
// Tensors (W windows, C channels of the dataset, in its order):
//   logits    F32 [W, C, 180]  before any softmax; class k is 30 + k BPM
//   features  F32 [W, C, F]    of the layer that `feature` compares; may be missing
// Metadata: `format` = retort.outputs.v1; `dataset` = SHA-256 of the dataset's file.
#ifndef RETORT_COMMON_SPEC_OUTPUTS_FILE_H_
#define RETORT_COMMON_SPEC_OUTPUTS_FILE_H_

#include <cstdint>
#include <string>

#include "common/spec/expected.h"
#include "common/spec/safetensors.h"

namespace retort {

inline constexpr char kOutputsFormat[] = "retort.outputs.v1";

struct OutputsHeader {
  std::string dataset_sha256;
  int64_t windows = 0;
  int64_t channels = 0;
  int64_t features = 0;  // F; 0 without
};

// The header of a file whose numbers are all finite. Error: names the file, what it holds, and what
// would be right.
Expected<OutputsHeader> CheckOutputs(const Safetensors& file);

// Whether they are outputs for a dataset of this hash and size.
Expected<bool> CheckOutputsFit(const OutputsHeader& outputs, const std::string& what,
                               const std::string& dataset_sha256, int64_t windows,
                               int64_t channels);

}  // namespace retort

#endif  // RETORT_COMMON_SPEC_OUTPUTS_FILE_H_
