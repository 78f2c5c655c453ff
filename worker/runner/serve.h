// The runner's loop.
#ifndef RETORT_WORKER_RUNNER_SERVE_H_
#define RETORT_WORKER_RUNNER_SERVE_H_

#include <cstdint>
#include <functional>
#include <string>

namespace retort::runner {

struct Wiring {
  int commands_fd = 3;
  int events_fd = 4;
  std::string lock_folder;           // see worker/distill/machine_lock.h
  std::function<int64_t()> unix_ms;  // wall time
  // Called by the reading thread when the commands end; does not return.
  std::function<void()> leave;
};

// Says that it is up, then runs attempts one after the other as commands ask. Returns only if
// events can no longer be written.
void Serve(const Wiring& wiring);

}  // namespace retort::runner

#endif  // RETORT_WORKER_RUNNER_SERVE_H_
