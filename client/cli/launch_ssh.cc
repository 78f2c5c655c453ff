// `retort worker launch ssh`: workers on machines that are reached by ssh.
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"
#include "client/cli/launch_commands.h"
#include "client/cli/table.h"
#include "client/launch/hosts.h"
#include "common/files.h"
#include "common/program.h"
#include "common/status.h"

namespace retort {
namespace {

// Connections at a time.
constexpr size_t kMostAtOnce = 16;
constexpr absl::Duration kStartLimit = absl::Seconds(60);
// For a worker to leave: its drain timeout, and what stopping takes.
constexpr absl::Duration kStopPatience = absl::Seconds(60);

struct SshFlags {
  LaunchFlags launch;
  std::string hosts;
  bool stop = false;
  std::vector<std::string> ssh_options;
};

std::vector<std::string> SshLine(const SshFlags& flags, const Host& host,
                                 const std::string& command) {
  std::vector<std::string> line = {"ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"};
  line.insert(line.end(), flags.ssh_options.begin(), flags.ssh_options.end());
  line.insert(line.end(), {"--", host.name, command});
  return line;
}

// What is to be run for a host, with what it reads.
ProgramRun RunFor(const SshFlags& flags, const Host& host, const WorkerCommand& worker,
                  const std::string& access) {
  ProgramRun run;
  run.command = SshLine(flags, host,
                        flags.stop ? StopCommand(host, kStopPatience) : StartCommand(host, worker));
  run.input = flags.stop ? "" : access;
  run.limit = flags.stop ? kStopPatience + kStartLimit : kStartLimit;
  return run;
}

// Runs all, a few at a time; the answers in the order of the hosts.
std::vector<absl::StatusOr<std::string>> RunAll(const std::vector<ProgramRun>& runs) {
  std::vector<absl::StatusOr<std::string>> answers(runs.size(), absl::UnknownError("not run"));
  std::atomic<size_t> next = 0;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < std::min(kMostAtOnce, runs.size()); ++i) {
    threads.emplace_back([&] {
      for (size_t mine = next++; mine < runs.size(); mine = next++) {
        auto output = OutputOf(runs[mine]);
        answers[mine] = output.ok() ? LaunchAnswer(*output) : output.status();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return answers;
}

const std::vector<Column>& HostColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"host", "host", 0, {}}, {"ok", "ok", 0, {}}, {"answer", "answer", 0, {}}};
  return columns;
}

void Report(Context& context, const std::vector<Host>& hosts,
            const std::vector<absl::StatusOr<std::string>>& answers) {
  std::vector<Json> rows;
  for (size_t i = 0; i < hosts.size(); ++i) {
    const bool ok = answers[i].ok();
    const std::string text = ok ? *answers[i] : MessageOf(answers[i].status());
    rows.push_back(Json{{"host", hosts[i].name},
                        {"folder", hosts[i].folder},
                        {"ok", ok},
                        {"answer", Escaped(text)}});
    if (!ok) context.exit_code = kUnavailable;
  }
  EmitRows(context, rows, HostColumns());
}

void Launch(Context& context, const SshFlags& flags) {
  const auto text = ReadFile(flags.hosts);
  if (!text.ok()) return context.Fail(Annotate(text.status(), "--hosts"));
  const auto hosts = ParseHosts(*text);
  if (!hosts.ok()) return context.Fail(Annotate(hosts.status(), "--hosts: " + flags.hosts));
  WorkerCommand worker;
  std::string access;
  if (!flags.stop) {
    auto found = LaunchedWorker(context, flags.launch, "retort-worker");
    if (!found.ok()) return context.Fail(found.status());
    worker = *std::move(found);
  }
  if (!worker.access.empty()) {
    auto bytes = ReadFile(worker.access);
    if (!bytes.ok()) return context.Fail(Annotate(bytes.status(), "--worker-access"));
    access = *std::move(bytes);
  }
  std::vector<ProgramRun> runs;
  for (const Host& host : *hosts) runs.push_back(RunFor(flags, host, worker, access));
  if (flags.launch.dry_run) {
    for (const ProgramRun& run : runs) {
      context.terminal.out << ShellLine(run.command)
                           << (run.input.empty() ? "" : " <" + ShellQuoted(worker.access)) << "\n";
    }
    return;
  }
  Report(context, *hosts, RunAll(runs));
}

}  // namespace

void AddLaunchSsh(CLI::App& group, Context& context) {
  CLI::App* command = group.add_subcommand("ssh", "a worker on each machine of a list, by ssh");
  const auto flags = std::make_shared<SshFlags>();
  command
      ->add_option("--hosts", flags->hosts,
                   "file with a host a line: HOST [slots=N] [device=D] [folder=F]")
      ->required();
  command->add_flag("--stop", flags->stop, "let the workers that were started so drain and end");
  command->add_option("SSH_OPTIONS", flags->ssh_options, "behind --: options of ssh");
  AddLaunchFlags(*command, flags->launch);
  command->callback([&context, flags] { Launch(context, *flags); });
}

}  // namespace retort
