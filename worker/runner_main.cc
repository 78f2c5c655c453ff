// retort-runner: trains what an agent asks for. Wiring only.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>

#include "worker/distill/machine.h"
#include "worker/distill/machine_lock.h"
#include "worker/runner/serve.h"

int main() {
  if (::fcntl(3, F_GETFD) < 0 || ::fcntl(4, F_GETFD) < 0) {
    std::fprintf(stderr,
                 "retort-runner is started by retort-worker: it reads commands from descriptor 3 "
                 "and writes events to descriptor 4 (proto/retort/v1/runner.proto)\n");
    return 2;
  }
  // The log is read while it grows.
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  std::signal(SIGPIPE, SIG_IGN);
  retort::distill::SetUpThreads(1);
  if (const std::string warning = retort::distill::SlowBlasWarning(); !warning.empty()) {
    std::fprintf(stderr, "warning: %s\n", warning.c_str());
  }
  retort::runner::Wiring wiring;
  wiring.lock_folder = retort::distill::MachineLockFolder();
  wiring.unix_ms = [] {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  };
  // At once, in whatever step the training is: files are written whole or not at all, and locks go
  // with the process.
  wiring.leave = [] { ::_exit(0); };
  retort::runner::Serve(wiring);
  return 1;
}
