#include "worker/distill/out_of_memory.h"

#include <c10/util/Exception.h>

#include <new>
#include <string>

#include "worker/distill/failure.h"

namespace retort::distill {

// LibTorch of 1.13 reports host memory as a plain c10::Error.
bool IsOutOfMemory(const std::exception& error) {
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr) return true;
  if (const auto* failure = dynamic_cast<const Failure*>(&error)) {
    return failure->cause() == v1::FAILURE_CAUSE_OUT_OF_MEMORY;
  }
  const auto* torch = dynamic_cast<const c10::Error*>(&error);
  const std::string message = torch != nullptr ? torch->what_without_backtrace() : error.what();
  for (const char* words : {"not enough memory", "can't allocate memory", "out of memory"}) {
    if (message.find(words) != std::string::npos) return true;
  }
  return false;
}

}  // namespace retort::distill
