// What LibTorch and the C++ library throw when memory is not enough.
#ifndef RETORT_WORKER_DISTILL_OUT_OF_MEMORY_H_
#define RETORT_WORKER_DISTILL_OUT_OF_MEMORY_H_

#include <exception>

namespace retort::distill {

// Whether the error says that host or device memory was not enough.
bool IsOutOfMemory(const std::exception& error);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_OUT_OF_MEMORY_H_
