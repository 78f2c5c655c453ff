// Completions for bash, zsh and fish. Each script first finds which command the words so far name,
// then offers its commands, its flags, the values of a flag, or names that the coordinator knows.
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/manual.h"

namespace retort {
namespace {

using Visit = std::function<void(const CommandManual&)>;

void ForEach(const CommandManual& command, const Visit& visit) {
  visit(command);
  for (const CommandManual& below : command.commands) ForEach(below, visit);
}

std::string Quoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

// What says the values that a positional may have: its choices, or what the coordinator knows;
// empty if it is a file or anything else. No shell waits longer than a second for it.
std::string ListingOf(const CommandManual& command) {
  if (command.positionals.empty()) return "";
  const OptionManual& positional = command.positionals.front();
  if (!positional.choices.empty()) {
    return absl::StrCat("printf \"%s\\n\" ", absl::StrJoin(positional.choices, " "));
  }
  const std::string& name = positional.name;
  if (name == "SWEEP") return "timeout 1 retort sweep list -o name 2>/dev/null";
  if (name == "WORKER") return "timeout 1 retort worker list -o name 2>/dev/null";
  return "";
}

std::vector<std::string> NamesOf(const std::vector<CommandManual>& commands) {
  std::vector<std::string> names;
  for (const CommandManual& command : commands) names.push_back(command.name);
  return names;
}

// Flags of a command, then those of the program, which may stand behind every command.
std::vector<OptionManual> AllOptions(const CommandManual& command, const CommandManual& program) {
  std::vector<OptionManual> all = command.options;
  if (command.path != program.path) {
    all.insert(all.end(), program.options.begin(), program.options.end());
  }
  return all;
}

std::vector<std::string> FlagsOf(const CommandManual& command, const CommandManual& program) {
  std::vector<std::string> flags;
  for (const OptionManual& option : AllOptions(command, program)) {
    flags.insert(flags.end(), option.flags.begin(), option.flags.end());
  }
  flags.push_back("--help");
  return flags;
}

// Paths of all commands but the program, as alternatives of a `case`.
std::string Paths(const CommandManual& program) {
  std::vector<std::string> paths;
  ForEach(program, [&](const CommandManual& command) {
    if (command.path != program.path) paths.push_back(absl::StrCat("\"", command.path, "\""));
  });
  return absl::StrJoin(paths, "|");
}

// The arms of a `case` over the command and the flag before the cursor, made by `arm` of the flags
// (alternatives) of each option with a value.
std::string ValueArms(
    const CommandManual& program,
    const std::function<std::string(const std::string&, const OptionManual&)>& arm) {
  std::string out;
  ForEach(program, [&](const CommandManual& command) {
    for (const OptionManual& option : AllOptions(command, program)) {
      if (!option.takes_value) continue;
      std::vector<std::string> patterns;
      for (const std::string& flag : option.flags) {
        patterns.push_back(absl::StrCat("\"", command.path, " ", flag, "\""));
      }
      out += arm(absl::StrJoin(patterns, "|"), option);
    }
  });
  return out;
}

std::string Bash(const CommandManual& program) {
  std::string out = absl::StrCat(R"sh(# bash completion of retort; made by: retort completion bash
_retort() {
  local cur=${COMP_WORDS[COMP_CWORD]} at=retort i commands= flags= names=
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at ${COMP_WORDS[i]}" in
      )sh",
                                 Paths(program), R"sh() at="$at ${COMP_WORDS[i]}" ;;
    esac
  done
  case "$at ${COMP_WORDS[COMP_CWORD - 1]}" in
)sh");
  out += ValueArms(program, [](const std::string& patterns, const OptionManual& option) {
    const std::string reply =
        option.choices.empty()
            ? "compgen -f -- \"$cur\""
            : absl::StrCat("compgen -W ", Quoted(absl::StrJoin(option.choices, " ")),
                           " -- \"$cur\"");
    return absl::StrCat("    ", patterns, ") COMPREPLY=($(", reply, ")); return ;;\n");
  });
  out += "  esac\n  case $at in\n";
  ForEach(program, [&](const CommandManual& command) {
    absl::StrAppend(&out, "    \"", command.path, "\") commands='",
                    absl::StrJoin(NamesOf(command.commands), " "), "' flags='",
                    absl::StrJoin(FlagsOf(command, program), " "), "'");
    const std::string listing = ListingOf(command);
    if (!listing.empty()) absl::StrAppend(&out, " names='", listing, "'");
    out += " ;;\n";
  });
  return out + R"sh(  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  elif [[ -n $commands ]]; then
    COMPREPLY=($(compgen -W "$commands" -- "$cur"))
  elif [[ -n $names ]]; then
    COMPREPLY=($(compgen -W "$(eval "$names")" -- "$cur"))
  else
    COMPREPLY=($(compgen -f -- "$cur"))
  fi
}
complete -o filenames -o bashdefault -F _retort retort
)sh";
}

