#include "worker/distill/machine.h"

#include <dlfcn.h>
#include <sys/utsname.h>
#include <torch/torch.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>

#include "worker/distill/device.h"

namespace retort::distill {
namespace {

// The library that answers for BLAS, with the kernel that it chose if it says so.
std::string BlasName() {
  using Text = char* (*)();
  const auto config = reinterpret_cast<Text>(dlsym(RTLD_DEFAULT, "openblas_get_config"));
  const auto core = reinterpret_cast<Text>(dlsym(RTLD_DEFAULT, "openblas_get_corename"));
  if (config != nullptr) {
    const std::string text = config();
    // "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...": the version is what counts.
    const std::string version = text.substr(0, text.find(' ', text.find(' ') + 1));
    return version + (core != nullptr ? std::string(" ") + core() : "");
  }
  Dl_info info;
  if (void* product = dlsym(RTLD_DEFAULT, "sgemm_");
      product != nullptr && dladdr(product, &info) != 0 && info.dli_fname != nullptr) {
    return info.dli_fname;
  }
  return "built into LibTorch";
}

// GFLOP/s of one thread below which a BLAS is slow. With OpenBLAS one core of a server CPU with
// AVX2 or AVX-512 does 60 to 120, with the reference BLAS below 20.
double SlowGflops() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") ? 25 : 5;
#else
  return 5;
#endif
}

std::string FingerprintOn(const std::string& device) {
  return "cpu=" + CpuModel() + "; blas=" + BlasName() + "; device=" + device +
         "; torch=" + TORCH_VERSION;
}

}  // namespace

std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos) {
      return line.substr(line.find(": ") + 2);
    }
  }
  utsname name;
  return uname(&name) == 0 ? name.machine : "unknown CPU";
}

std::string MachineName() {
  char host[256] = "unknown host";
  gethostname(host, sizeof(host) - 1);
  return CpuModel() + " (" + host + ")";
}

std::string NumericFingerprint() { return FingerprintOn("cpu"); }

std::string NumericFingerprint(int threads, const std::string& device) {
  return FingerprintOn(device) + "; threads=" + std::to_string(threads);
}

void SetUpThreads(int threads) {
  SetThreads(threads);
  at::set_num_interop_threads(1);
}

void SetThreads(int threads) {
  at::set_num_threads(threads);
  // OpenBLAS on its own threads does not hear of LibTorch's number.
  using SetNumber = void (*)(int);
  if (const auto set = reinterpret_cast<SetNumber>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
      set != nullptr) {
    set(threads);
  }
}

BlasSpeed MeasureBlas() {
  torch::NoGradGuard no_grad;
  const int threads = at::get_num_threads();
  SetThreads(1);
  constexpr int kSize = 256;
  const torch::Tensor a = torch::ones({kSize, kSize});
  torch::mm(a, a);
  double best_s = 1;
  for (int i = 0; i < 5; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    torch::mm(a, a);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    best_s = std::min(best_s, took.count());
  }
  SetThreads(threads);
  return {BlasName(), 2.0 * kSize * kSize * kSize / best_s / 1e9, SlowGflops()};
}

std::string SlowBlasWarning() {
  const BlasSpeed blas = MeasureBlas();
  if (!blas.slow()) return "";
  char text[256];
  std::snprintf(text, sizeof(text),
                "the BLAS (%s) does %.0f GFLOP/s on one thread, this CPU can do more than %.0f; "
                "on Debian install libopenblas0-pthread",
                blas.name.c_str(), blas.gflops, blas.slow_below);
  return text;
}

v1::RunnerMachine LookAtMachine() {
  const BlasSpeed blas = MeasureBlas();
  v1::RunnerMachine machine;
  machine.set_libtorch(TORCH_VERSION);
  machine.set_blas(blas.name);
  machine.set_gflops(blas.gflops);
  machine.set_slow_below(blas.slow_below);
  machine.set_cpu(CpuModel());
  for (size_t i = 0; i < torch::cuda::device_count(); ++i) {
    machine.add_gpus(DeviceText(torch::Device(torch::kCUDA, static_cast<int8_t>(i))));
  }
  return machine;
}

}  // namespace retort::distill
