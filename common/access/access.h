// Access files: all that a machine needs to join a coordinator (architecture: Security). A file is
// one JSON object:
//   {"retort_access": 1, "addresses": ["lab:7641", "10.0.0.7:7641"], "tls": true, "ca": "<PEM>",
//    "server_name": "retort-coordinator", "token": "rt_...", "role": "worker"}
// and, where the coordinator asks for it (mutual TLS), "certificate" and "key".
#ifndef RETORT_COMMON_ACCESS_ACCESS_H_
#define RETORT_COMMON_ACCESS_ACCESS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace retort {

inline constexpr char kDefaultCoordinator[] = "127.0.0.1:7641";

struct Access {
  std::vector<std::string> addresses;  // HOST:PORT, tried in turn; at least one
  bool tls = false;
  std::string ca = {};           // PEM; empty with tls: what the machine trusts
  std::string server_name = {};  // in the coordinator's certificate; empty: the host of the address
  std::string certificate = {};  // PEM, with `key`: ours, for mutual TLS; empty without
  std::string key = {};
  std::string token = {};  // empty: none is sent
  std::string role = {};   // of the token, for people

  friend bool operator==(const Access&, const Access&) = default;
};

// True if the address (HOST:PORT, or unix:PATH) cannot be reached from other machines.
bool IsLoopback(const std::string& address);

// INVALID_ARGUMENT unless HOST:PORT, `[IPv6]:PORT` or unix:PATH.
absl::Status CheckAddress(const std::string& address);

// INVALID_ARGUMENT: no JSON object, an unknown key, a value of another kind, something missing or
// contradictory; names the key, and what would be right.
absl::StatusOr<Access> ParseAccess(std::string_view text);
std::string PrintAccess(const Access& access);

// Errors of ReadFile and ParseAccess, with the path.
absl::StatusOr<Access> ReadAccessFile(const std::string& path);

// Where coordinators on loopback leave word of their access files, so that programs of the same
// user on the same machine need none to be named: `<folder>/HOST:PORT` is a link to the folder with
// the files. $XDG_STATE_HOME/retort/access, or ~/.local/state/retort/access; empty where neither
// variable is set.
std::string AccessLinksFolder();

// What a user said about the coordinator; empty where nothing was said.
struct AccessChoice {
  std::string access_path = {};
  std::string coordinator = {};
  bool insecure = false;
};

// An access, and the file that it came from.
struct AccessSource {
  Access access;
  std::string path = {};         // empty: of no file
  std::string coordinator = {};  // what stands for the file's addresses; empty: they count
};

// The access file that was named; else the one that the coordinator of this address left for this
// user, the first of `roles` that can be read; else the address in clear and without a token, which
// is refused for other machines unless `insecure`. INVALID_ARGUMENT also for a file without
// encryption whose address is another machine's.
absl::StatusOr<AccessSource> ChooseAccess(const AccessChoice& choice,
                                          const std::vector<std::string>& roles);

// Reads a source's file again.
absl::StatusOr<Access> ReadAgain(const AccessSource& source);

}  // namespace retort

#endif  // RETORT_COMMON_ACCESS_ACCESS_H_
