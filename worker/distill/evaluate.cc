#include "worker/distill/evaluate.h"

#include <algorithm>
#include <span>

#include "common/spec/heart_rate.h"
#include "worker/distill/device.h"

namespace retort::distill {
namespace {

constexpr int64_t kRows = 512;  // of a batch, about

// `log_p`: one distribution per channel.
WindowEstimate Estimate(const Dataset& dataset, int64_t window, std::span<const float> log_p) {
  WindowEstimate out;
  out.subject = dataset.subject_W[window];
  out.reference_bpm = dataset.bpm_W[window];
  const int channels = dataset.channels_count;
  for (int c = 0; c < channels; ++c) {
    out.channels.push_back(Decode(log_p.subspan(c * kClasses, kClasses), out.reference_bpm));
    out.fft_bpm.push_back(dataset.fft_bpm_WC[window * channels + c]);
  }
  out.all_channels = channels == 1 ? out.channels[0]
                                   : Decode(MeanDistribution(log_p, channels), out.reference_bpm);
  return out;
}

}  // namespace

std::vector<WindowEstimate> EstimateWindows(Network& network, const LoadedDataset& dataset,
                                            const std::vector<int64_t>& windows,
                                            const std::function<void()>& between_batches) {
  torch::NoGradGuard no_grad;
  const bool was_training = network.is_training();
  network.eval();
  const int64_t channels = dataset.channels();
  const auto count = static_cast<int64_t>(windows.size());
  const int64_t batch = std::max<int64_t>(1, kRows / channels);
  std::vector<WindowEstimate> out;
  out.reserve(windows.size());
  for (int64_t at = 0; at < count; at += batch) {
    between_batches();
    std::vector<int64_t> rows;
    for (int64_t i = at; i < std::min(at + batch, count); ++i) {
      for (int64_t c = 0; c < channels; ++c) rows.push_back(windows[i] * channels + c);
    }
    const torch::Tensor rows_B1L =
        dataset.rows_R1L.index_select(0, OnDevice(IndexTensor(rows), dataset.device()));
    const torch::Tensor log_p_BK =
        network.Forward(rows_B1L).logits_BK.log_softmax(1).to(torch::kCPU).contiguous();
    const std::span<const float> log_p(log_p_BK.data_ptr<float>(), log_p_BK.numel());
    for (int64_t i = at; i < std::min(at + batch, count); ++i) {
      out.push_back(Estimate(dataset.info, windows[i],
                             log_p.subspan((i - at) * channels * kClasses, channels * kClasses)));
    }
  }
  network.train(was_training);
  return out;
}

}  // namespace retort::distill
