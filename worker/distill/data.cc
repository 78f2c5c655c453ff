#include "worker/distill/data.h"

#include <numeric>
#include <utility>

#include "common/spec/split.h"
#include "worker/distill/failure.h"

namespace retort::distill {

std::shared_ptr<const LoadedDataset> LoadDataset(Dataset dataset, std::string sha256,
                                                 torch::Device device) {
  auto loaded = std::make_shared<LoadedDataset>();
  loaded->sha256 = std::move(sha256);
  loaded->rows_R1L =
      torch::from_blob(dataset.windows_WCL.data(),
                       {dataset.windows_count * dataset.channels_count, 1, dataset.samples})
          .to(device, torch::kFloat, /*non_blocking=*/false, /*copy=*/true);
  dataset.windows_WCL = {};
  loaded->info = std::move(dataset);
  return loaded;
}

FoldWindows SplitWindows(const Dataset& dataset, const v1::SplitSpec& split, int fold) {
  const auto subjects =
      ValueOrFail(SplitSubjects(split, dataset.subjects, fold), v1::FAILURE_CAUSE_INVALID);
  FoldWindows windows;
  std::vector<std::vector<int64_t>*> part_of(dataset.subjects.size(), nullptr);
  for (int subject : subjects.train) part_of[subject] = &windows.train;
  for (int subject : subjects.validation) part_of[subject] = &windows.validation;
  for (int subject : subjects.test) part_of[subject] = &windows.test;
  for (int64_t w = 0; w < dataset.windows_count; ++w) {
    if (auto* part = part_of[dataset.subject_W[w]]) part->push_back(w);
  }
  if (windows.train.size() < 2) {
    throw Failure(v1::FAILURE_CAUSE_INVALID, "dataset: fold " + std::to_string(fold) + " has " +
                                                 std::to_string(windows.train.size()) +
                                                 " training window(s); training needs at least 2");
  }
  return windows;
}

std::vector<int64_t> AllWindows(const Dataset& dataset) {
  std::vector<int64_t> windows(dataset.windows_count);
  std::iota(windows.begin(), windows.end(), 0);
  return windows;
}

double MeanBpm(const Dataset& dataset, const std::vector<int64_t>& windows) {
  double sum = 0;
  for (int64_t w : windows) sum += dataset.bpm_W[w];
  return sum / static_cast<double>(windows.size());
}

std::vector<Item> DrawEpoch(int64_t train_windows, int64_t channels, v1::ChannelDraw draw,
                            Rng& rng) {
  std::vector<Item> items;
  if (draw == v1::CHANNEL_DRAW_EACH) {
    items.resize(train_windows * channels);
    std::iota(items.begin(), items.end(), 0);
  } else {
    for (int64_t i = 0; i < train_windows; ++i) {
      items.push_back(i * channels + static_cast<int64_t>(rng.Below(channels)));
    }
  }
  rng.Shuffle(items);
  return items;
}

std::vector<int64_t> StepBorders(int64_t items, int64_t batch) {
  std::vector<int64_t> borders;
  for (int64_t at = 0; at < items; at += batch) borders.push_back(at);
  if (borders.size() > 1 && items - borders.back() == 1) borders.pop_back();
  borders.push_back(items);
  return borders;
}

torch::Tensor IndexTensor(const std::vector<int64_t>& indices) {
  return torch::tensor(indices, torch::kLong);
}

}  // namespace retort::distill
