// retort-server: the coordinator as a program.

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/log.h"
#include "common/metrics/endpoint.h"
#include "common/status.h"
#include "server/access/access_folder.h"
#include "server/artifacts/artifact_store.h"
#include "server/artifacts/log_store.h"
#include "server/coordinator.h"
#include "server/flags.h"
#include "server/journal.h"
#include "server/metrics/metered_store.h"
#include "server/metrics/readings.h"
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

int Fail(int code, const std::string& message) {
  std::fprintf(stderr, "retort-server: %s\n", message.c_str());
  return code;
}

// Blocks the signals that end the program, before any thread starts, and gives a descriptor on
// which they arrive.
UniqueFd CatchSignals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return UniqueFd(signalfd(-1, &signals, SFD_CLOEXEC));
}

// Returns when a signal to end came or the parent is gone. `renew` is called each hour, and with
// true for each SIGHUP.
void WaitForEnd(int signals, int parent, const std::function<void(bool at_once)>& renew) {
  constexpr int kHourMs = 3'600'000;
  pollfd watched[2] = {{signals, POLLIN, 0}, {parent, POLLIN, 0}};
  const nfds_t count = parent >= 0 ? 2 : 1;
  while (true) {
    const int ready = poll(watched, count, kHourMs);
    if (ready < 0 && errno != EINTR) return;
    if (ready == 0) renew(false);
    if (ready <= 0) continue;
    if (watched[0].revents != 0) {
      signalfd_siginfo signal{};
      if (read(signals, &signal, sizeof signal) != sizeof signal) continue;
      if (signal.ssi_signo != SIGHUP) return spdlog::info("ending: asked by a signal");
      renew(true);
      continue;
    }
    char bytes[64];
    if (count == 2 && watched[1].revents != 0 && read(parent, bytes, sizeof bytes) <= 0 &&
        errno != EINTR) {
      return spdlog::info("ending: the parent is gone");
    }
  }
}

// Says where the coordinator is: in access files, and to programs of this user on this machine.
absl::Status Announce(AccessFolder& access, const Flags& flags, const ListenAddress& address,
                      int port, std::vector<AccessLink>& links) {
  RETORT_RETURN_IF_ERROR(
      access.Publish(AdvertisedAddresses(flags, address, port), SystemClock().Read().wall));
  std::vector<std::string> here;
  if (address.loopback) here.push_back(AdvertisedAddresses({}, address, port).front());
  if (IsEverywhere(address)) here.push_back(absl::StrCat("127.0.0.1:", port));
  for (const std::string& local : here) {
    auto link = AccessLink::Make(local, access.path());
    if (link.ok()) {
      links.push_back(*std::move(link));
    } else {
      spdlog::warn("programs on this machine must be told --access: {}", MessageOf(link.status()));
    }
  }
  return absl::OkStatus();
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
  options.journal = LogChanges;
  const auto registry = std::make_shared<prometheus::Registry>();
  MeteredStore metered(**store, *registry, [&clock] { return clock.Read().monotonic; });
  Coordinator coordinator(metered, clock, options);
  if (const absl::Status started = coordinator.Start(); !started.ok())
    return Fail(kCannotStart, MessageOf(started));
  Upkeep upkeep(flags.folder, **artifacts, clock);
  std::unique_ptr<AccessFolder> access;
  if (settings.access.has_value()) {
    auto opened = AccessFolder::Open(flags.folder + "/access", *settings.access, clock.Read().wall);
    if (!opened.ok()) return Fail(kCannotStart, MessageOf(opened.status()));
    access = *std::move(opened);
  }
  Services services(coordinator, (*store)->reader(), **artifacts, logs, upkeep, clock,
                    flags.max_jobs, access.get());
  auto server = RpcServer::Start(settings.address, services.all(), {},
                                 access != nullptr ? access->tls_files() : TlsFiles{});
  if (!server.ok()) return Fail(kCannotStart, MessageOf(server.status()));
  std::vector<AccessLink> links;
  if (access != nullptr) {
    const absl::Status said = Announce(*access, flags, settings.address, (*server)->port(), links);
    if (!said.ok()) return Fail(kCannotStart, MessageOf(said));
  }
  std::unique_ptr<MetricsEndpoint> metrics;
  if (!flags.metrics.empty()) {
    auto started =
        MetricsEndpoint::Start(flags.metrics, registry, ReadingsOf(coordinator, **artifacts));
    if (!started.ok()) return Fail(kCannotStart, MessageOf(started.status()));
    metrics = *std::move(started);
    spdlog::info("metrics on {}", metrics->url());
  }
  (*server)->SetServing();
  upkeep.StartCollecting();
  if (!flags.address_file.empty()) {
    const absl::Status written = WriteFileAtomically(flags.address_file, (*server)->address());
    if (!written.ok())
      return Fail(kCannotStart, absl::StrCat("--address-file: ", MessageOf(written)));
  }
  if (access == nullptr) {
    spdlog::warn("calls are neither encrypted nor authenticated (--insecure)");
  }
  spdlog::info("serving {} on {}{}", flags.folder, (*server)->address(),
               access == nullptr ? "" : ", access files in " + access->path());

  WaitForEnd(signals, flags.exit_with_parent, [&](bool at_once) {
    if (access == nullptr) return;
    const absl::Status renewed = access->RenewCertificate(clock.Read().wall, at_once);
    if (!renewed.ok()) spdlog::error("certificate: {}", MessageOf(renewed));
    if (renewed.ok() && at_once) spdlog::info("certificate renewed, where it is of our own making");
  });
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
  const absl::Status logging = StartLogging(
      {.program = "retort-server", .level = flags.log_level, .format = flags.log_format});
  if (!logging.ok()) return Fail(kBadUsage, MessageOf(logging));
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
