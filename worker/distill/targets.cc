#include "worker/distill/targets.h"

#include <vector>

#include "common/spec/heart_rate.h"
#include "common/spec/labels.h"
#include "worker/distill/device.h"

namespace retort::distill {

using torch::Tensor;

Targets::Targets(const v1::MethodSpec& method, const LoadedDataset& dataset,
                 const FoldWindows& windows, const TeacherOutputs* teacher)
    : channels_(dataset.channels()) {
  std::vector<int64_t> rows, classes;
  std::vector<float> bpm;
  for (int64_t window : windows.train) {
    bpm.push_back(dataset.info.bpm_W[window]);
    classes.push_back(ClassOfBpm(bpm.back()));
    for (int64_t c = 0; c < channels_; ++c) rows.push_back(window * channels_ + c);
  }
  const torch::Device device = dataset.device();
  rows_I_ = OnDevice(IndexTensor(rows), device);
  classes_W_ = OnDevice(IndexTensor(classes), device);
  if (const double sigma = TargetWidth(method); sigma > 0) {
    targets_WK_ = OnDevice(GaussianTargets(torch::tensor(bpm), sigma), device);
  }
  if (teacher == nullptr) return;
  teacher_logits_IK_ = teacher->logits_IK.to(device);
  if (const auto compared = FeaturesOf(method)) {
    teacher_features_IF_ = NormalizeFeatures(teacher->features_IF.to(device), compared->norm);
  }
}

LossInputs Targets::Select(const Tensor& items_B) const {
  const Tensor windows_B = items_B.div(channels_, "trunc");
  LossInputs out;
  out.classes_B = classes_W_.index_select(0, windows_B);
  if (targets_WK_.defined()) out.targets_BK = targets_WK_.index_select(0, windows_B);
  if (teacher_logits_IK_.defined()) {
    out.teacher_logits_BK = teacher_logits_IK_.index_select(0, items_B);
  }
  if (teacher_features_IF_.defined()) {
    out.teacher_features_BF = teacher_features_IF_.index_select(0, items_B);
  }
  return out;
}

}  // namespace retort::distill
