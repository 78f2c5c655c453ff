// retort-worker: runs jobs of a coordinator on this machine.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/log.h"
#include "common/metrics/endpoint.h"
#include "common/status.h"
#include "worker/agent/runner_process.h"
#include "worker/agent/worker.h"
#include "worker/examine.h"
#include "worker/flags.h"

namespace retort {
namespace {

constexpr int kUsage = 2;

absl::StatusOr<UniqueFd> LockFolder(const std::string& folder) {
  const std::string path = folder + "/lock";
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd.valid()) return ErrnoStatus(errno, path, "cannot be opened");
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return ErrnoStatus(errno, path, "cannot be locked");
  return absl::FailedPreconditionError(absl::StrCat(
      "--folder: ", folder, " is used by another retort-worker; each needs a folder of its own"));
}

// What a worker keeps in its folder, and the folder if nobody else keeps anything there.
void RemoveFolder(const std::string& folder) {
  std::error_code unused;
  for (const char* name : {"artifacts", "attempts", "cache", "incarnation", "runners", "lock"}) {
    std::filesystem::remove_all(folder + "/" + name, unused);
  }
  std::filesystem::remove(folder, unused);
}

int Run(const WorkerOptions& options, const Flags& flags) {
  // Blocked before any thread starts, so that the signals come only through the descriptor.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  UniqueFd signal_fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));

  SystemClock clock;
  auto worker = Worker::Create(options, clock);
  if (!worker.ok()) {
    std::cerr << "retort-worker: " << worker.status().message() << "\n";
    return EXIT_FAILURE;
  }
  std::unique_ptr<MetricsEndpoint> metrics;
  if (!flags.metrics.empty()) {
    const auto counts = [&worker = **worker] { return worker.counts(); };
    auto started = MetricsEndpoint::Start(flags.metrics, nullptr, ReadingsOf(counts));
    if (!started.ok()) {
      std::cerr << "retort-worker: --metrics " << started.status().message() << "\n";
      return kUsage;
    }
    metrics = *std::move(started);
    spdlog::info("metrics on {}", metrics->url());
  }
  const absl::Status status = (*worker)->Run(signal_fd.get());
  if (!status.ok()) std::cerr << "retort-worker: " << status.message() << "\n";
  if (status.ok() && flags.remove_folder) RemoveFolder(options.folder);
  // Nothing is taken down: gRPC 1.51 releases a call on a thread of its own after its callback has
  // returned, and aborts if the channel goes at that moment (seen).
  std::quick_exit(status.ok() ? EXIT_SUCCESS : EXIT_FAILURE);
}

}  // namespace
}  // namespace retort

int main(int argc, char** argv) {
  // How it starts its runners: not a command for people.
  if (argc > 1 && std::string_view(argv[1]) == retort::kLauncherWord) {
    return retort::BecomeRunner(argc, argv);
  }
  retort::Flags flags;
  CLI::App app("Runs jobs of a Retort coordinator on this machine.", "retort-worker");
  retort::AddFlags(app, flags);
  bool json = false;
  CLI::App* doctor = app.add_subcommand(
      "doctor", "look at this machine as a worker with these flags would, and start nothing");
  doctor->fallthrough();
  doctor->add_flag("--json", json, "an object a line, as retort admin doctor --worker reads it");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : retort::kUsage;
  }
  if (doctor->parsed()) return retort::TellCheckups(retort::Examine(flags), json);
  const auto options = retort::Resolve(flags);
  if (!options.ok()) {
    std::cerr << "retort-worker: " << options.status().message() << "\n";
    return retort::kUsage;
  }
  const absl::Status logging = retort::StartLogging({.program = "retort-worker",
                                                     .level = flags.log_level,
                                                     .format = flags.log_format,
                                                     .worker = options->id});
  if (!logging.ok()) {
    std::cerr << "retort-worker: " << logging.message() << "\n";
    return retort::kUsage;
  }
  const auto lock = retort::LockFolder(options->folder);
  if (!lock.ok()) {
    std::cerr << "retort-worker: " << lock.status().message() << "\n";
    return retort::kUsage;
  }
  return retort::Run(*options, flags);
}
