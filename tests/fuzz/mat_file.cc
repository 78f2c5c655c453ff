#include "client/data/mat_file.h"

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

// What passes our own check goes through matio, which reads files by name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::string path = "/tmp/retort-fuzz-mat-" + std::to_string(getpid());
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (!retort::CheckMatFile(bytes, "f.mat").ok()) return 0;
  FILE* file = std::fopen(path.c_str(), "wb");
  if (file == nullptr) return 0;
  std::fwrite(data, 1, size, file);
  std::fclose(file);
  (void)retort::ReadMatrix(path, "sig");
  unlink(path.c_str());
  return 0;
}
