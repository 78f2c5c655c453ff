#include "common/spec/safetensors.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <string>

// Every tensor of what was taken lies within the bytes, and is as long as its shape says.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file =
      retort::Safetensors::Parse(std::string(reinterpret_cast<const char*>(data), size), "f");
  if (!file.ok()) return 0;
  for (const auto& [name, tensor] : file->tensors()) {
    const auto expected = static_cast<size_t>(tensor.elements() * retort::BytesOf(tensor.dtype));
    if (tensor.data.size() != expected) std::abort();
    volatile int sum = std::accumulate(tensor.data.begin(), tensor.data.end(), 0);
    (void)sum;
  }
  return 0;
}
