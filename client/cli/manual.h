// The command line described as data, made of the commands themselves: what manual pages and
// completions are written from, so that they cannot say anything else than --help. Pure.
#ifndef RETORT_CLIENT_CLI_MANUAL_H_
#define RETORT_CLIENT_CLI_MANUAL_H_

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace retort {

// A flag, an option with a value, or a positional argument.
struct OptionManual {
  std::vector<std::string> flags;  // `-o`, `--output`; empty of a positional
  std::string name;                // of a positional
  bool takes_value = false;
  bool required = false;
  bool repeats = false;
  std::vector<std::string> choices;  // the values that it may have, if these are all
  std::string help;
  std::string environment;    // variable that sets it, if any
  std::string default_value;  // if it has one
};

struct CommandManual {
  std::string path;  // `retort sweep submit`
  std::string name;  // `submit`
  std::string help;
  std::vector<OptionManual> options;      // without --help
  std::vector<OptionManual> positionals;  // in their order
  std::vector<CommandManual> commands;
  std::vector<std::string> examples;  // whole command lines
};

// The command and all below it.
CommandManual Describe(const CLI::App& app);

// Command lines that show what a command (`retort sweep submit`) is for; none of a group.
std::vector<std::string> ExamplesOf(const std::string& path);

// Puts the examples of every command at the end of its --help.
void AddExamples(CLI::App& app);

// The page of a command with all below it, for `man`: of the program itself the list of commands,
// its own options, environment, files and exit codes.
std::string ManPage(const CommandManual& command, const CommandManual& program);
// What the page is called: `retort-sweep` of `retort sweep`.
std::string PageName(const CommandManual& command);

// Completions for a shell: bash, zsh or fish; empty for any other.
std::string Completion(const CommandManual& program, const std::string& shell);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_MANUAL_H_
