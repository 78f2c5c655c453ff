#include "client/cli/manual.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace retort {
namespace {

// Values of options that check them themselves; those of CLI::IsMember are read from it.
std::vector<std::string> KnownChoices(const std::string& flag) {
  static const auto& known = *new std::map<std::string, std::vector<std::string>>{
      {"--output", {"table", "wide", "json", "jsonl", "csv", "name"}},
      {"--state",
       {"blocked", "queued", "leased", "running", "succeeded", "failed", "skipped", "cancelled"}},
      {"--cause",
       {"LOST", "PREEMPTED", "CRASHED", "OUT_OF_MEMORY", "ARTIFACT", "NUMERIC", "TIMEOUT",
        "INVALID"}},
      {"--filter", {"recording", "window", "causal"}},
      {"--kind", {"teacher", "student"}},
      {"--form", {"auto", "power", "exp", "exp-log", "log", "power2", "distill"}}};
  const auto found = known.find(flag);
  return found == known.end() ? std::vector<std::string>() : found->second;
}

// `TEXT:{a,b}` says that it is one of these.
std::vector<std::string> Choices(const CLI::Option& option, const std::string& flag) {
  const std::string type = option.get_type_name();
  const size_t begin = type.find('{');
  const size_t end = type.find('}');
  if (begin == std::string::npos || end == std::string::npos) return KnownChoices(flag);
  return absl::StrSplit(type.substr(begin + 1, end - begin - 1), ',');
}

OptionManual DescribeOption(const CLI::Option& option) {
  OptionManual out;
  for (const std::string& name : option.get_snames()) out.flags.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) out.flags.push_back("--" + name);
  if (out.flags.empty()) out.name = option.get_name(true);
  out.takes_value = option.get_items_expected_max() > 0;
  out.required = option.get_required();
  out.repeats = option.get_items_expected_max() > 1;
  if (out.takes_value) out.choices = Choices(option, out.flags.empty() ? "" : out.flags.back());
  out.help = option.get_description();
  out.environment = option.get_envname();
  if (out.takes_value) out.default_value = option.get_default_str();
  return out;
}

CommandManual DescribeAt(const CLI::App& app, const std::string& path) {
  CommandManual out;
  out.path = path;
  out.name = app.get_name();
  out.help = app.get_description();
  for (const CLI::Option* option : app.get_options()) {
    if (option == app.get_help_ptr() || option->get_group().empty()) continue;
    OptionManual described = DescribeOption(*option);
    (described.flags.empty() ? out.positionals : out.options).push_back(std::move(described));
  }
  for (const CLI::App* command : app.get_subcommands({})) {
    if (command->get_group().empty()) continue;
    out.commands.push_back(DescribeAt(*command, path + " " + command->get_name()));
  }
  out.examples = ExamplesOf(path);
  return out;
}

void AddExamplesAt(CLI::App& app, const std::string& path) {
  const std::vector<std::string> examples = ExamplesOf(path);
  if (!examples.empty()) {
    std::string text = "Examples:";
    for (const std::string& example : examples) absl::StrAppend(&text, "\n  ", example);
    app.footer(text);
  }
  for (CLI::App* command : app.get_subcommands({})) {
    AddExamplesAt(*command, path + " " + command->get_name());
  }
}

}  // namespace

CommandManual Describe(const CLI::App& app) { return DescribeAt(app, app.get_name()); }

void AddExamples(CLI::App& app) {
  for (CLI::App* command : app.get_subcommands({})) {
    AddExamplesAt(*command, app.get_name() + " " + command->get_name());
  }
}

}  // namespace retort
