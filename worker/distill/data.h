// Prepared datasets as tensors, and which of their windows a job may see.
#ifndef RETORT_WORKER_DISTILL_DATA_H_
#define RETORT_WORKER_DISTILL_DATA_H_

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/spec/dataset.h"
#include "retort/v1/spec.pb.h"
#include "worker/distill/rng.h"

namespace retort::distill {

// A dataset in memory. A row is one channel of one window: row = window * channels + channel.
struct LoadedDataset {
  Dataset info;            // without its windows, which are in rows_R1L
  std::string sha256;      // its hash, 64 hexadecimal digits
  torch::Tensor rows_R1L;  // [W * C, 1, L]

  int64_t channels() const { return info.channels_count; }
  // Where its rows are, and all that is computed with them.
  torch::Device device() const { return rows_R1L.device(); }
};

// Takes over a dataset that was checked; its rows lie on the device.
std::shared_ptr<const LoadedDataset> LoadDataset(Dataset dataset, std::string sha256,
                                                 torch::Device device = torch::kCPU);

// Windows of one fold, each ascending; no window in two parts, no subject in two parts.
struct FoldWindows {
  std::vector<int64_t> train;
  std::vector<int64_t> validation;
  std::vector<int64_t> test;
};

// Divides the windows of the dataset trained on. Failure: INVALID, as SplitSubjects, or fewer than
// 2 training windows.
FoldWindows SplitWindows(const Dataset& dataset, const v1::SplitSpec& split, int fold);

// All windows: those of a dataset that was not trained on.
std::vector<int64_t> AllWindows(const Dataset& dataset);

// Mean reference heart rate of some windows, BPM.
double MeanBpm(const Dataset& dataset, const std::vector<int64_t>& windows);

// One row to train on: `item` counts the training windows and channels, item = i * channels +
// channel for the i-th training window; the dataset's row is train[i] * channels + channel.
using Item = int64_t;

// The items of one epoch in the order in which they are trained on.
std::vector<Item> DrawEpoch(int64_t train_windows, int64_t channels, v1::ChannelDraw draw,
                            Rng& rng);

// Borders of the steps of an epoch of `items` items: step s has items border[s]..border[s+1]. Steps
// have `batch` items; the last has the rest, and a rest of one joins the step before it, since
// batch norm needs two.
std::vector<int64_t> StepBorders(int64_t items, int64_t batch);

// A list of indices as an int64 tensor.
torch::Tensor IndexTensor(const std::vector<int64_t>& indices);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_DATA_H_
