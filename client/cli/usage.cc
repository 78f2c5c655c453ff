#include "client/cli/usage.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/fields.h"

namespace retort {
namespace {

// `-3` and `-0.5` are values.
bool IsFlag(const std::string& arg) {
  return arg.size() > 1 && arg[0] == '-' && !absl::ascii_isdigit(arg[1]) && arg[1] != '.';
}

// `--output` of `--output=json`, `-o` of `-ojson`.
std::string NameOf(const std::string& flag) {
  if (!absl::StartsWith(flag, "--")) return flag.substr(0, 2);
  return flag.substr(0, flag.find('='));
}

const OptionManual* Find(const std::vector<OptionManual>& options, const std::string& flag,
                         std::vector<std::string>& known) {
  for (const OptionManual& option : options) {
    const auto& flags = option.flags;
    if (std::find(flags.begin(), flags.end(), flag) != flags.end()) return &option;
    if (!flags.empty()) known.push_back(flags.back());
  }
  return nullptr;
}

}  // namespace

UsageCheck CheckUsage(const CommandManual& program, const std::vector<std::string>& args) {
  const CommandManual* at = &program;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "--") break;
    if (IsFlag(arg)) {
      const std::string flag = NameOf(arg);
      if (flag == "--help" || flag == "-h") continue;
      std::vector<std::string> known;
      const OptionManual* option = Find(at->options, flag, known);
      if (option == nullptr) option = Find(program.options, flag, known);
      if (option == nullptr) {
        return {at->path,
                absl::StrCat("'", flag, "' is no flag of ", at->path, Suggestion(flag, known))};
      }
      if (option->takes_value && arg == flag) ++i;
    } else if (!at->commands.empty()) {
      std::vector<std::string> names;
      for (const CommandManual& command : at->commands) names.push_back(command.name);
      const auto found = std::find(names.begin(), names.end(), arg);
      if (found == names.end()) {
        return {at->path, absl::StrCat("'", arg, "' is no command", Suggestion(arg, names))};
      }
      at = &at->commands[static_cast<size_t>(found - names.begin())];
    }
  }
  return {at->path, ""};
}

}  // namespace retort
