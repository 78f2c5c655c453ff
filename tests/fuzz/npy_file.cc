#include "client/data/npy_file.h"

#include <cstddef>
#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)retort::ParseNpy(std::string_view(reinterpret_cast<const char*>(data), size), "f.npy");
  return 0;
}
