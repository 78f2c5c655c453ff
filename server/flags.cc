#include "server/flags.h"

#include <fcntl.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/access/access.h"
#include "common/metrics/endpoint.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr char kExamples[] =
    "Examples:\n"
    "  retort-server --folder coordinator\n"
    "      for this machine alone; programs of the same user find it by themselves\n"
    "  retort-server --folder coordinator --listen 0.0.0.0:7641 --advertise lab.example.org\n"
    "      for others too, encrypted; access files for them are in coordinator/access\n"
    "  retort-server --folder coordinator --metrics 127.0.0.1:9641 --log-format json\n"
    "      with what Prometheus and a collector of logs read\n"
    "  retort-server check --folder coordinator\n"
    "      looks at the folder of a coordinator that does not run";

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

}  // namespace

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
  app.add_option("--log-format", flags.log_format,
                 "text, or json: an object a line, with the ids of sweep, worker, job and attempt")
      ->envname("RETORT_LOG_FORMAT")
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
  app.footer(kExamples);
}

bool IsEverywhere(const ListenAddress& address) {
  return address.host == "0.0.0.0" || address.host == "::";
}

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

absl::StatusOr<Settings> ReadFlags(const Flags& flags) {
  Settings settings;
  if (flags.folder.empty()) return absl::InvalidArgumentError("--folder is required");
  RETORT_ASSIGN_OR_RETURN(settings.address, ParseListenAddress(flags.listen));
  RETORT_ASSIGN_OR_RETURN(settings.access, ReadAccessFlags(flags, settings.address));
  if (!flags.metrics.empty()) {
    RETORT_RETURN_IF_ERROR(CheckMetricsAddress(flags.metrics, flags.metrics_in_clear));
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

}  // namespace retort
