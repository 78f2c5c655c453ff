// The device that an attempt computes on. Compiles and links with a LibTorch that knows CPUs alone.
#ifndef RETORT_WORKER_DISTILL_DEVICE_H_
#define RETORT_WORKER_DISTILL_DEVICE_H_

#include <c10/core/DeviceGuard.h>
#include <torch/torch.h>

#include <string>

namespace retort::distill {

// The device of a name: `cpu`, `cuda:N`, or empty for the CPU. Failure: CRASHED if the name is
// another, or that GPU is not there: it is the worker's fault, and another may run the job.
torch::Device DeviceOf(const std::string& name);

// For people and fingerprints: `cpu`, or `cuda:` and what the driver calls the GPU.
std::string DeviceText(torch::Device device);

// The tensor, which lies on the CPU, on that device. For a GPU by way of pinned memory: the caller
// does not wait for the copy.
torch::Tensor OnDevice(const torch::Tensor& tensor, torch::Device device);

// While it lives, this thread's arithmetic of that device is set up: memory that is allocated
// without naming a GPU belongs to this one, and its convolutions and products are those of 32 bits
// that give the same bits each time. Nothing for a CPU.
class DeviceScope {
 public:
  explicit DeviceScope(torch::Device device);

 private:
  c10::OptionalDeviceGuard guard_;
};

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_DEVICE_H_
