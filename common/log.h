// Logging of the long-lived programs: to standard error, so that standard output stays data.
#ifndef RETORT_COMMON_LOG_H_
#define RETORT_COMMON_LOG_H_

#include <string>

#include "spdlog/spdlog.h"

namespace retort {

// Call once at the start of main. `level`: trace, debug, info, warn, error. False if the level is
// unknown.
bool StartLogging(const std::string& program, const std::string& level);

}  // namespace retort

#endif  // RETORT_COMMON_LOG_H_
