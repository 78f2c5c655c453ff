// retort-runner: trains what an agent asks for, with `predict` runs one network over a dataset, and
// with `doctor` tells what it computes on.
// Wiring only.
#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>

#include "worker/distill/machine.h"
#include "worker/distill/machine_lock.h"
#include "worker/distill/predict.h"
#include "worker/runner/serve.h"

namespace {

// `predict WEIGHTS DATASET OUT`: JSON lines into the file OUT (worker/distill/predict.h).
int RunPredict(const char* weights, const char* dataset, const char* out) {
  std::ofstream file(out, std::ios::binary | std::ios::trunc);
  std::string problem;
  try {
    const auto done = retort::distill::Predict(
        weights, dataset, [&](const std::string& json) { file << json << "\n"; });
    if (!done.ok()) problem = done.error();
  } catch (const std::exception& error) {  // LibTorch's, and of memory
    problem = std::string(weights) + ": " + error.what();
  }
  file.close();
  if (problem.empty() && !file) problem = std::string(out) + ": cannot be written";
  if (problem.empty()) return 0;
  std::fprintf(stderr, "%s\n", problem.c_str());
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 5 && std::strcmp(argv[1], "predict") == 0) {
    retort::distill::SetUpThreads(1);
    return RunPredict(argv[2], argv[3], argv[4]);
  }
  if (argc == 2 && std::strcmp(argv[1], "doctor") == 0) {
    retort::distill::SetUpThreads(1);
    std::string json;
    (void)google::protobuf::util::MessageToJsonString(retort::distill::LookAtMachine(), &json);
    std::printf("%s\n", json.c_str());
    return 0;
  }
  if (::fcntl(3, F_GETFD) < 0 || ::fcntl(4, F_GETFD) < 0) {
    std::fprintf(stderr,
                 "retort-runner is started by retort-worker: it reads commands from descriptor 3 "
                 "and writes events to descriptor 4 (proto/retort/v1/runner.proto). By hand: "
                 "retort model predict\n");
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
