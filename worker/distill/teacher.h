// What a teacher says about the windows that its student trains on, computed once.
#ifndef RETORT_WORKER_DISTILL_TEACHER_H_
#define RETORT_WORKER_DISTILL_TEACHER_H_

#include <torch/torch.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "retort/v1/spec.pb.h"
#include "worker/distill/data.h"

namespace retort::distill {

// Logits and features for every item of training (data.h). They hold nothing of validation and test
// windows.
struct TeacherOutputs {
  torch::Tensor logits_IK;
  torch::Tensor features_IF;  // undefined if a given teacher has none
};

// A teacher whose file was read.
struct TeacherFile {
  std::string name;  // JobId that trained it, or SHA-256 of the file; names the cached outputs
  v1::ModelSpec model;
  std::string bytes;         // of the weights file, or the module's
  std::string what;          // names the file in errors
  bool torchscript = false;  // a TorchScript module, which `model` says nothing of
  std::string stage = {};    // whose features are wanted; empty for the penultimate
};

// Where a teacher's outputs for these windows are kept: it names job, weights, stage, dataset,
// windows, and the device unless that is a CPU.
std::string TeacherOutputsKey(const TeacherFile& teacher, const LoadedDataset& dataset,
                              const std::vector<int64_t>& train_windows);

// The outputs, in the CPU's memory, from the folder `cache_dir`/teacher-outputs, or computed on the
// device of the dataset and left there. A damaged
// file is computed again; one that cannot be written is only a warning. Several processes may do
// this at once. `between_batches` is called while computing and may throw. Failure: ARTIFACT, as
// ParseWeights; INVALID, as torchscript.h; NUMERIC if an output is not finite.
std::shared_ptr<const TeacherOutputs> LoadTeacherOutputs(
    const TeacherFile& teacher, const LoadedDataset& dataset,
    const std::vector<int64_t>& train_windows, const std::string& cache_dir,
    const std::function<void()>& between_batches);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_TEACHER_H_
