// Files of results and caches.
#ifndef RETORT_WORKER_DISTILL_FILES_H_
#define RETORT_WORKER_DISTILL_FILES_H_

#include <string>

#include "common/spec/expected.h"

namespace retort::distill {

// Writes a file so that others see all of it or nothing: to a temporary name beside it, then
// renamed. Makes the folder if it is missing. Several processes may write the same path at once;
// the last wins.
Expected<bool> WriteFileWhole(const std::string& path, const std::string& bytes);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_FILES_H_
