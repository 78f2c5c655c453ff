#include "worker/distill/teacher.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>
#include <utility>

#include "common/spec/heart_rate.h"
#include "common/spec/safetensors.h"
#include "common/spec/stages.h"
#include "worker/distill/device.h"
#include "worker/distill/failure.h"
#include "worker/distill/files.h"
#include "worker/distill/torchscript.h"
#include "worker/distill/weights.h"

namespace retort::distill {
namespace {

constexpr char kFormat[] = "retort.teacher_outputs.v1";
constexpr int64_t kBatch = 512;

std::string Hex(uint64_t value) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(value));
  return text;
}

std::string_view BytesOfTensor(const torch::Tensor& tensor) {
  return {static_cast<const char*>(tensor.data_ptr()), tensor.nbytes()};
}

std::string Checksum(std::string_view logits, std::string_view features) {
  return Hex(Fnv1a(features, Fnv1a(logits)));
}

// The tensor of that name with `rows` rows.
std::optional<torch::Tensor> Take(const Safetensors& file, const char* name, int64_t rows) {
  const auto view = file.Find(name);
  if (!view.ok() || view->dtype != DType::kF32 || view->shape.size() != 2 ||
      view->shape[0] != rows) {
    return std::nullopt;
  }
  torch::Tensor out = torch::empty({view->shape[0], view->shape[1]});
  std::memcpy(out.data_ptr(), view->data.data(), view->data.size());
  return out;
}

// Nothing if the file is missing, damaged or not what the key promises.
std::shared_ptr<const TeacherOutputs> ReadOutputs(const std::string& path, int64_t rows) {
  const auto file = Safetensors::ReadFile(path);
  if (!file.ok()) return nullptr;
  const auto logits = Take(*file, "logits", rows);
  auto features = Take(*file, "features", rows);
  if (file->tensors().size() == 1) features = torch::empty({0});  // a teacher without
  const auto format = file->Metadata("format");
  const auto checksum = file->Metadata("checksum");
  if (!logits || !features || logits->size(1) != kClasses || !format.ok() || *format != kFormat ||
      !checksum.ok() || *checksum != Checksum(BytesOfTensor(*logits), BytesOfTensor(*features))) {
    std::fprintf(stderr, "%s is damaged; the teacher's outputs are computed again\n", path.c_str());
    return nullptr;
  }
  if (features->numel() == 0) features = torch::Tensor();
  return std::make_shared<TeacherOutputs>(TeacherOutputs{*logits, *features});
}

void WriteOutputs(const std::string& path, const TeacherOutputs& outputs) {
  const auto logits = BytesOfTensor(outputs.logits_IK);
  std::vector<TensorToWrite> tensors = {
      {"logits", DType::kF32, outputs.logits_IK.sizes().vec(), logits}};
  std::string_view features;
  if (outputs.features_IF.defined()) {
    features = BytesOfTensor(outputs.features_IF);
    tensors.push_back({"features", DType::kF32, outputs.features_IF.sizes().vec(), features});
  }
  const auto written = WriteFileWhole(
      path, SerializeSafetensors({{"format", kFormat}, {"checksum", Checksum(logits, features)}},
                                 tensors));
  if (!written.ok()) {
    std::fprintf(stderr, "the teacher's outputs are not cached: %s\n", written.error().c_str());
  }
}

using Forward = std::function<NetworkOutput(const torch::Tensor& windows_B1L)>;

// On that device; modules that are given stay on the CPU, for which their authors wrote them.
Forward Open(const TeacherFile& teacher, int samples, torch::Device device) {
  if (teacher.torchscript) return OpenTorchScript(teacher.bytes, teacher.what);
  const auto network = ParseWeights(teacher.bytes, teacher.what, teacher.model, samples);
  if (!device.is_cpu()) network->to(device);
  const int stage =
      ValueOrFail(StageIndex(teacher.model, teacher.stage), v1::FAILURE_CAUSE_INVALID);
  return [network, stage](const torch::Tensor& windows_B1L) {
    return network->Forward(windows_B1L, stage);
  };
}

void RefuseUnlessFinite(const torch::Tensor& tensor, const std::string& name) {
  if (!tensor.defined() || tensor.isfinite().all().item<bool>()) return;
  throw Failure(v1::FAILURE_CAUSE_NUMERIC, "the outputs of teacher " + name + " are not finite");
}

}  // namespace

std::string TeacherOutputsKey(const TeacherFile& teacher, const LoadedDataset& dataset,
                              const std::vector<int64_t>& train_windows) {
  uint64_t hash = Fnv1a(BytesOfVector(train_windows), Fnv1a(dataset.sha256, Fnv1a(teacher.bytes)));
  if (!dataset.device().is_cpu()) hash = Fnv1a(DeviceText(dataset.device()), hash);
  const std::string stage = teacher.stage.empty() ? "" : "-" + teacher.stage;
  return teacher.name + stage + "-" + Hex(hash);
}

std::shared_ptr<const TeacherOutputs> LoadTeacherOutputs(
    const TeacherFile& teacher, const LoadedDataset& dataset,
    const std::vector<int64_t>& train_windows, const std::string& cache_dir,
    const std::function<void()>& between_batches) {
  const std::string path = cache_dir + "/teacher-outputs/" +
                           TeacherOutputsKey(teacher, dataset, train_windows) + ".safetensors";
  const auto items = static_cast<int64_t>(train_windows.size()) * dataset.channels();
  if (auto known = ReadOutputs(path, items)) return known;

  torch::NoGradGuard no_grad;
  const KernelChoice kernels(teacher.model);
  const Forward forward = Open(teacher, dataset.info.samples, dataset.device());
  std::vector<int64_t> rows;
  for (int64_t window : train_windows) {
    for (int64_t c = 0; c < dataset.channels(); ++c)
      rows.push_back(window * dataset.channels() + c);
  }
  const torch::Tensor rows_I = OnDevice(IndexTensor(rows), dataset.device());
  std::vector<torch::Tensor> logits, features;
  for (int64_t at = 0; at < items; at += kBatch) {
    between_batches();
    const auto batch_B = rows_I.slice(0, at, std::min(at + kBatch, items));
    const auto out = forward(dataset.rows_R1L.index_select(0, batch_B));
    logits.push_back(out.logits_BK.to(torch::kCPU));
    if (out.features_BF.defined()) features.push_back(out.features_BF.to(torch::kCPU));
  }
  auto outputs = std::make_shared<TeacherOutputs>();
  outputs->logits_IK = torch::cat(logits).contiguous();
  if (!features.empty()) outputs->features_IF = torch::cat(features).contiguous();
  RefuseUnlessFinite(outputs->logits_IK, teacher.name);
  RefuseUnlessFinite(outputs->features_IF, teacher.name);
  WriteOutputs(path, *outputs);
  return outputs;
}

}  // namespace retort::distill
