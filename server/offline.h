// What retort-server does to folders in which no coordinator runs: check and restore.
#ifndef RETORT_SERVER_OFFLINE_H_
#define RETORT_SERVER_OFFLINE_H_

#include <CLI/CLI.hpp>
#include <string>

namespace retort {

// Flags of `check` and `restore`.
struct OfflineFlags {
  std::string folder;
  std::string from;
  bool quick = false;
  CLI::App* check = nullptr;
  CLI::App* restore = nullptr;
};

void AddOfflineCommands(CLI::App& app, OfflineFlags& flags);

// Runs the command that was given, and returns the exit code: 0 done, 1 the check found something
// wrong, 4 it could not be done. Findings go to standard output, a line each:
// `CODE subject: message`.
int RunOffline(const OfflineFlags& flags);

}  // namespace retort

#endif  // RETORT_SERVER_OFFLINE_H_
