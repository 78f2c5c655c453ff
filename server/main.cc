// retort-server: the coordinator as a program.

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/log.h"
#include "common/status.h"
#include "server/artifacts/artifact_store.h"
#include "server/artifacts/log_store.h"
#include "server/coordinator.h"
#include "server/offline.h"
#include "server/rpc/server.h"
#include "server/rpc/services.h"
#include "server/store/sqlite_store.h"
#include "server/upkeep/upkeep.h"

namespace retort {
namespace {

constexpr int kDone = 0;
constexpr int kBadUsage = 2;
constexpr int kCannotStart = 4;

struct Flags {
  std::string folder;
  std::string listen = "127.0.0.1:7641";
  std::string address_file;
  std::string lease = "60s";
  std::string log_level = "info";
  int64_t max_jobs = 1'000'000;
  bool insecure = false;
  int exit_with_parent = -1;
};

// Flags after reading.
struct Settings {
  ListenAddress address;
  absl::Duration lease;
};

int Fail(int code, const std::string& message) {
  std::fprintf(stderr, "retort-server: %s\n", message.c_str());
  return code;
}

void AddFlags(CLI::App& app, Flags& flags) {
  // What is said twice is meant the second time, as scripts that append flags expect.
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--folder", flags.folder,
                 "Where database, artifacts and logs are kept; made if it does not exist")
      ->envname("RETORT_FOLDER");
  app.add_option("--listen", flags.listen, "HOST:PORT to listen on; port 0 picks a free one")
      ->envname("RETORT_LISTEN")
      ->capture_default_str();
  app.add_option("--address-file", flags.address_file,
                 "File that the address is written to once calls are answered")
      ->envname("RETORT_ADDRESS_FILE");
  app.add_option("--lease", flags.lease, "How long a silent worker keeps its jobs; at least 2s")
      ->envname("RETORT_LEASE")
      ->capture_default_str();
  app.add_option("--max-jobs", flags.max_jobs, "Most jobs of one sweep")
      ->envname("RETORT_MAX_JOBS")
      ->check(CLI::Range(int64_t{1}, int64_t{2'000'000}))
      ->capture_default_str();
  app.add_option("--log-level", flags.log_level, "trace, debug, info, warn or error")
      ->envname("RETORT_LOG_LEVEL")
      ->capture_default_str();
  app.add_flag("--insecure", flags.insecure,
               "Allow an address that other machines reach, without encryption")
      ->envname("RETORT_INSECURE");
  app.add_option("--exit-with-parent", flags.exit_with_parent,
                 "End when this descriptor, of a pipe, reaches its end");
  app.set_version_flag("--version", "retort-server " RETORT_VERSION);
}

absl::StatusOr<Settings> ReadFlags(const Flags& flags) {
  Settings settings;
  if (flags.folder.empty()) return absl::InvalidArgumentError("--folder is required");
  RETORT_ASSIGN_OR_RETURN(settings.address, ParseListenAddress(flags.listen));
  if (!settings.address.loopback && !flags.insecure) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--listen ", flags.listen,
        ": other machines reach this address, and calls are neither encrypted nor "
        "authenticated; listen on 127.0.0.1, or say --insecure if the network is trusted"));
  }
  if (!absl::ParseDuration(flags.lease, &settings.lease) || settings.lease < absl::Seconds(2) ||
      settings.lease > absl::Hours(24)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--lease ", flags.lease, ": expected a duration from 2s to 24h, such as 60s"));
  }
  if (flags.exit_with_parent >= 0 && fcntl(flags.exit_with_parent, F_SETFD, FD_CLOEXEC) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--exit-with-parent ", flags.exit_with_parent, ": is not an open descriptor"));
  }
  return settings;
}

// Blocks the signals that end the program, before any thread starts, and gives a descriptor on
// which they arrive.
UniqueFd CatchSignals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return UniqueFd(signalfd(-1, &signals, SFD_CLOEXEC));
}

