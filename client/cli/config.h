// The configuration file: what the user would otherwise write in front of every command.
#ifndef RETORT_CLIENT_CLI_CONFIG_H_
#define RETORT_CLIENT_CLI_CONFIG_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"

namespace retort {

// Where the file is: what RETORT_CONFIG names, else $XDG_CONFIG_HOME/retort/config.yaml, else
// ~/.config/retort/config.yaml. Empty if none of these is set.
struct ConfigPlace {
  std::string path;
  bool named = false;  // by RETORT_CONFIG: then it must be there

  static ConfigPlace OfProcess();
};

// Makes the file's values the defaults of the program's own options (`coordinator: HOST:PORT` of
// `--coordinator`), so that environment and flags go before them. Its keys are the long names of
// those options that the environment can set; `~/` at the front of a value is the home folder. A
// file that is not there says nothing, unless it was named. INVALID_ARGUMENT with line and column:
// no YAML, an unknown key (with the nearest), a value that the option refuses.
absl::Status ApplyConfig(const ConfigPlace& place, CLI::App& app);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_CONFIG_H_
