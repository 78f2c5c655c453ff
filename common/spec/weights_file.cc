#include "common/spec/weights_file.h"

#include <google/protobuf/util/json_util.h>

#include <cmath>
#include <cstdlib>

#include "common/spec/heart_rate.h"
#include "common/spec/labels.h"
#include "common/spec/model_spec.h"
#include "retort/v1/options.pb.h"

namespace retort {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Tensors = std::vector<std::pair<std::string, std::vector<int64_t>>>;

// The fields of a family that are outside their bounds; sizes come from a file that anybody wrote.
Expected<bool> CheckBounds(const Message& net) {
  for (int i = 0; i < net.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *net.GetDescriptor()->field(i);
    if (!net.GetReflection()->HasField(net, &field)) continue;
    const double value = field.cpp_type() == FieldDescriptor::CPPTYPE_INT32
                             ? net.GetReflection()->GetInt32(net, &field)
                             : net.GetReflection()->GetDouble(net, &field);
    const v1::FieldRule& rule = field.options().GetExtension(v1::rule);
    // Written so that NaN fails.
    if ((!rule.has_min() || value >= rule.min()) && (!rule.has_max() || value <= rule.max()) &&
        std::isfinite(value)) {
      continue;
    }
    return Error{field.name() + ": " + ShortNumber(value) + "; must be from " +
                 ShortNumber(rule.min()) + " to " + ShortNumber(rule.max())};
  }
  return true;
}

Expected<v1::ModelSpec> ParseModel(const std::string& json, int samples) {
  v1::ModelSpec model;
  const auto parsed = google::protobuf::util::JsonStringToMessage(json, &model);
  if (!parsed.ok() || model.family_case() == v1::ModelSpec::FAMILY_NOT_SET) {
    return Error{"'" + json.substr(0, 120) +
                 "'; must be a network's spec in JSON such as "
                 R"({"resnet1d": {"base": 32, "blocks": 8}})"};
  }
  const auto bounds = model.has_mlp() ? CheckBounds(model.mlp()) : CheckBounds(model.resnet1d());
  if (!bounds.ok()) return Error{bounds.error()};
  FillModelDefaults(model, kTeacherDropout);
  const auto cost = CostOf(model, samples);
  if (!cost.ok()) return Error{cost.error()};
  return model;
}

void AddNorm(Tensors& parameters, Tensors& buffers, const std::string& name, int64_t channels) {
  parameters.push_back({name + ".weight", {channels}});
  parameters.push_back({name + ".bias", {channels}});
  buffers.push_back({name + ".running_mean", {channels}});
  buffers.push_back({name + ".running_var", {channels}});
}

Expected<bool> CheckTensor(const TensorView& view, const std::vector<int64_t>& shape) {
  const bool is_head = shape.size() == 2 && shape[0] == kClasses;
  if (view.dtype != DType::kF32 || view.shape != shape) {
    return Error{"is " + std::string(NameOf(view.dtype)) + " " + ShapeText(view.shape) +
                 "; must be F32 " + ShapeText(shape) +
                 (is_head ? ", a row for each heart rate from 30 to 209 BPM" : "")};
  }
  for (const float value : view.Copy<float>()) {
    if (!std::isfinite(value)) return Error{"holds a number that is not finite"};
  }
  return true;
}

// A number of samples, or 0.
int ParseSamples(const std::string& text) {
  if (text.empty() || text.size() > 7) return 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return 0;
  }
  return std::atoi(text.c_str());
}

std::string MetadataOr(const Safetensors& file, const char* key) {
  const auto found = file.metadata().find(key);
  return found == file.metadata().end() ? "" : found->second;
}

}  // namespace

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (const int64_t extent : shape) out += (out.size() > 1 ? ", " : "") + std::to_string(extent);
  return out + "]";
}

