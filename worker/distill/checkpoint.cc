#include "worker/distill/checkpoint.h"

#include <bit>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>

#include "common/spec/safetensors.h"

namespace retort::distill {
namespace {

constexpr char kFormat[] = "retort.checkpoint.v1";
constexpr char kMicrobatch[] = "microbatch";

// The members of a checkpoint, so that what is written is what is read.
template <typename C, typename F>
void ForEachNumber(C& checkpoint, F number) {
  number("epoch", checkpoint.epoch);
  number("step", checkpoint.step);
  number("order_rng", checkpoint.order_rng);
  number("dropout_rng", checkpoint.dropout_rng);
  number("last_loss", checkpoint.last_loss);
  number("train_s", checkpoint.train_s);
  number("epoch_s", checkpoint.epoch_s);
  number("sum_items", checkpoint.sum_items);
  number("kept_epoch", checkpoint.kept_epoch);
  number("best_mae", checkpoint.best_mae);
  number("optimizer_steps", checkpoint.optimizer_steps);
  number("learning_rate", checkpoint.learning_rate);
}
template <typename C, typename F>
void ForEachList(C& checkpoint, F list) {
  list("network.", checkpoint.network);
  list("projector.", checkpoint.projector);
  list("optimizer.", checkpoint.optimizer);
  list("kept.", checkpoint.kept);
  list("sum.", checkpoint.sums);
}

template <typename T>
std::string TextOf(T value) {
  char text[17];
  const auto bits = std::bit_cast<uint64_t>(value);
  return {text, std::to_chars(text, text + sizeof(text), bits, 16).ptr};
}

template <typename T>
std::optional<T> FromText(const std::string& text) {
  uint64_t bits = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, bits, 16);
  if (error != std::errc() || stop != end) return std::nullopt;
  return std::bit_cast<T>(bits);
}

torch::Tensor TensorOf(const TensorView& view) {
  torch::Tensor out = torch::empty(view.shape);
  std::memcpy(out.data_ptr(), view.data.data(), view.data.size());
  return out;
}

// Empty if all is well.
std::string ReadNumbers(const std::map<std::string, std::string>& metadata, Checkpoint& out) {
  std::string wrong;
  ForEachNumber(out, [&]<typename T>(const char* name, T& value) {
    const auto found = metadata.find(name);
    const auto read = found == metadata.end() ? std::nullopt : FromText<T>(found->second);
    if (read) value = *read;
    if (!read) wrong = std::string("its metadata '") + name + "' is missing or no number";
  });
  return wrong;
}

// Empty if all is well.
std::string ReadTensors(const Safetensors& file, Checkpoint& out) {
  std::string wrong;
  for (const auto& [name, view] : file.tensors()) {
    bool known = false;
    ForEachList(out, [&](std::string_view prefix, NamedTensorList& list) {
      if (!std::string_view(name).starts_with(prefix)) return;
      known = true;
      if (view.dtype == DType::kF32) list.emplace_back(name.substr(prefix.size()), TensorOf(view));
    });
    if (!known || view.dtype != DType::kF32) {
      wrong = "tensor '" + name + "' of " + std::string(NameOf(view.dtype)) + " is not expected";
    }
  }
  return wrong;
}

}  // namespace

std::string SerializeCheckpoint(const Checkpoint& checkpoint) {
  std::map<std::string, std::string> metadata = {{"format", kFormat},
                                                 {"job", checkpoint.job},
                                                 {"fingerprint", checkpoint.fingerprint},
                                                 {"mixed", checkpoint.mixed ? "true" : "false"}};
  ForEachNumber(checkpoint,
                [&](const char* name, const auto& value) { metadata[name] = TextOf(value); });
  if (checkpoint.microbatch != 0) metadata[kMicrobatch] = TextOf(checkpoint.microbatch);
  std::vector<TensorToWrite> tensors;
  std::vector<torch::Tensor> held;
  ForEachList(checkpoint, [&](const std::string& prefix, const NamedTensorList& list) {
    for (const auto& [name, tensor] : list) {
      held.push_back(tensor.detach().to(torch::kCPU, torch::kFloat).contiguous());
      const torch::Tensor& values = held.back();
      tensors.push_back({prefix + name,
                         DType::kF32,
                         values.sizes().vec(),
                         {static_cast<const char*>(values.data_ptr()), values.nbytes()}});
    }
  });
  return SerializeSafetensors(metadata, tensors);
}

Expected<Checkpoint> ParseCheckpoint(std::string bytes, const std::string& what,
                                     const std::string& job) {
  const auto file = Safetensors::Parse(std::move(bytes), what);
  if (!file.ok()) return Error{file.error()};
  const auto& metadata = file->metadata();
  const auto text = [&](const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  if (text("format") != kFormat) {
    return Error{what + ": not a checkpoint: its metadata 'format' is not '" + kFormat + "'"};
  }
  if (text("job") != job) {
    return Error{what + ": a checkpoint of job " + text("job") + "; wanted is one of " + job};
  }
  Checkpoint out;
  out.job = job;
  out.fingerprint = text("fingerprint");
  out.mixed = text("mixed") == "true";
  out.microbatch = FromText<int64_t>(text(kMicrobatch)).value_or(0);
  std::string wrong = ReadNumbers(metadata, out);
  if (wrong.empty()) wrong = ReadTensors(*file, out);
  if (!wrong.empty()) return Error{what + ": " + wrong};
  return out;
}

Expected<bool> CopyInto(const NamedTensorList& from, const NamedTensorList& to) {
  torch::NoGradGuard no_grad;
  std::map<std::string, torch::Tensor> targets(to.begin(), to.end());
  for (const auto& [name, tensor] : from) {
    const auto target = targets.find(name);
    if (target == targets.end() || target->second.sizes() != tensor.sizes()) {
      return Error{"tensor '" + name + "' has no place, or another shape there"};
    }
    target->second.copy_(tensor);
    targets.erase(target);
  }
  if (!targets.empty()) return Error{"tensor '" + targets.begin()->first + "' is missing"};
  return true;
}

}  // namespace retort::distill
