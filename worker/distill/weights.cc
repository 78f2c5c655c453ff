#include "worker/distill/weights.h"

#include <google/protobuf/util/json_util.h>

#include <cstring>

#include "common/spec/safetensors.h"
#include "worker/distill/failure.h"

namespace retort::distill {
namespace {

constexpr char kFormat[] = "retort.model.v1";

[[noreturn]] void Refuse(const std::string& what, const std::string& why) {
  throw Failure(v1::FAILURE_CAUSE_ARTIFACT, what + ": " + why);
}

std::string MetadataOf(const Safetensors& file, const std::string& key) {
  return ValueOrFail(file.Metadata(key), v1::FAILURE_CAUSE_ARTIFACT);
}

// The file must say that it holds what is wanted, before its tensors are looked at.
void CheckMetadata(const Safetensors& file, const v1::ModelSpec& model, int samples) {
  if (const auto format = file.Metadata("format"); !format.ok() || *format != kFormat) {
    Refuse(file.what(), std::string("not weights: its metadata 'format' is not '") + kFormat + "'");
  }
  v1::ModelSpec found;
  if (!google::protobuf::util::JsonStringToMessage(MetadataOf(file, "model"), &found).ok() ||
      found.family_case() == v1::ModelSpec::FAMILY_NOT_SET) {
    Refuse(file.what(), "its metadata 'model' is not a network's spec");
  }
  if (ArchitectureName(found) != ArchitectureName(model)) {
    Refuse(file.what(), "holds weights of " + ArchitectureName(found) + "; wanted are those of " +
                            ArchitectureName(model));
  }
  const std::string length = MetadataOf(file, "samples");
  if (length != std::to_string(samples)) {
    Refuse(file.what(), "holds weights for windows of " + length + " samples; wanted are " +
                            std::to_string(samples));
  }
}

std::string ShapeText(torch::IntArrayRef shape) {
  std::string out = "[";
  for (int64_t extent : shape) out += (out.size() > 1 ? ", " : "") + std::to_string(extent);
  return out + "]";
}

}  // namespace

std::vector<std::pair<std::string, torch::Tensor>> NamedTensors(const torch::nn::Module& network) {
  std::vector<std::pair<std::string, torch::Tensor>> out;
  for (const auto& item : network.named_parameters()) {
    out.emplace_back(item.key(), item.value().detach());
  }
  for (const auto& item : network.named_buffers()) out.emplace_back(item.key(), item.value());
  return out;
}

std::string SerializeWeights(const Network& network, const v1::ModelSpec& model,
                             const std::string& job, int samples) {
  std::string json;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  // A message of numbers cannot fail to print.
  (void)google::protobuf::util::MessageToJsonString(model, &json, options);
  std::vector<TensorToWrite> tensors;
  std::vector<torch::Tensor> held;
  for (const auto& [name, tensor] : NamedTensors(network)) {
    held.push_back(tensor.to(torch::kCPU, torch::kFloat).contiguous());
    const auto& values = held.back();
    tensors.push_back({name,
                       DType::kF32,
                       values.sizes().vec(),
                       {static_cast<const char*>(values.data_ptr()), values.nbytes()}});
  }
  return SerializeSafetensors(
      {{"format", kFormat}, {"model", json}, {"job", job}, {"samples", std::to_string(samples)}},
      tensors);
}

std::shared_ptr<Network> ParseWeights(std::string bytes, const std::string& what,
                                      const v1::ModelSpec& model, int samples) {
  const auto file =
      ValueOrFail(Safetensors::Parse(std::move(bytes), what), v1::FAILURE_CAUSE_ARTIFACT);
  CheckMetadata(file, model, samples);
  auto network = BuildNetwork(model, samples, /*seed=*/0);
  const auto tensors = NamedTensors(*network);
  for (const auto& [name, tensor] : tensors) {
    const auto view = ValueOrFail(file.Find(name), v1::FAILURE_CAUSE_ARTIFACT);
    if (view.dtype != DType::kF32 || tensor.sizes() != torch::IntArrayRef(view.shape)) {
      Refuse(what, "tensor '" + name + "' is " + std::string(NameOf(view.dtype)) + " " +
                       ShapeText(view.shape) + "; must be F32 " + ShapeText(tensor.sizes()));
    }
    std::memcpy(tensor.data_ptr(), view.data.data(), view.data.size());
    if (!tensor.isfinite().all().item<bool>()) {
      Refuse(what, "tensor '" + name + "' holds a number that is not finite");
    }
  }
  if (file.tensors().size() != tensors.size()) {
    Refuse(what, "has " + std::to_string(file.tensors().size()) + " tensors; " +
                     ArchitectureName(model) + " has " + std::to_string(tensors.size()));
  }
  network->eval();
  return network;
}

}  // namespace retort::distill
