// The flags of retort-server, and what they come to.
#ifndef RETORT_SERVER_FLAGS_H_
#define RETORT_SERVER_FLAGS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/access/access_folder.h"
#include "server/rpc/server.h"

namespace retort {

// As they are given.
struct Flags {
  std::string folder;
  std::string listen = "127.0.0.1:7641";
  std::string address_file;
  std::string lease = "60s";
  std::string log_level = "info";
  std::string log_format = "text";
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

void AddFlags(CLI::App& app, Flags& flags);

// INVALID_ARGUMENT names the flag that is wrong, or those that contradict each other.
absl::StatusOr<Settings> ReadFlags(const Flags& flags);

// True if it listens on all networks of the machine.
bool IsEverywhere(const ListenAddress& address);

// HOST:PORT as access files say it.
std::vector<std::string> AdvertisedAddresses(const Flags& flags, const ListenAddress& address,
                                             int port);

}  // namespace retort

#endif  // RETORT_SERVER_FLAGS_H_
