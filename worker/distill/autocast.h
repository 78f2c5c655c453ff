// The precision of a forward pass.
#ifndef RETORT_WORKER_DISTILL_AUTOCAST_H_
#define RETORT_WORKER_DISTILL_AUTOCAST_H_

#include <c10/core/DeviceType.h>

#include "retort/v1/spec.pb.h"

namespace retort::distill {

// While it lives, LibTorch's autocast casts what convolutions and matrix products of this thread
// read on that kind of device, for bf16; nothing happens for fp32 or unset. Parameters stay 32-bit
// and get 32-bit gradients; the backward pass needs no guard. One at a time.
class Autocast {
 public:
  Autocast(v1::Precision precision, c10::DeviceType device);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  const bool on_;
  const c10::DeviceType device_;
};

// Whether it is on for this thread and kind of device.
bool AutocastIsOn(c10::DeviceType device);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_AUTOCAST_H_
