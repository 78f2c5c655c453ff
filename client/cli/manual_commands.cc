// `retort completion` and `retort man`: the command line about itself.
#include <memory>

#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/manual.h"
#include "common/fields.h"
#include "common/files.h"
#include "common/status.h"

namespace retort {
namespace {

void Complete(CLI::App& app, Context& context, const std::string& shell) {
  context.terminal.out << Completion(Describe(app), shell) << std::flush;
}

absl::Status WritePages(const CommandManual& program, const std::string& folder) {
  RETORT_RETURN_IF_ERROR(MakeFolders(folder));
  const auto write = [&](const CommandManual& command) {
    return WriteFileAtomically(absl::StrCat(folder, "/", PageName(command), ".1"),
                               ManPage(command, program));
  };
  RETORT_RETURN_IF_ERROR(write(program));
  for (const CommandManual& command : program.commands) RETORT_RETURN_IF_ERROR(write(command));
  return absl::OkStatus();
}

void Man(CLI::App& app, Context& context, const std::string& name, const std::string& folder) {
  const CommandManual program = Describe(app);
  if (!folder.empty()) {
    const absl::Status written = WritePages(program, folder);
    if (!written.ok()) context.Fail(absl::InvalidArgumentError(MessageOf(written)));
    return;
  }
  if (name.empty()) {
    context.terminal.out << ManPage(program, program) << std::flush;
    return;
  }
  std::vector<std::string> names;
  for (const CommandManual& command : program.commands) {
    names.push_back(command.name);
    if (command.name != name) continue;
    context.terminal.out << ManPage(command, program) << std::flush;
    return;
  }
  context.Fail(absl::InvalidArgumentError(
      absl::StrCat("man: '", name, "' is no command", Suggestion(name, names))));
}

}  // namespace

void AddManualCommands(CLI::App& app, Context& context) {
  CLI::App* completion =
      app.add_subcommand("completion", "completions of this command line for a shell");
  const auto shell = std::make_shared<std::string>();
  completion->add_option("SHELL", *shell, "the shell")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->callback([&app, &context, shell] { Complete(app, context, *shell); });

  CLI::App* man = app.add_subcommand("man", "a manual page, or all of them as files");
  const auto name = std::make_shared<std::string>();
  const auto folder = std::make_shared<std::string>();
  man->add_option("COMMAND", *name, "the command, such as sweep; the program itself if left out");
  man->add_option("--folder", *folder, "write all pages into this folder");
  man->callback([&app, &context, name, folder] { Man(app, context, *name, *folder); });
}

}  // namespace retort