// `name:description`, as _describe takes it.
std::string Described(const std::string& name, const std::string& help) {
  return Quoted(absl::StrCat(absl::StrReplaceAll(name, {{":", "\\:"}}), ":", help));
}

std::string Zsh(const CommandManual& program) {
  std::string out = absl::StrCat(R"sh(#compdef retort
# zsh completion of retort; made by: retort completion zsh
_retort() {
  local at=retort word names=
  local -a commands flags
  for word in ${words[2,CURRENT-1]}; do
    case "$at $word" in
      ()sh",
                                 Paths(program), R"sh() at="$at $word" ;;
    esac
  done
  case "$at ${words[CURRENT-1]}" in
)sh");
  out += ValueArms(program, [](const std::string& patterns, const OptionManual& option) {
    const std::string reply = option.choices.empty()
                                  ? "_files"
                                  : absl::StrCat("compadd -- ", absl::StrJoin(option.choices, " "));
    return absl::StrCat("    (", patterns, ") ", reply, "; return ;;\n");
  });
  out += "  esac\n  case $at in\n";
  ForEach(program, [&](const CommandManual& command) {
    absl::StrAppend(&out, "    (\"", command.path, "\")\n      commands=(");
    for (const CommandManual& below : command.commands) {
      absl::StrAppend(&out, "\n        ", Described(below.name, below.help));
    }
    out += ")\n      flags=(";
    for (const OptionManual& option : AllOptions(command, program)) {
      for (const std::string& flag : option.flags) {
        absl::StrAppend(&out, "\n        ", Described(flag, option.help));
      }
    }
    absl::StrAppend(&out, "\n        ", Described("--help", "say what it does"), ")\n");
    const std::string listing = ListingOf(command);
    if (!listing.empty()) absl::StrAppend(&out, "      names='", listing, "'\n");
    out += "      ;;\n";
  });
  return out + R"sh(  esac
  if [[ ${words[CURRENT]} == -* ]]; then
    _describe flag flags
  elif (( ${#commands} )); then
    _describe command commands
  elif [[ -n $names ]]; then
    compadd -- ${(f)"$(eval $names)"}
  else
    _files
  fi
}
if [[ ${funcstack[1]} == _retort ]]; then
  _retort "$@"
else
  compdef _retort retort
fi
)sh";
}

std::string FishQuoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

std::string FishOption(const std::string& condition, const OptionManual& option) {
  std::string out = absl::StrCat("complete -c retort -n ", condition);
  for (const std::string& flag : option.flags) {
    absl::StrAppend(&out,
                    flag.rfind("--", 0) == 0 ? " -l " + flag.substr(2) : " -s " + flag.substr(1));
  }
  if (option.takes_value && option.choices.empty()) out += " -r -F";
  if (!option.choices.empty()) {
    absl::StrAppend(&out, " -x -a ", FishQuoted(absl::StrJoin(option.choices, " ")));
  }
  return absl::StrCat(out, " -d ", FishQuoted(option.help), "\n");
}

std::string Fish(const CommandManual& program) {
  std::vector<std::string> paths;
  ForEach(program, [&](const CommandManual& command) {
    if (command.path != program.path) paths.push_back(FishQuoted(command.path));
  });
  std::string out = absl::StrCat(R"sh(# fish completion of retort; made by: retort completion fish
function __retort_at
    set -l at retort
    for word in (commandline -opc)[2..-1]
        if contains -- "$at $word" )sh",
                                 absl::StrJoin(paths, " "), R"sh(
            set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end
)sh");
  for (const OptionManual& option : program.options) {
    out += FishOption("'true'", option);
  }
  ForEach(program, [&](const CommandManual& command) {
    const std::string condition = FishQuoted(absl::StrCat("__retort_at \"", command.path, "\""));
    for (const CommandManual& below : command.commands) {
      absl::StrAppend(&out, "complete -c retort -f -n ", condition, " -a ", below.name, " -d ",
                      FishQuoted(below.help), "\n");
    }
    if (command.path != program.path) {
      for (const OptionManual& option : command.options) out += FishOption(condition, option);
    }
    if (const std::string listing = ListingOf(command); !listing.empty()) {
      absl::StrAppend(&out, "complete -c retort -f -n ", condition, " -a '(", listing, ")'\n");
    }
  });
  return out;
}

}  // namespace

std::string Completion(const CommandManual& program, const std::string& shell) {
  if (shell == "bash") return Bash(program);
  if (shell == "zsh") return Zsh(program);
  if (shell == "fish") return Fish(program);
  return "";
}

}  // namespace retort
