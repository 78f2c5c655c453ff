#include "worker/distill/device.h"

#include <dlfcn.h>

#include <charconv>
#include <optional>

#include "worker/distill/failure.h"

namespace retort::distill {
namespace {

// The number of `cuda:N`.
std::optional<int> CudaIndex(const std::string& name) {
  constexpr std::string_view kPrefix = "cuda:";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  int index = 0;
  const char* end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data() + kPrefix.size(), end, index);
  if (error != std::errc() || stop != end || index < 0 || index > 127) return std::nullopt;
  return index;
}

// What the driver calls a GPU. LibTorch tells it through CUDA's headers alone, which a build for
// CPUs does not have; the driver's own functions are the same everywhere, and in this process they
// number GPUs as LibTorch does.
std::string NameFromDriver(int index) {
  using Init = int (*)(unsigned);
  using Get = int (*)(int*, int);
  using GetName = int (*)(char*, int, int);
  void* driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (driver == nullptr) return "unknown GPU";
  const auto init = reinterpret_cast<Init>(dlsym(driver, "cuInit"));
  const auto get = reinterpret_cast<Get>(dlsym(driver, "cuDeviceGet"));
  const auto get_name = reinterpret_cast<GetName>(dlsym(driver, "cuDeviceGetName"));
  int device = 0;
  char name[256] = {};
  if (init == nullptr || get == nullptr || get_name == nullptr || init(0) != 0 ||
      get(&device, index) != 0 || get_name(name, sizeof(name) - 1, device) != 0) {
    return "unknown GPU";
  }
  return name;
}

}  // namespace

torch::Device DeviceOf(const std::string& name) {
  if (name.empty() || name == "cpu") return torch::kCPU;
  const auto refuse = [&](const std::string& why) {
    throw Failure(v1::FAILURE_CAUSE_CRASHED, "device " + name + ": " + why);
  };
  const std::optional<int> index = CudaIndex(name);
  if (!index) refuse("unknown; must be cpu or cuda:N (retort-worker --device)");
  if (!torch::cuda::is_available()) {
    refuse(
        "this LibTorch sees no GPU; the runner must be built with a LibTorch for CUDA and the "
        "driver be there, or the worker be started with --device cpu");
  }
  const auto count = static_cast<int64_t>(torch::cuda::device_count());
  if (*index >= count) {
    refuse("this machine has " + std::to_string(count) +
           " GPU(s), the last is cuda:" + std::to_string(count - 1) + " (retort-worker --device)");
  }
  return {torch::kCUDA, static_cast<c10::DeviceIndex>(*index)};
}

std::string DeviceText(torch::Device device) {
  return device.is_cuda() ? "cuda:" + NameFromDriver(device.index()) : device.str();
}

torch::Tensor OnDevice(const torch::Tensor& tensor, torch::Device device) {
  if (!device.is_cuda()) return tensor.to(device);
  return tensor.pin_memory().to(device, /*non_blocking=*/true);
}

DeviceScope::DeviceScope(torch::Device device) {
  if (!device.is_cuda()) return;
  guard_.reset_device(device);
  auto& context = at::globalContext();
  context.setBenchmarkCuDNN(false);
  context.setDeterministicCuDNN(true);
  // A product of 32 bits has a mantissa of 24, not of 11.
  context.setAllowTF32CuDNN(false);
  context.setAllowTF32CuBLAS(false);
}

}  // namespace retort::distill
