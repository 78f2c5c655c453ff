#include "worker/distill/autocast.h"

#include <ATen/autocast_mode.h>
#include <torch/version.h>

namespace retort::distill {
namespace {

// Since 2.4 one function serves all kinds of device, and those that name one are deprecated.
#if TORCH_VERSION_MAJOR > 2 || (TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR >= 4)
void Switch(c10::DeviceType device, bool on) {
  at::autocast::set_autocast_dtype(device, at::kBFloat16);
  at::autocast::set_autocast_enabled(device, on);
}
bool IsOn(c10::DeviceType device) { return at::autocast::is_autocast_enabled(device); }
#else
void Switch(c10::DeviceType device, bool on) {
  if (device == c10::DeviceType::CUDA) {
    at::autocast::set_autocast_gpu_dtype(at::kBFloat16);
    at::autocast::set_enabled(on);
  } else {
    at::autocast::set_autocast_cpu_dtype(at::kBFloat16);
    at::autocast::set_cpu_enabled(on);
  }
}
bool IsOn(c10::DeviceType device) {
  return device == c10::DeviceType::CUDA ? at::autocast::is_enabled()
                                         : at::autocast::is_cpu_enabled();
}
#endif

}  // namespace

Autocast::Autocast(v1::Precision precision, c10::DeviceType device)
    : on_(precision == v1::PRECISION_BF16), device_(device) {
  if (!on_) return;
  at::autocast::increment_nesting();
  Switch(device_, true);
}

// The weights that were cast are kept until the outermost pass ends; the next step has others.
Autocast::~Autocast() {
  if (!on_) return;
  Switch(device_, false);
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
}

bool AutocastIsOn(c10::DeviceType device) { return IsOn(device); }

}  // namespace retort::distill
