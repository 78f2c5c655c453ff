#include "client/sdk/sweep_file.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

// Paths in it lead nowhere: no file is read.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto file = retort::ParseSweepFile(text, "f.yaml", "/nonexistent");
  // Each refusal is one line that names the file.
  if (!file.ok() && file.status().message().empty()) std::abort();
  return 0;
}
