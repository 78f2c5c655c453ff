// Time is an argument; this is where it comes from.
#ifndef RETORT_COMMON_CLOCK_H_
#define RETORT_COMMON_CLOCK_H_

#include "absl/time/time.h"

namespace retort {

// One moment on both clocks. Deadlines and leases use `monotonic`; `wall` is for display.
struct Now {
  absl::Duration monotonic;  // since an arbitrary moment; never goes back
  absl::Time wall;
};

// Threads: any.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Now Read() const = 0;
};

// The machine's clocks. `monotonic` goes on while the machine sleeps (CLOCK_BOOTTIME).
class SystemClock : public Clock {
 public:
  Now Read() const override;
};

}  // namespace retort

#endif  // RETORT_COMMON_CLOCK_H_
