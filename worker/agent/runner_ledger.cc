#include "worker/agent/runner_ledger.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/files.h"
#include "common/log.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr absl::Duration kLookAgain = absl::Milliseconds(10);

// Files of /proc have no size: they are read to their end.
std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A process as /proc/PID/stat has it.
struct Process {
  pid_t pid = 0;
  pid_t group = 0;
  std::string start;
  bool ended = false;
};

std::optional<Process> Look(pid_t pid) {
  const std::string line = ReadAll(absl::StrCat("/proc/", pid, "/stat"));
  const size_t name_end = line.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream rest(line.substr(name_end + 1));
  const std::vector<std::string> fields{std::istream_iterator<std::string>(rest), {}};
  // proc(5): state is field 3, the group field 5, the start time field 22.
  if (fields.size() < 20) return std::nullopt;
  Process process;
  process.pid = pid;
  process.ended = fields[0] == "Z" || fields[0] == "X";
  process.start = fields[19];
  if (!absl::SimpleAtoi(fields[2], &process.group)) return std::nullopt;
  return process;
}

bool HasInEnvironment(pid_t pid, const std::string& setting) {
  const std::string zero(1, '\0');
  return absl::StrContains(zero + ReadAll(absl::StrCat("/proc/", pid, "/environ")),
                           zero + setting + zero);
}

}  // namespace

RunnerLedger::RunnerLedger(std::string path)
    : path_(std::move(path)),
      boot_(ReadAll("/proc/sys/kernel/random/boot_id").substr(0, 36)),
      mark_("RETORT_RUNNER_OF=" + NewUuid()) {}

std::vector<RunnerLedger::Entry> RunnerLedger::Read() const {
  std::vector<Entry> entries;
  std::ifstream in(path_);
  Entry entry;
  while (in >> entry.pid >> entry.start >> entry.boot >> entry.mark) entries.push_back(entry);
  return entries;
}

int RunnerLedger::EndLeftovers(absl::Duration patience) {
  const std::vector<Entry> entries = Read();
  std::vector<std::pair<pid_t, std::string>> killed;
  std::error_code error;
  for (const auto& folder : std::filesystem::directory_iterator("/proc", error)) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(folder.path().filename().string(), &pid)) continue;
    const auto process = Look(pid);
    if (!process || process->ended) continue;
    const bool ours = std::any_of(entries.begin(), entries.end(), [&](const Entry& entry) {
      if (entry.boot != boot_ || process->group != entry.pid) return false;
      return pid == entry.pid ? process->start == entry.start : HasInEnvironment(pid, entry.mark);
    });
    if (!ours || kill(pid, SIGKILL) != 0) continue;
    killed.emplace_back(pid, process->start);
  }
  for (absl::Duration waited; waited < patience; waited += kLookAgain) {
    const bool gone = std::all_of(killed.begin(), killed.end(), [](const auto& k) {
      const auto process = Look(k.first);
      return !process || process->ended || process->start != k.second;
    });
    if (gone) break;
    absl::SleepFor(kLookAgain);
  }
  if (!killed.empty()) {
    spdlog::warn("killed {} processes of runners that outlived their agent", killed.size());
  }
  std::filesystem::remove(path_, error);
  return static_cast<int>(killed.size());
}

void RunnerLedger::Add(pid_t pid) {
  const auto process = Look(pid);
  if (!process) return;
  std::erase_if(entries_, [](const Entry& entry) {
    const auto old = Look(entry.pid);
    return !old || old->start != entry.start;
  });
  entries_.push_back({pid, process->start, boot_, mark_});
  std::string text;
  for (const Entry& entry : entries_) {
    absl::StrAppend(&text, entry.pid, " ", entry.start, " ", entry.boot, " ", entry.mark, "\n");
  }
  const absl::Status written = WriteFileAtomically(path_, text);
  if (!written.ok()) spdlog::warn("runners are not noted: {}", MessageOf(written));
}

}  // namespace retort
