#include "client/cli/config.h"

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/sdk/yaml_tree.h"
#include "common/fields.h"
#include "common/files.h"
#include "common/status.h"

namespace retort {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The options that a file can set, by their key.
CLI::Option* Find(CLI::App& app, std::string_view key, std::vector<std::string>& known) {
  for (CLI::Option* option : app.get_options()) {
    if (option->get_envname().empty() || option->get_lnames().empty()) continue;
    if (option->get_lnames().front() == key) return option;
    known.push_back(option->get_lnames().front());
  }
  return nullptr;
}

absl::Status Apply(const std::string& path, const YamlNode& node, CLI::App& app) {
  std::vector<std::string> known;
  CLI::Option* option = Find(app, node.key, known);
  if (option == nullptr) {
    return ErrorAt(path, node.key_place,
                   absl::StrCat(node.key, ": no such key", Suggestion(node.key, known)));
  }
  if (!node.is_scalar()) {
    return ErrorAt(path, node.place,
                   absl::StrCat(node.key, ": ", node.Described(), "; expected one value"));
  }
  std::string value = node.text;
  if (absl::StartsWith(value, "~/")) value = Environment("HOME") + value.substr(1);
  try {
    const bool at_once = option->get_trigger_on_parse();
    // Of options that act as they are read, CLI11 would keep the default for itself.
    option->trigger_on_parse(false)->run_callback_for_default()->default_val(value);
    option->trigger_on_parse(at_once);
  } catch (const CLI::Error& error) {
    // CLI11 puts the flag's name in front; whoever wrote a file looks for the key.
    std::string message = error.what();
    const std::string flag = absl::StrCat("--", node.key, ": ");
    if (absl::StartsWith(message, flag)) message = message.substr(flag.size());
    return ErrorAt(path, node.place, absl::StrCat(node.key, ": ", message));
  }
  return absl::OkStatus();
}

// True of a file of comments and empty lines, which is no YAML document.
bool SaysNothing(const std::string& text) {
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const absl::string_view said = absl::StripAsciiWhitespace(line);
    if (!said.empty() && said[0] != '#') return false;
  }
  return true;
}

}  // namespace

ConfigPlace ConfigPlace::OfProcess() {
  if (const std::string named = Environment("RETORT_CONFIG"); !named.empty()) return {named, true};
  if (const std::string xdg = Environment("XDG_CONFIG_HOME"); absl::StartsWith(xdg, "/")) {
    return {xdg + "/retort/config.yaml"};
  }
  const std::string home = Environment("HOME");
  return {home.empty() ? "" : home + "/.config/retort/config.yaml"};
}

absl::Status ApplyConfig(const ConfigPlace& place, CLI::App& app) {
  std::error_code error;
  if (place.path.empty() || (!place.named && !std::filesystem::exists(place.path, error))) {
    return absl::OkStatus();
  }
  const auto text = ReadFile(place.path);
  if (!text.ok()) return absl::InvalidArgumentError(MessageOf(text.status()));
  if (SaysNothing(*text)) return absl::OkStatus();
  RETORT_ASSIGN_OR_RETURN(const YamlNode root, ParseYaml(*text, place.path));
  if (!root.is_mapping()) {
    return ErrorAt(place.path, root.place,
                   absl::StrCat(root.Described(), "; expected lines such as output: json"));
  }
  for (const YamlNode& node : root.items) {
    RETORT_RETURN_IF_ERROR(Apply(place.path, node, app));
  }
  return absl::OkStatus();
}

}  // namespace retort
