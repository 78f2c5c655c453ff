#include "worker/distill/given.h"

#include <cstring>
#include <utility>

#include "common/spec/given_teacher.h"
#include "common/spec/outputs_file.h"
#include "common/spec/weights_file.h"
#include "worker/distill/failure.h"

namespace retort::distill {
namespace {

template <typename T>
T ValueOrInvalid(Expected<T> value) {
  if (value.ok()) return *std::move(value);
  throw Failure(v1::FAILURE_CAUSE_INVALID, "given_teacher: " + value.error());
}

// Rows of the training windows of a tensor [W, C, N], as [I, N].
torch::Tensor TrainingRows(const TensorView& view, const std::vector<int64_t>& train_windows) {
  const int64_t channels = view.shape[1], width = view.shape[2];
  const size_t window_bytes = static_cast<size_t>(channels * width) * sizeof(float);
  torch::Tensor out = torch::empty({static_cast<int64_t>(train_windows.size()) * channels, width});
  char* to = static_cast<char*>(out.data_ptr());
  for (const int64_t window : train_windows) {
    std::memcpy(to, view.data.data() + static_cast<size_t>(window) * window_bytes, window_bytes);
    to += window_bytes;
  }
  return out;
}

}  // namespace

TeacherFile ReadGivenTeacher(const v1::GivenTeacher& given, std::string bytes,
                             const std::string& what, const LoadedDataset& dataset,
                             bool allow_torchscript) {
  TeacherFile teacher;
  teacher.name = HashOf(given);
  teacher.what = what;
  teacher.torchscript = given.has_torchscript_sha256();
  if (teacher.torchscript && !allow_torchscript) {
    throw Failure(v1::FAILURE_CAUSE_INVALID,
                  "given_teacher: a TorchScript module runs code, which this worker does not "
                  "allow; its operator may (retort-worker --allow-torchscript), or give weights or "
                  "outputs");
  }
  if (!teacher.torchscript) {
    const auto file = ValueOrInvalid(Safetensors::Parse(bytes, what));
    const auto header = ValueOrInvalid(CheckWeights(file));
    ValueOrInvalid(CheckFits(header, what, dataset.info, "the dataset trained on"));
    teacher.model = header.model;
  }
  teacher.bytes = std::move(bytes);
  return teacher;
}

std::shared_ptr<const TeacherOutputs> ReadGivenOutputs(std::string bytes, const std::string& what,
                                                       const LoadedDataset& dataset,
                                                       const std::vector<int64_t>& train_windows) {
  const auto file = ValueOrInvalid(Safetensors::Parse(std::move(bytes), what));
  const auto header = ValueOrInvalid(CheckOutputs(file));
  ValueOrInvalid(CheckOutputsFit(header, what, dataset.sha256, dataset.info.windows_count,
                                 dataset.channels()));
  auto outputs = std::make_shared<TeacherOutputs>();
  outputs->logits_IK = TrainingRows(ValueOrInvalid(file.Find("logits")), train_windows);
  if (header.features > 0) {
    outputs->features_IF = TrainingRows(ValueOrInvalid(file.Find("features")), train_windows);
  }
  return outputs;
}

}  // namespace retort::distill
