// All that decides how a run of training goes on, at the border between two steps, as a file.
//
// safetensors. Tensors: `network.NAME` (parameters and buffers), `projector.NAME`,
// `optimizer.NAME`, `kept.NAME` (the best weights so far), `sum.SERIES` (of the epoch's losses so
// far). Metadata: `format` = retort.checkpoint.v1, `job`, and the numbers below; doubles as the
// hexadecimal digits of their bits, since a resumed run must not lose one.
#ifndef RETORT_WORKER_DISTILL_CHECKPOINT_H_
#define RETORT_WORKER_DISTILL_CHECKPOINT_H_

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/spec/expected.h"

namespace retort::distill {

using NamedTensorList = std::vector<std::pair<std::string, torch::Tensor>>;

struct Checkpoint {
  std::string job;  // JobId
  // Numeric fingerprint of the run that wrote it, and whether there were others before.
  std::string fingerprint;
  bool mixed = false;

  int64_t epoch = 0;  // that is under way, from 0: epochs done
  int64_t step = 0;   // the next one of that epoch, from 0
  // States of the generators: of the order before this epoch's draw, of the dropout now.
  uint64_t order_rng = 0;
  uint64_t dropout_rng = 0;
  double last_loss = 0;
  double train_s = 0;     // spent so far, of these
  double epoch_s = 0;     // in this epoch
  int64_t sum_items = 0;  // items that are in `sums`
  int64_t kept_epoch = 0;
  double best_mae = 0;  // of the kept epoch's validation
  int64_t optimizer_steps = 0;
  double learning_rate = 0;  // of the latest step
  int64_t microbatch = 0;    // as JobResult; a file of 0 leaves it out

  NamedTensorList network;
  NamedTensorList projector;
  NamedTensorList optimizer;
  NamedTensorList kept;
  NamedTensorList sums;
};

// The bytes of a file; the same checkpoint gives the same bytes.
std::string SerializeCheckpoint(const Checkpoint& checkpoint);

// Back from a file's bytes; `what` names them in errors. Refuses bytes that are damaged or that are
// a checkpoint of another job.
Expected<Checkpoint> ParseCheckpoint(std::string bytes, const std::string& what,
                                     const std::string& job);

// Copies tensors into those of the same names, wherever they are. An error if names or shapes
// differ.
Expected<bool> CopyInto(const NamedTensorList& from, const NamedTensorList& to);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_CHECKPOINT_H_
