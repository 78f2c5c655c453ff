#include "worker/distill/torchscript.h"

#include <torch/script.h>

#include <exception>
#include <memory>
#include <sstream>

#include "common/spec/heart_rate.h"
#include "common/spec/weights_file.h"
#include "worker/distill/failure.h"

namespace retort::distill {
namespace {

[[noreturn]] void Refuse(const std::string& what, const std::string& why) {
  throw Failure(v1::FAILURE_CAUSE_INVALID, "given_teacher: " + what + ": " + why);
}

// The line of what LibTorch says that tells most: the first, or the last behind a trace of the
// module's code. What speaks of memory is no fault of the module's, and goes on.
std::string Reason(const std::exception& error) {
  const auto* own = dynamic_cast<const c10::Error*>(&error);
  std::string text = own != nullptr ? own->what_without_backtrace() : error.what();
  if (text.find("memory") != std::string::npos || text.find("bad_alloc") != std::string::npos) {
    throw;
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (own != nullptr) return text.substr(0, text.find('\n')).substr(0, 300);
  return text.substr(text.rfind('\n') + 1).substr(0, 300);
}

torch::Tensor CheckedTensor(const torch::IValue& value, const char* name, int64_t rows,
                            const std::string& what) {
  if (!value.isTensor()) Refuse(what, std::string("its ") + name + " are no tensor");
  const torch::Tensor tensor = value.toTensor();
  const bool logits = std::string(name) == "logits";
  if (tensor.dim() == 2 && tensor.size(0) == rows && tensor.is_floating_point() &&
      (!logits || tensor.size(1) == kClasses)) {
    return tensor.to(torch::kCPU, torch::kFloat).contiguous();
  }
  Refuse(what,
         std::string("its ") + name + " are " + ShapeText(tensor.sizes().vec()) + " for " +
             std::to_string(rows) + " windows; must be floating-point [" + std::to_string(rows) +
             (logits ? ", 180], a column for each heart rate from 30 to 209 BPM" : ", features]"));
}

}  // namespace

std::function<NetworkOutput(const torch::Tensor& windows_B1L)> OpenTorchScript(
    const std::string& bytes, const std::string& what) {
  auto module = std::make_shared<torch::jit::Module>();
  try {
    std::istringstream stream(bytes);
    *module = torch::jit::load(stream, torch::kCPU);
    module->eval();
  } catch (const std::exception& error) {
    Refuse(what, "no TorchScript module: " + Reason(error));
  }
  return [module, what](const torch::Tensor& windows_B1L) -> NetworkOutput {
    torch::IValue out;
    try {
      out = module->forward({windows_B1L.to(torch::kCPU)});
    } catch (const std::exception& error) {
      Refuse(what,
             "fails on windows " + ShapeText(windows_B1L.sizes().vec()) + ": " + Reason(error));
    }
    const int64_t rows = windows_B1L.size(0);
    if (!out.isTuple()) return {CheckedTensor(out, "logits", rows, what), {}};
    const auto& parts = out.toTuple()->elements();
    if (parts.size() != 2) {
      Refuse(what, "gives a tuple of " + std::to_string(parts.size()) +
                       "; must give logits, or (logits, features)");
    }
    return {CheckedTensor(parts[0], "logits", rows, what),
            CheckedTensor(parts[1], "features", rows, what)};
  };
}

}  // namespace retort::distill
