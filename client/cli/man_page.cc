// Manual pages, in the macros of man(7).
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/manual.h"

namespace retort {
namespace {

// Text that troff shows as it is.
std::string Plain(const std::string& text) {
  std::string out = absl::StrReplaceAll(text, {{"\\", "\\e"},
                                               {"-", "\\-"},
                                               {"'", "\\(aq"},
                                               {"^", "\\(ha"},
                                               {"~", "\\(ti"},
                                               {"`", "\\(ga"},
                                               {"\"", "\\(dq"},
                                               {"±", "\\[+-]"},
                                               {"…", "..."},
                                               {"×", "\\[mu]"}});
  if (!out.empty() && out[0] == '.') out.insert(0, "\\&");
  return out;
}

std::string Bold(const std::string& text) { return absl::StrCat("\\fB", Plain(text), "\\fP"); }
std::string Italic(const std::string& text) { return absl::StrCat("\\fI", Plain(text), "\\fP"); }

std::string ValueName(const OptionManual& option) {
  return option.choices.empty() ? "VALUE" : absl::StrJoin(option.choices, "|");
}

std::string Synopsis(const CommandManual& command) {
  std::string out = Bold(command.path);
  if (!command.options.empty()) absl::StrAppend(&out, " [", Italic("OPTION"), "...]");
  for (const OptionManual& positional : command.positionals) {
    const std::string text = Italic(positional.name) + (positional.repeats ? "..." : "");
    absl::StrAppend(&out, positional.required ? " " + text : " [" + text + "]");
  }
  if (!command.commands.empty()) absl::StrAppend(&out, " ", Italic("COMMAND"));
  return out + "\n";
}

// `.TP`, what it is called, what it does.
std::string Entry(const OptionManual& option) {
  std::vector<std::string> names;
  for (const std::string& flag : option.flags) names.push_back(Bold(flag));
  std::string head = option.flags.empty() ? Italic(option.name) : absl::StrJoin(names, ", ");
  if (!option.flags.empty() && option.takes_value) {
    absl::StrAppend(&head, " ", Italic(ValueName(option)));
  }
  std::string text = Plain(option.help);
  if (!option.default_value.empty()) {
    absl::StrAppend(&text, "\nDefault: ", Plain(option.default_value), ".");
  }
  if (!option.environment.empty()) {
    absl::StrAppend(&text, "\nEnvironment: ", Plain(option.environment), ".");
  }
  if (option.required && !option.flags.empty()) absl::StrAppend(&text, "\nRequired.");
  return absl::StrCat(".TP\n", head, "\n", text.empty() ? "\\&" : text, "\n");
}

std::string Entries(const CommandManual& command) {
  std::string out;
  for (const OptionManual& positional : command.positionals) out += Entry(positional);
  for (const OptionManual& option : command.options) out += Entry(option);
  return out;
}

std::string Examples(const std::vector<std::string>& examples) {
  std::string out = ".PP\n.EX\n";
  for (const std::string& example : examples) absl::StrAppend(&out, Plain(example), "\n");
  return out + ".EE\n";
}

// A command that has none below it, as a part of its group's page.
std::string Part(const CommandManual& command) {
  std::string out = absl::StrCat(".SS ", Plain(command.path), "\n", Synopsis(command), ".PP\n",
                                 Plain(command.help), ".\n", Entries(command));
  if (!command.examples.empty()) absl::StrAppend(&out, Examples(command.examples));
  for (const CommandManual& below : command.commands) out += Part(below);
  return out;
}

constexpr std::string_view kEnd =
    R"(.SH FILES
.TP
\fI$XDG_CONFIG_HOME/retort/config.yaml\fP, or \fI\(ti/.config/retort/config.yaml\fP
Defaults of the program\(aqs options, a line for each such as \fBoutput: json\fP.
Environment and options go before it.
\fBRETORT_CONFIG\fP names another file.
.SH EXIT STATUS
0 done, 1 jobs failed, 2 usage, 3 not found, 4 unavailable, 5 timed out, 130 interrupted.
)";

}  // namespace

std::string PageName(const CommandManual& command) {
  return absl::StrReplaceAll(command.path, {{" ", "-"}});
}

std::string ManPage(const CommandManual& command, const CommandManual& program) {
  const bool whole = command.path == program.path;
  std::string out = absl::StrCat(".TH ", absl::AsciiStrToUpper(PageName(command)),
                                 " 1 \"\" \"Retort " RETORT_VERSION "\" \"Retort\"\n.SH NAME\n",
                                 Plain(PageName(command)), " \\- ", Plain(command.help),
                                 "\n.SH SYNOPSIS\n", Synopsis(command));
  if (whole) {
    out += ".SH COMMANDS\n";
    for (const CommandManual& below : command.commands) {
      absl::StrAppend(&out, ".TP\n", Bold(PageName(below)), "(1)\n", Plain(below.help), "\n");
    }
    absl::StrAppend(&out, ".SH OPTIONS\nThey may stand behind every command.\n", Entries(command));
  } else if (command.commands.empty()) {
    absl::StrAppend(&out, ".SH OPTIONS\n", Entries(command));
  } else {
    absl::StrAppend(&out, Entries(command), ".SH COMMANDS\n");
    for (const CommandManual& below : command.commands) out += Part(below);
  }
  if (!command.examples.empty()) {
    absl::StrAppend(&out, ".SH EXAMPLES\n", Examples(command.examples));
  }
  out += kEnd;
  if (!whole) absl::StrAppend(&out, ".SH SEE ALSO\n", Bold(program.name), "(1)\n");
  return out;
}

}  // namespace retort
