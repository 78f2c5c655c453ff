// The training loop.
#ifndef RETORT_WORKER_DISTILL_TRAINER_H_
#define RETORT_WORKER_DISTILL_TRAINER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "retort/v1/result.pb.h"
#include "retort/v1/spec.pb.h"
#include "worker/distill/checkpoint.h"
#include "worker/distill/data.h"
#include "worker/distill/machine_lock.h"
#include "worker/distill/models.h"
#include "worker/distill/teacher.h"

namespace retort::distill {

// What is trained on. The references must outlive the call.
struct TrainingInputs {
  const v1::TrainingSpec& spec;  // passed CheckSpec
  const LoadedDataset& dataset;
  const FoldWindows& windows;          // test windows are not looked at
  const TeacherOutputs* teacher;       // null if the method needs none
  const Checkpoint* resume = nullptr;  // where an earlier attempt was; null: from the beginning
  // Takes the way of a GPU on a CPU too, for tests: LibTorch's layers, losses looked at late.
  bool as_on_gpu = false;
};

// How training speaks with the rest.
struct TrainingHooks {
  const std::atomic<bool>& stop;     // set by another thread: leave at the next step
  TrainingShare& share;              // held
  std::function<int64_t()> unix_ms;  // wall time, for display
  // Told after each epoch, with one point of each series; may block. `epochs`: how many there will
  // be, as far as is known; `epochs_done` once the spec's patience has ended.
  std::function<void(int epochs_done, int epochs, const std::vector<v1::MetricPoint>& points)>
      on_epoch;
  // Told every so many seconds of training (0: never), and before training leaves because of
  // `stop`. What it is told shares memory with the run. Not told: `job`, `fingerprint`, `mixed`.
  std::function<void(const Checkpoint& checkpoint)> on_checkpoint;
  double checkpoint_every_s = 0;
  std::function<void()> check_time;  // throws TIMEOUT once the attempt has taken as long as it may
  std::function<void(const std::string&)> log = [](const std::string&) {};  // a line for people
};

struct TrainedNetwork {
  std::shared_ptr<Network> network;  // with the weights that count, in evaluation mode
  int epochs = 0;                    // that were trained
  int kept_epoch = 0;
  int64_t microbatch = 0;  // as JobResult
  double train_s = 0;      // in steps
  double samples_per_s = 0;
  Checkpoint end;  // from which nothing is left to train; shares memory with the network
};

// Trains one network from its initial weights, or goes on where a checkpoint of it ends, on the
// device on which the dataset's rows lie; the network is there in the end. On a GPU a step waits
// for nothing that it computes. The same
// inputs give the same bits under the same numeric fingerprint, and so does a run that was resumed.
// Series: train.loss and its parts (train.ce, train.kd, train.tckd, train.nckd, train.feature;
// means over the epoch), lr (of the epoch's last step), train.samples_per_s, and val.mae_bpm and
// val.ce if there are validation windows. With keep = best training ends after `patience` epochs
// without a smaller val.mae_bpm. With microbatch = auto a step for which memory is not enough is
// taken again in smaller pieces, and so are those behind it. Failure: NUMERIC (with step and last
// good loss), PREEMPTED, TIMEOUT, ARTIFACT (a checkpoint of other tensors), INVALID (keep = best
// without validation windows).
TrainedNetwork Train(const TrainingInputs& inputs, const TrainingHooks& hooks);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_TRAINER_H_
