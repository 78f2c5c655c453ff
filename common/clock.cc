#include "common/clock.h"

#include <ctime>

#include "absl/time/clock.h"

namespace retort {

Now SystemClock::Read() const {
  timespec boot{};
  clock_gettime(CLOCK_BOOTTIME, &boot);
  return {absl::DurationFromTimespec(boot), absl::Now()};
}

}  // namespace retort
