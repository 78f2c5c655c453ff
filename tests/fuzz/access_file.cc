#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "common/access/access.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto access =
      retort::ParseAccess(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!access.ok()) return 0;
  // What was taken says the same when it is written and read again.
  const auto again = retort::ParseAccess(retort::PrintAccess(*access));
  if (!again.ok() || !(*again == *access)) std::abort();
  return 0;
}
