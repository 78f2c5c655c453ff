// What every command needs: where to write, how the program ends, and what the user set for all.
#ifndef RETORT_CLIENT_CLI_CONTEXT_H_
#define RETORT_CLIENT_CLI_CONTEXT_H_

#include <algorithm>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/sdk/client.h"
#include "common/access/access.h"
#include "nlohmann/json.hpp"

namespace retort {

// Keys keep the order in which they were written.
using Json = nlohmann::ordered_json;

// How the program ends (architecture: The command line).
enum ExitCode {
  kDone = 0,
  kJobsFailed = 1,
  kUsage = 2,
  kNotFound = 3,
  kUnavailable = 4,
  kTimedOut = 5,
  kInterrupted = 130,
};

// The code that a failed call ends the program with; kUsage for what the caller must change.
ExitCode ExitCodeOf(const absl::Status& status);

// kName: of each row its name or id alone.
enum class Format { kTable, kJson, kJsonl, kCsv, kName };

// Where a command writes, and what it may assume of it. Data goes to `out`, messages to `err`.
struct Terminal {
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  bool colour = false;  // out is a terminal, and neither NO_COLOR nor a dumb terminal says no
  int width = 80;       // columns of the terminal

  // The process' own streams, as they are.
  static Terminal OfProcess();
};

// State shared by the commands of one run.
struct Context {
  Terminal terminal;
  AccessChoice choice = {};         // what the user said of the coordinator
  AccessSource source = {};         // what follows from it; set before a command runs
  absl::Status source_status = {};  // why there is no source; for `admin doctor` alone
  Format format = Format::kTable;
  bool wide = false;  // tables with every column
  int exit_code = kDone;

  // People rather start a coordinator than wait long for one.
  Client NewClient() const {
    const auto addresses = static_cast<int64_t>(source.access.addresses.size());
    return Client(source, {.patience = absl::Seconds(5) * std::min(addresses, int64_t{4})});
  }
  // Ends the command with the status: its message on `err`, its code as the exit code.
  void Fail(const absl::Status& status);
};

// True once Ctrl-C or SIGTERM was received (after CatchInterrupts). A second Ctrl-C ends the
// process at once.
bool WasInterrupted();
void CatchInterrupts();

// The part behind the last `/`: `sweeps/ieee` is `ieee`.
std::string ShortName(const std::string& resource);

// A number for JSON: null if it is not finite.
Json Number(double value);

// `3.14`, with `digits` behind the point; `-` if it is not finite.
std::string Fixed(double value, int digits);

// `45 s`, `3 min`, `2.5 h`.
std::string Roughly(absl::Duration duration);

// Control characters as `\x1b`, so that what a job printed cannot drive the terminal; newlines and
// tabs stay. Bytes that are not ASCII stay.
std::string Escaped(std::string_view text);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_CONTEXT_H_
