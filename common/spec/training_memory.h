// What a training run needs of a slot's memory, from its spec alone. Pure.
#ifndef RETORT_COMMON_SPEC_TRAINING_MEMORY_H_
#define RETORT_COMMON_SPEC_TRAINING_MEMORY_H_

#include <cstdint>

#include "common/spec/expected.h"
#include "retort/v1/spec.pb.h"

namespace retort {

// Sizes of the data of a run.
struct TrainingData {
  int samples = 0;             // of a window and channel
  int channels = 0;            // of the dataset trained on
  double train_windows = 0;    // of its fold
  double dataset_bytes = 0;    // files of all datasets that it names, each once
  double largest_dataset = 0;  // the largest of these files, bytes
};

// An estimate of the peak memory of the runner of one job, bytes:
//
//   256 MiB                              the runner and LibTorch (150 MiB idle, 190 after the least
//   job) datasets, the largest twice more     they stay in memory; a file is copied twice while it
//   is read 6 (Adam) or 5 (SGD) x parameters     weights, gradients, moments, the result's file and
//   its bytes batch x what is kept for backward    all layers' outputs of a step 2 x 512 x the
//   largest layers         evaluation, and the teacher's pass, go by 512 windows 3 x windows x
//   channels x outputs     the teacher's logits and features: parts, whole, file windows x classes
//   Gaussian targets
//
// The batch is a micro-batch where the spec names one. Of `auto` the whole batch counts: a slot
// that holds it is tried first. Activations in bfloat16 count as floats: more than they take.
//
// Held against the peak RSS of runners with LibTorch 1.13 on a CPU (one thread, 1.8 MiB of data;
// MiB estimated / seen): 4/4 283 / 191, 32/8 418 / 325, 32/8 with batches of 512 647 / 479, 64/8
// 591 / 539, 128/8 959 / 789, 4/4 by `soft` from 32/8 368 / 272. Error: as CostOf.
Expected<int64_t> TrainingMemoryBytes(const v1::TrainingSpec& spec, const TrainingData& data);

}  // namespace retort

#endif  // RETORT_COMMON_SPEC_TRAINING_MEMORY_H_
