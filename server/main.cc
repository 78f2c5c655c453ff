// retort-server: the coordinator as a program.

#include <fcntl.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
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
#include "common/status.h"
#include "server/access/access_folder.h"
#include "server/artifacts/artifact_store.h"
#include "server/artifacts/log_store.h"
#include "server/coordinator.h"
#include "server/metrics/endpoint.h"
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

struct Flags {
  std::string folder;
  std::string listen = "127.0.0.1:7641";
  std::string address_file;
  std::string lease = "60s";
  std::string log_level = "info";
  int64_t max_jobs = 1'000'000;
  std::vector<std::string> advertise;
  std::string tls_certificate;
  std::string tls_key;
  std::string tls_ca;
  std::string client_ca;
  bool tls = false;
  bool mutual_tls = false;
  bool insecure = false;
  std::string metrics;
  bool metrics_in_clear = false;
  int exit_with_parent = -1;
};

// Flags after reading.
struct Settings {
  ListenAddress address;
  absl::Duration lease;
  std::optional<AccessOptions> access;  // nothing: whoever calls is let in
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
  app.add_option("--advertise", flags.advertise,
                 "HOST or HOST:PORT under which others reach this machine, several with commas: "
                 "what access files say; left out, its name and the addresses of its networks")
      ->envname("RETORT_ADVERTISE")
      ->delimiter(',')
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  app.add_flag("--tls", flags.tls, "Encrypt on 127.0.0.1 too; elsewhere it is always so")
      ->envname("RETORT_TLS");
  app.add_option(
         "--tls-cert", flags.tls_certificate,
         "Certificate to serve with (PEM), instead of one of its own making; with --tls-key")
      ->envname("RETORT_TLS_CERT");
  app.add_option("--tls-key", flags.tls_key, "Its key (PEM), without a password")
      ->envname("RETORT_TLS_KEY");
  app.add_option("--tls-ca", flags.tls_ca,
                 "Who signed it (PEM), for access files; left out, whom machines trust anyway")
      ->envname("RETORT_TLS_CA");
  app.add_flag("--mutual-tls", flags.mutual_tls,
               "Also ask callers for a certificate; access files carry one")
      ->envname("RETORT_MUTUAL_TLS");
  app.add_option("--client-ca", flags.client_ca,
                 "With --mutual-tls: who signs the certificates of callers (PEM), instead of this "
                 "coordinator")
      ->envname("RETORT_CLIENT_CA");
  app.add_flag("--insecure", flags.insecure,
               "Neither encrypt nor ask for tokens: whoever reaches the address may do everything")
      ->envname("RETORT_INSECURE");
  app.add_option("--metrics", flags.metrics,
                 "HOST:PORT on which Prometheus may ask for /metrics; not served if left out")
      ->envname("RETORT_METRICS");
  app.add_flag("--metrics-in-clear", flags.metrics_in_clear,
               "Allow an address for --metrics that other machines reach: it asks nobody who they "
               "are, and tells counts, no names")
      ->envname("RETORT_METRICS_IN_CLEAR");
  app.add_option("--exit-with-parent", flags.exit_with_parent,
                 "End when this descriptor, of a pipe, reaches its end");
  app.set_version_flag("--version", "retort-server " RETORT_VERSION);
}

bool IsEverywhere(const ListenAddress& address) {
  return address.host == "0.0.0.0" || address.host == "::";
}

// HOST:PORT as access files say it.
std::vector<std::string> AdvertisedAddresses(const Flags& flags, const ListenAddress& address,
                                             int port) {
  const auto with_port = [port](const std::string& host) {
    const bool bare_ipv6 = std::count(host.begin(), host.end(), ':') > 1 && host.front() != '[';
    return bare_ipv6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
  };
  std::vector<std::string> addresses;
  for (const std::string& said : flags.advertise) {
    addresses.push_back(CheckAddress(said).ok() ? said : with_port(said));
  }
  if (!addresses.empty()) return addresses;
  if (IsEverywhere(address)) return OwnAddresses(port);
  return {with_port(address.host)};
}

// Nothing with --insecure.
absl::StatusOr<std::optional<AccessOptions>> ReadAccessFlags(const Flags& flags,
                                                             const ListenAddress& address) {
  const bool own = !flags.tls_certificate.empty() || !flags.tls_key.empty();
  const bool wants_tls = flags.tls || own || flags.mutual_tls || !flags.tls_ca.empty();
  if (flags.insecure && (wants_tls || !flags.client_ca.empty())) {
    return absl::InvalidArgumentError(
        "--insecure: contradicts --tls, --tls-cert, --tls-key, --tls-ca, --mutual-tls and "
        "--client-ca");
  }
  if (flags.insecure) return std::nullopt;
  if (own && (flags.tls_certificate.empty() || flags.tls_key.empty())) {
    return absl::InvalidArgumentError("--tls-cert and --tls-key go together; one is missing");
  }
  if (!own && !flags.tls_ca.empty()) {
    return absl::InvalidArgumentError("--tls-ca: means nothing without --tls-cert and --tls-key");
  }
  if (!flags.client_ca.empty() && !flags.mutual_tls) {
    return absl::InvalidArgumentError("--client-ca: means nothing without --mutual-tls");
  }
  if (flags.mutual_tls && own && flags.client_ca.empty()) {
    return absl::InvalidArgumentError(
        "--mutual-tls: with --tls-cert, --client-ca must say who signs the callers' certificates");
  }
  AccessOptions options;
  options.tls = wants_tls || !address.loopback;
  options.certificate_path = flags.tls_certificate;
  options.key_path = flags.tls_key;
  options.ca_path = flags.tls_ca;
  options.mutual_tls = flags.mutual_tls;
  options.client_ca_path = flags.client_ca;
  for (const std::string& advertised : AdvertisedAddresses(flags, address, 1)) {
    RETORT_RETURN_IF_ERROR(Annotate(CheckAddress(advertised), "--advertise"));
    std::string host = advertised.substr(0, advertised.rfind(':'));
    if (host.front() == '[') host = host.substr(1, host.size() - 2);
    options.hosts.push_back(host);
  }
  return options;
}

absl::StatusOr<Settings> ReadFlags(const Flags& flags) {
  Settings settings;
  if (flags.folder.empty()) return absl::InvalidArgumentError("--folder is required");
  RETORT_ASSIGN_OR_RETURN(settings.address, ParseListenAddress(flags.listen));
  RETORT_ASSIGN_OR_RETURN(settings.access, ReadAccessFlags(flags, settings.address));
  if (!flags.metrics.empty()) {
    RETORT_RETURN_IF_ERROR(Annotate(CheckAddress(flags.metrics), "--metrics"));
    if (!IsLoopback(flags.metrics) && !flags.metrics_in_clear) {
      return absl::InvalidArgumentError(
          absl::StrCat("--metrics ", flags.metrics,
                       ": other machines reach this address, and metrics go in clear; say "
                       "--metrics-in-clear if they may"));
    }
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