// Returns when a signal came or the parent is gone.
void WaitForEnd(int signals, int parent) {
  pollfd watched[2] = {{signals, POLLIN, 0}, {parent, POLLIN, 0}};
  const nfds_t count = parent >= 0 ? 2 : 1;
  while (true) {
    if (poll(watched, count, -1) < 0 && errno != EINTR) return;
    if (watched[0].revents != 0) return spdlog::info("ending: asked by a signal");
    char bytes[64];
    if (count == 2 && watched[1].revents != 0 && read(parent, bytes, sizeof bytes) <= 0 &&
        errno != EINTR) {
      return spdlog::info("ending: the parent is gone");
    }
  }
}

int Serve(const Flags& flags, const Settings& settings, int signals) {
  for (const char* folder : {"", "/artifacts", "/logs"}) {
    if (const absl::Status made = MakeFolders(flags.folder + folder); !made.ok()) {
      return Fail(kBadUsage, absl::StrCat("--folder: ", MessageOf(made)));
    }
  }
  // One that a coordinator that was killed left behind would send callers to nobody.
  if (!flags.address_file.empty()) unlink(flags.address_file.c_str());
  auto store = store::OpenSqliteStore(flags.folder);
  if (!store.ok()) {
    return Fail(kCannotStart, absl::StrCat(flags.folder, ": ", MessageOf(store.status())));
  }
  auto artifacts = ArtifactStore::Open(flags.folder + "/artifacts");
  if (!artifacts.ok()) return Fail(kCannotStart, MessageOf(artifacts.status()));
  LogStore logs(flags.folder + "/logs");

  const SystemClock clock;
  CoordinatorOptions options;
  options.core.lease = settings.lease;
  options.max_jobs = flags.max_jobs;
  Coordinator coordinator(**store, clock, options);
  if (const absl::Status started = coordinator.Start(); !started.ok())
    return Fail(kCannotStart, MessageOf(started));
  Upkeep upkeep(flags.folder, **artifacts, clock);
  Services services(coordinator, (*store)->reader(), **artifacts, logs, upkeep, flags.max_jobs);
  auto server = RpcServer::Start(settings.address, services.all());
  if (!server.ok()) return Fail(kCannotStart, MessageOf(server.status()));
  (*server)->SetServing();
  upkeep.StartCollecting();
  if (!flags.address_file.empty()) {
    const absl::Status written = WriteFileAtomically(flags.address_file, (*server)->address());
    if (!written.ok())
      return Fail(kCannotStart, absl::StrCat("--address-file: ", MessageOf(written)));
  }
  if (!settings.address.loopback)
    spdlog::warn("calls are neither encrypted nor authenticated (--insecure)");
  spdlog::info("serving {} on {}", flags.folder, (*server)->address());

  WaitForEnd(signals, flags.exit_with_parent);
  if (!flags.address_file.empty()) unlink(flags.address_file.c_str());
  upkeep.Stop();
  coordinator.Stop();
  (*server)->Shutdown(absl::Seconds(1));
  return kDone;
}

int Main(int argc, char** argv) {
  CLI::App app("Coordinator of Retort: keeps sweeps and jobs, and gives them to workers.",
               "retort-server");
  Flags flags;
  AddFlags(app, flags);
  OfflineFlags offline;
  AddOfflineCommands(app, offline);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help and --version
    return Fail(kBadUsage, error.what());
  }
  if (!app.get_subcommands().empty()) return RunOffline(offline);
  const auto settings = ReadFlags(flags);
  if (!settings.ok()) return Fail(kBadUsage, MessageOf(settings.status()));
  if (!StartLogging("retort-server", flags.log_level)) {
    return Fail(kBadUsage, absl::StrCat("--log-level ", flags.log_level,
                                        ": expected trace, debug, info, warn or error"));
  }
  // Where Abseil is built with its own checks, as in Debian, each lock that gRPC takes would be
  // looked for in a graph of all locks.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  // gRPC's own errors repeat, at length, what we say ourselves.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  const UniqueFd signals = CatchSignals();
  return Serve(flags, *settings, signals.get());
}

}  // namespace
}  // namespace retort

int main(int argc, char** argv) { return retort::Main(argc, argv); }
