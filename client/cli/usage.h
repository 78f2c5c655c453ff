// What is wrong with a command line, in words that help.
#ifndef RETORT_CLIENT_CLI_USAGE_H_
#define RETORT_CLIENT_CLI_USAGE_H_

#include <string>
#include <vector>

#include "client/cli/manual.h"

namespace retort {

struct UsageCheck {
  std::string command;  // that the line names, as far as it can be followed: `retort sweep submit`
  // What is no command, or no flag of its command, with the nearest that is; empty if all are.
  std::string unknown;
};

// Follows the arguments (without the program's name) through the commands. Pure.
UsageCheck CheckUsage(const CommandManual& program, const std::vector<std::string>& args);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_USAGE_H_
