#include "worker/kernels/kernels.h"

#include <algorithm>

namespace retort::kernels {

#if defined(__x86_64__)
extern const Kernels kAvx512Kernels;
extern const Kernels kAvx2Kernels;
#endif
extern const Kernels kBaselineKernels;

namespace {

std::vector<float> Pack(int64_t outputs, int64_t inputs, int64_t kernel, const float* weights,
                        int64_t output_step, int64_t input_step) {
  const int64_t tiles = (outputs + kTile - 1) / kTile;
  std::vector<float> packed(tiles * kTile * inputs * kernel, 0.0f);
  for (int64_t o = 0; o < outputs; ++o) {
    float* const tile = packed.data() + o / kTile * kTile * inputs * kernel + o % kTile;
    for (int64_t i = 0; i < inputs; ++i) {
      for (int64_t k = 0; k < kernel; ++k) {
        tile[(i * kernel + k) * kTile] = weights[o * output_step + i * input_step + k];
      }
    }
  }
  return packed;
}

}  // namespace

Taps Taps::Forward(const Geometry& g) {
  Taps out;
  for (int64_t l = 0; l < g.out_samples; ++l) {
    out.begin.push_back(static_cast<int32_t>(out.taps.size()));
    for (int64_t k = 0; k < g.kernel; ++k) {
      const int64_t row = l * g.stride + k - g.left;
      if (row < 0 || row >= g.in_samples) continue;
      out.taps.push_back({static_cast<int32_t>(k), static_cast<int32_t>(row)});
    }
  }
  out.begin.push_back(static_cast<int32_t>(out.taps.size()));
  return out;
}

Taps Taps::InputGradient(const Geometry& g) {
  Taps out;
  for (int64_t row = 0; row < g.in_samples; ++row) {
    out.begin.push_back(static_cast<int32_t>(out.taps.size()));
    for (int64_t k = 0; k < g.kernel; ++k) {
      const int64_t from = row + g.left - k;
      if (from < 0 || from % g.stride != 0 || from / g.stride >= g.out_samples) continue;
      out.taps.push_back({static_cast<int32_t>(k), static_cast<int32_t>(from / g.stride)});
    }
  }
  out.begin.push_back(static_cast<int32_t>(out.taps.size()));
  return out;
}

std::vector<float> PackForward(const Geometry& g, const float* weights) {
  return Pack(g.out_channels, g.in_channels, g.kernel, weights, g.in_channels * g.kernel, g.kernel);
}

std::vector<float> PackInputGradient(const Geometry& g, const float* weights) {
  return Pack(g.in_channels, g.out_channels, g.kernel, weights, g.kernel, g.in_channels * g.kernel);
}

std::vector<const Kernels*> AllKernels() {
  std::vector<const Kernels*> all = {&kBaselineKernels};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) all.push_back(&kAvx2Kernels);
  if (__builtin_cpu_supports("avx512f")) all.push_back(&kAvx512Kernels);
#endif
  return all;
}

const Kernels& BestKernels() {
  static const Kernels& best = *AllKernels().back();
  return best;
}

}  // namespace retort::kernels
