#include <algorithm>
#include <map>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/config.h"
#include "client/cli/manual.h"
#include "client/cli/usage.h"
#include "common/status.h"

namespace retort {
namespace {

const std::map<std::string, Format>& Formats() {
  static const auto& formats = *new std::map<std::string, Format>{
      {"table", Format::kTable}, {"wide", Format::kTable}, {"json", Format::kJson},
      {"jsonl", Format::kJsonl}, {"csv", Format::kCsv},    {"name", Format::kName}};
  return formats;
}

// `configured`: what came of the configuration file, told once the line is understood, so that
// --help works beside a broken file.
void AddCommonOptions(CLI::App& app, Context& context, const absl::Status& configured) {
  app.set_version_flag("--version", std::string("retort ") + RETORT_VERSION);
  app.add_option("--access", context.choice.access_path,
                 "access file of the coordinator; that of a coordinator of the same user on this "
                 "machine is found without")
      ->envname("RETORT_ACCESS");
  app.add_option("--coordinator", context.choice.coordinator,
                 "HOST:PORT of the coordinator instead of the addresses in the access file; "
                 "127.0.0.1:7641 if neither is given")
      ->envname("RETORT_COORDINATOR");
  app.add_flag("--insecure", context.choice.insecure,
               "speak in clear with a coordinator on another machine")
      ->envname("RETORT_INSECURE");
  app.parse_complete_callback([&app, &context, &configured] {
    if (!configured.ok()) throw CLI::ConfigError(MessageOf(configured));
    auto source = ChooseAccess(context.choice, {"admin", "operator", "viewer"});
    // To tell what is wrong with it is what the doctor is there for.
    const bool doctor =
        app.got_subcommand("admin") && app.get_subcommand("admin")->got_subcommand("doctor");
    if (!source.ok() && !doctor) throw CLI::ValidationError(MessageOf(source.status()));
    if (source.ok()) context.source = *std::move(source);
    context.source_status = source.status();
  });
  app.add_option_function<std::string>(
         "-o,--output",
         [&context](const std::string& name) {
           if (Formats().count(name) == 0) {
             throw CLI::ValidationError(
                 "--output",
                 "'" + name +
                     "' is no format; expected one of: table, wide, json, jsonl, csv, name");
           }
           context.format = Formats().at(name);
           context.wide = name == "wide";
         },
         "format of the data: table, wide (every column), json, jsonl, csv or name (names and ids "
         "alone)")
      ->envname("RETORT_OUTPUT")
      ->trigger_on_parse();
}

}  // namespace

void AddCommands(CLI::App& app, Context& context, const absl::Status& configured) {
  app.fallthrough();
  app.require_subcommand(1);
  AddCommonOptions(app, context, configured);
  AddLocalCommand(app, context);
  AddSweepCommands(app, context);
  AddJobCommands(app, context);
  AddWorkerCommands(app, context);
  AddResultsCommand(app, context);
  AddFitCommand(app, context);
  AddReportCommand(app, context);
  AddAdminCommands(app, context);
  AddDataCommands(app, context);
  AddModelCommands(app, context);
  AddQueryCommand(app, context);
  AddManualCommands(app, context);
}

int RunCommandLine(std::vector<std::string> args, Context& context, const ConfigPlace& config) {
  CLI::App app("Runs sweeps of knowledge distillation, and says what they found.", "retort");
  absl::Status configured;
  AddCommands(app, context, configured);
  app.footer(
      "Exit codes: 0 done, 1 jobs failed, 2 usage, 3 not found, 4 unavailable, 5 timed out, "
      "130 interrupted.\nDefaults of the options above can stand in ~/.config/retort/config.yaml "
      "(output: json), or in the file that RETORT_CONFIG names.");
  configured = ApplyConfig(config, app);
  AddExamples(app);
  const UsageCheck usage = CheckUsage(Describe(app), args);
  std::reverse(args.begin(), args.end());  // as CLI11 takes them
  try {
    app.parse(args);
  } catch (const CLI::Success& asked) {  // --help, --version
    std::ostringstream text, unused;
    app.exit(asked, text, unused);
    context.terminal.out << text.str();
    return kDone;
  } catch (const CLI::ParseError& error) {
    context.terminal.err << "retort: " << (usage.unknown.empty() ? error.what() : usage.unknown)
                         << "\n"
                         << usage.command << " --help says more." << std::endl;
    return kUsage;
  }
  return context.exit_code;
}

}  // namespace retort
