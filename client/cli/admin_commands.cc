// Upkeep: of a coordinator that serves by calls, of a folder by the program retort-server.
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/process.h"
#include "client/cli/table.h"
#include "common/files.h"
#include "common/status.h"

namespace retort {
namespace {

// Shows how far a task is on one line that is written over, where somebody looks; ends at Ctrl-C.
class TaskLine {
 public:
  explicit TaskLine(Terminal& terminal) : terminal_(terminal) {}
  ~TaskLine() {
    if (shown_) terminal_.err << "\r\x1b[K" << std::flush;
  }

  bool Show(const v1::TaskProgress& progress) {
    if (WasInterrupted()) return false;
    if (!terminal_.err_is_terminal || progress.step().empty()) return true;
    std::string line = absl::StrCat(Escaped(progress.step()), ": ", progress.done_bytes() >> 20);
    if (progress.all_bytes() > 0) absl::StrAppend(&line, " of ", progress.all_bytes() >> 20);
    terminal_.err << "\r\x1b[K" << absl::StrCat(line, " MiB").substr(0, terminal_.width - 1)
                  << std::flush;
    shown_ = true;
    return true;
  }

 private:
  Terminal& terminal_;
  bool shown_ = false;
};

Json FindingJson(const v1::Finding& finding) {
  const auto word = [](const std::string& name, size_t prefix) {
    return absl::AsciiStrToLower(name.substr(std::min(prefix, name.size())));
  };
  return {{"severity", word(v1::Severity_Name(finding.severity()), 9)},
          {"code", word(v1::FindingCode_Name(finding.code()), 13)},
          {"subject", finding.subject()},
          {"message", finding.message()}};
}

void ShowReport(Context& context, const v1::CheckReport& report) {
  std::vector<Json> findings;
  for (const v1::Finding& finding : report.findings()) findings.push_back(FindingJson(finding));
  if (context.format == Format::kJson) {
    EmitObject(context, {{"findings", findings},
                         {"all_findings", report.all_findings()},
                         {"errors", report.errors()},
                         {"sweeps", report.sweeps()},
                         {"jobs", report.jobs()},
                         {"results", report.results()},
                         {"artifacts", report.artifacts()},
                         {"bytes_read", report.bytes_read()},
                         {"unreferenced", report.unreferenced()},
                         {"unreferenced_bytes", report.unreferenced_bytes()}});
    return;
  }
  const std::vector<Column> columns = {{"severity", "severity", 0, {}},
                                       {"code", "code", 0, {}, Room::kNeeded},
                                       {"subject", "subject", 0, {}, Room::kNeeded},
                                       {"message", "message", 0, {}, Room::kNeeded}};
  if (!findings.empty() || context.format != Format::kTable) EmitRows(context, findings, columns);
  context.terminal.err << report.sweeps() << " sweeps, " << report.jobs() << " jobs, "
                       << report.results() << " results, " << report.artifacts() << " artifacts: "
                       << (report.all_findings() == 0
                               ? std::string("all is well")
                               : absl::StrCat(report.all_findings(), " findings, ", report.errors(),
                                              " of them errors"))
                       << std::endl;
}

// A program beside this one that takes over the terminal; its exit code is ours.
void RunServer(Context& context, std::vector<std::string> args) {
  const auto program = FindProgram("retort-server");
  if (!program.ok()) return context.Fail(program.status());
  args.insert(args.begin(), *program);
  std::vector<char*> pointers;
  for (std::string& arg : args) pointers.push_back(arg.data());
  pointers.push_back(nullptr);
  pid_t pid = -1;
  const int error = posix_spawn(&pid, program->c_str(), nullptr, nullptr, pointers.data(), environ);
  if (error != 0) return context.Fail(ErrnoStatus(error, *program, "cannot be started"));
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {  // Ctrl-C reaches the program as well
  }
  context.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : kInterrupted;
}

struct CheckFlags {
  std::string folder;
  bool quick = false;
};

void Check(Context& context, const CheckFlags& flags) {
  if (!flags.folder.empty()) {
    std::vector<std::string> args = {"check", "--folder", flags.folder};
    if (flags.quick) args.emplace_back("--quick");
    return RunServer(context, std::move(args));
  }
  CatchInterrupts();
  absl::StatusOr<v1::CheckReport> report;
  {
    TaskLine line(context.terminal);
    report = context.NewClient().Check(
        flags.quick, [&](const v1::TaskProgress& progress) { return line.Show(progress); });
  }
  if (!report.ok()) return context.Fail(report.status());
  ShowReport(context, *report);
  if (report->all_findings() > 0) context.exit_code = kJobsFailed;
}

void Backup(Context& context, const std::string& target) {
  CatchInterrupts();
  // Where the coordinator runs here, `.` means what it means to whoever types it.
  std::error_code error;
  const std::string folder = std::filesystem::absolute(target, error).lexically_normal().string();
  absl::StatusOr<v1::BackupReport> report;
  {
    TaskLine line(context.terminal);
    report = context.NewClient().Backup(
        folder, [&](const v1::TaskProgress& progress) { return line.Show(progress); });
  }
  if (!report.ok()) return context.Fail(report.status());
  EmitObject(context, {{"folder", report->folder()},
                       {"time", absl::FormatTime("%Y-%m-%dT%H:%M:%SZ",
                                                 absl::FromUnixMillis(report->time_ms()),
                                                 absl::UTCTimeZone())},
                       {"sweeps", report->sweeps()},
                       {"jobs", report->jobs()},
                       {"results", report->results()},
                       {"database_bytes", report->database_bytes()},
                       {"artifacts", report->artifacts()},
                       {"artifact_bytes", report->artifact_bytes()},
                       {"missing_artifacts", report->missing_artifacts()},
                       {"logs", report->logs()}});
  if (report->missing_artifacts() > 0) {
    context.terminal.err << "retort: " << report->missing_artifacts()
                         << " artifacts are missing; see retort admin check" << std::endl;
    context.exit_code = kJobsFailed;
  }
}

void CollectGarbage(Context& context, bool dry_run) {
  const auto report = context.NewClient().CollectGarbage(dry_run);
  if (!report.ok()) return context.Fail(report.status());
  EmitObject(context, {{"dry_run", dry_run},
                       {"taken", report->taken()},
                       {"taken_bytes", report->taken_bytes()},
                       {"removed", report->removed()},
                       {"removed_bytes", report->removed_bytes()},
                       {"put_back", report->put_back()},
                       {"kept", report->kept()},
                       {"kept_bytes", report->kept_bytes()},
                       {"pinned", report->pinned()},
                       {"partial_removed", report->partial_removed()},
                       {"partial_bytes", report->partial_bytes()}});
}

void AddCheck(CLI::App& group, Context& context) {
  CLI::App* check = group.add_subcommand(
      "check", "check database and artifacts; exit code 1 if something is wrong");
  const auto flags = std::make_shared<CheckFlags>();
  check->add_option("--folder", flags->folder,
                    "a folder here in which no coordinator runs, or a backup, instead of the "
                    "coordinator that serves");
  check->add_flag("--quick", flags->quick, "look for artifacts, but do not read them");
  check->callback([&context, flags] { Check(context, *flags); });
}

}  // namespace

void AddAdminCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand(
      "admin", "check, back up, restore and clean a coordinator; who may use it");
  group->require_subcommand(1);
  AddCheck(*group, context);

  CLI::App* backup =
      group->add_subcommand("backup", "copy a coordinator that serves to a new folder");
  const auto target = std::make_shared<std::string>();
  backup->add_option("TARGET", *target, "folder to make, on the coordinator's machine")->required();
  backup->callback([&context, target] { Backup(context, *target); });

  CLI::App* restore = group->add_subcommand("restore", "make a coordinator's folder of a backup");
  const auto from = std::make_shared<std::string>();
  const auto folder = std::make_shared<std::string>();
  restore->add_option("BACKUP", *from, "the backup")->required();
  restore->add_option("FOLDER", *folder, "folder to make; must not exist, or be empty")->required();
  restore->callback([&context, from, folder] {
    RunServer(context, {"restore", "--from", *from, "--folder", *folder});
  });

  CLI::App* gc = group->add_subcommand("gc", "take artifacts that nothing refers to");
  const auto dry_run = std::make_shared<bool>(false);
  gc->add_flag("--dry-run", *dry_run, "only tell what would be taken");
  gc->callback([&context, dry_run] { CollectGarbage(context, *dry_run); });
  AddDoctorCommand(*group, context);
  AddTokenCommands(*group, context);
}

}  // namespace retort
