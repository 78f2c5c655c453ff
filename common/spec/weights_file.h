// Weights of a network as a safetensors file: what a job leaves, and what a sweep may be given as a
// teacher (worker/distill/README.md). Pure.
//
// Tensors: every parameter and buffer under its dotted name, F32. Metadata: `format` =
// retort.model.v1; `model` = JSON of the ModelSpec; `samples` = samples of a window; `job` = JobId,
// where a job made it. Where they are there, `rate_hz` = samples per second of the input, and
// `first_bpm` = BPM of class 0, are held against the dataset and the task.
#ifndef RETORT_COMMON_SPEC_WEIGHTS_FILE_H_
#define RETORT_COMMON_SPEC_WEIGHTS_FILE_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/spec/dataset.h"
#include "common/spec/expected.h"
#include "common/spec/safetensors.h"
#include "retort/v1/spec.pb.h"

namespace retort {

inline constexpr char kWeightsFormat[] = "retort.model.v1";

// What a weights file says of itself.
struct WeightsHeader {
  v1::ModelSpec model;  // with every field filled in
  int samples = 0;      // of a window
  std::string job;      // may be empty
  std::string rate_hz;  // as written; may be empty
};

// Names and shapes of a network's tensors: parameters, then buffers, each in the order of layers.
std::vector<std::pair<std::string, std::vector<int64_t>>> TensorsOf(const v1::ModelSpec& model,
                                                                    int samples);

// The header of a weights file whose tensors are those that its network has, all finite. Error:
// names the file, what it holds, and what would be right.
Expected<WeightsHeader> CheckWeights(const Safetensors& file);

// Whether such a network can be fed with a dataset's windows; `what` names the weights in errors.
Expected<bool> CheckFits(const WeightsHeader& weights, const std::string& what,
                         const Dataset& dataset, const std::string& dataset_what);

// `[180, 64]`.
std::string ShapeText(const std::vector<int64_t>& shape);

}  // namespace retort

#endif  // RETORT_COMMON_SPEC_WEIGHTS_FILE_H_
