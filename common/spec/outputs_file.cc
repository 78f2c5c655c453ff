#include "common/spec/outputs_file.h"

#include <cmath>
#include <vector>

#include "common/spec/heart_rate.h"
#include "common/spec/weights_file.h"

namespace retort {
namespace {

// The tensor [W, C, any], all finite.
Expected<TensorView> CheckTensor(const Safetensors& file, const std::string& name) {
  auto view = file.Find(name);
  if (!view.ok()) return Error{view.error()};
  const std::string what = file.what() + ": tensor '" + name + "' ";
  if (view->dtype != DType::kF32 || view->shape.size() != 3 || view->elements() == 0) {
    return Error{what + "is " + std::string(NameOf(view->dtype)) + " " + ShapeText(view->shape) +
                 "; must be F32 [windows, channels, " +
                 (name == "logits" ? std::to_string(kClasses) : "features") + "]"};
  }
  const std::vector<float> values = view->Copy<float>();
  for (size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) continue;
    const auto last = static_cast<size_t>(view->shape[2]);
    const auto channels = static_cast<size_t>(view->shape[1]);
    return Error{what + "is not finite at window " + std::to_string(i / last / channels) +
                 ", channel " + std::to_string(i / last % channels) + "; must be everywhere"};
  }
  return view;
}

}  // namespace

Expected<OutputsHeader> CheckOutputs(const Safetensors& file) {
  const auto format = file.metadata().find("format");
  const std::string said = format == file.metadata().end() ? "" : format->second;
  if (said != kOutputsFormat) {
    return Error{file.what() + ": its metadata 'format' is '" + said.substr(0, 60) +
                 "'; outputs of a teacher have '" + kOutputsFormat + "'"};
  }
  const auto logits = CheckTensor(file, "logits");
  if (!logits.ok()) return Error{logits.error()};
  OutputsHeader header;
  header.windows = logits->shape[0];
  header.channels = logits->shape[1];
  if (logits->shape[2] != kClasses) {
    return Error{file.what() + ": tensor 'logits' is " + ShapeText(logits->shape) + ", " +
                 std::to_string(logits->shape[2]) + " classes; must have " +
                 std::to_string(kClasses) + ", of 30 to 209 BPM"};
  }
  for (const auto& [name, view] : file.tensors()) {
    if (name == "logits") continue;
    if (name != "features") {
      return Error{file.what() + ": has a tensor '" + name +
                   "'; must have 'logits', and may have 'features'"};
    }
    const auto features = CheckTensor(file, "features");
    if (!features.ok()) return Error{features.error()};
    if (features->shape[0] != header.windows || features->shape[1] != header.channels) {
      return Error{file.what() + ": tensor 'features' is " + ShapeText(features->shape) +
                   ", 'logits' " + ShapeText(logits->shape) +
                   "; both must have the dataset's windows and channels"};
    }
    header.features = features->shape[2];
  }
  const auto dataset = file.metadata().find("dataset");
  if (dataset == file.metadata().end() || dataset->second.empty()) {
    return Error{file.what() +
                 ": has no metadata 'dataset'; must be the SHA-256 of the dataset's file"};
  }
  header.dataset_sha256 = dataset->second;
  return header;
}

Expected<bool> CheckOutputsFit(const OutputsHeader& outputs, const std::string& what,
                               const std::string& dataset_sha256, int64_t windows,
                               int64_t channels) {
  if (outputs.dataset_sha256 != dataset_sha256) {
    return Error{what + ": its metadata 'dataset' is " + outputs.dataset_sha256.substr(0, 64) +
                 "; the dataset trained on has SHA-256 " + dataset_sha256 +
                 ". Outputs are for the very bytes of one dataset"};
  }
  if (outputs.windows == windows && outputs.channels == channels) return true;
  return Error{what + ": holds " + std::to_string(outputs.windows) + " windows of " +
               std::to_string(outputs.channels) + " channels; the dataset has " +
               std::to_string(windows) + " of " + std::to_string(channels)};
}

}  // namespace retort