Tensors TensorsOf(const v1::ModelSpec& model, int samples) {
  Tensors parameters, buffers;
  int64_t features = samples;
  if (model.has_mlp()) {
    for (int i = 0; i < model.mlp().depth(); ++i) {
      const std::string name = "hidden" + std::to_string(i);
      parameters.push_back({name + ".weight", {model.mlp().width(), features}});
      parameters.push_back({name + ".bias", {model.mlp().width()}});
      features = model.mlp().width();
    }
  } else {
    const auto& net = model.resnet1d();
    const int64_t kernel = net.has_kernel() ? net.kernel() : 5;
    const auto add_conv = [&](const std::string& name, int64_t in, int64_t out) {
      parameters.push_back({name + ".weight", {out, in, kernel}});
      parameters.push_back({name + ".bias", {out}});
    };
    add_conv("stem", 1, net.base());
    AddNorm(parameters, buffers, "stem_norm", net.base());
    int number = 0;
    for (const ResNetBlock& block : ResNetBlocks(net, samples)) {
      const std::string name = "block" + std::to_string(number++);
      if (!block.first) AddNorm(parameters, buffers, name + ".norm1", block.in_channels);
      add_conv(name + ".conv1", block.in_channels, block.out_channels);
      AddNorm(parameters, buffers, name + ".norm2", block.out_channels);
      add_conv(name + ".conv2", block.out_channels, block.out_channels);
      features = block.out_channels;
    }
    AddNorm(parameters, buffers, "last_norm", features);
  }
  parameters.push_back({"head.weight", {kClasses, features}});
  parameters.push_back({"head.bias", {kClasses}});
  parameters.insert(parameters.end(), buffers.begin(), buffers.end());
  return parameters;
}

Expected<WeightsHeader> CheckWeights(const Safetensors& file) {
  const auto wrong = [&](const std::string& why) { return Error{file.what() + ": " + why}; };
  const std::string format = MetadataOr(file, "format");
  if (format != kWeightsFormat) {
    return wrong("its metadata 'format' is '" + format.substr(0, 60) + "'; weights have '" +
                 kWeightsFormat + "'");
  }
  WeightsHeader header;
  const std::string samples = MetadataOr(file, "samples");
  header.samples = ParseSamples(samples);
  if (header.samples < 1) {
    return wrong("its metadata 'samples' is '" + samples.substr(0, 60) +
                 "'; must be the number of samples of a window, such as 200");
  }
  const auto model = ParseModel(MetadataOr(file, "model"), header.samples);
  if (!model.ok()) return wrong("its metadata 'model': " + model.error());
  header.model = *model;
  header.job = MetadataOr(file, "job");
  header.rate_hz = MetadataOr(file, "rate_hz");
  const std::string first = MetadataOr(file, "first_bpm");
  if (!first.empty() && first != std::to_string(kFirstBpm)) {
    return wrong("its metadata 'first_bpm' is '" + first.substr(0, 60) + "'; must be " +
                 std::to_string(kFirstBpm) + ", as classes are 30 to 209 BPM");
  }
  const auto tensors = TensorsOf(header.model, header.samples);
  const std::string name = ModelLabel(header.model, kTeacherDropout);
  for (const auto& [tensor, shape] : tensors) {
    const auto found = file.tensors().find(tensor);
    if (found == file.tensors().end()) {
      return wrong("has no tensor '" + tensor + "', which " + name + " has");
    }
    const auto checked = CheckTensor(found->second, shape);
    if (!checked.ok()) return wrong("tensor '" + tensor + "' " + checked.error());
  }
  if (file.tensors().size() == tensors.size()) return header;
  for (const auto& [tensor, view] : file.tensors()) {
    bool known = false;
    for (const auto& [expected, shape] : tensors) known = known || expected == tensor;
    if (!known) return wrong("has a tensor '" + tensor + "', which " + name + " does not have");
  }
  return header;
}

Expected<bool> CheckFits(const WeightsHeader& weights, const std::string& what,
                         const Dataset& dataset, const std::string& dataset_what) {
  if (weights.samples != dataset.samples) {
    return Error{what + ": takes windows of " + std::to_string(weights.samples) + " samples; " +
                 dataset_what + " has windows of " + std::to_string(dataset.samples)};
  }
  const auto rate = dataset.metadata.find("rate_hz");
  if (weights.rate_hz.empty() || rate == dataset.metadata.end()) return true;
  if (std::strtod(weights.rate_hz.c_str(), nullptr) == std::strtod(rate->second.c_str(), nullptr)) {
    return true;
  }
  return Error{what + ": takes " + weights.rate_hz.substr(0, 60) + " samples per second; " +
               dataset_what + " has " + rate->second.substr(0, 60)};
}

}  // namespace retort
