#include "tests/e2e/processes.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"

namespace retort::e2e {
namespace {

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The line of /proc/PID/stat: `pid (name) state parent ...`; the name may hold anything.
bool ParseStat(const std::string& line, ProcessInfo& info) {
  const size_t open = line.find('('), close = line.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close + 2 >= line.size()) {
    return false;
  }
  info.name = line.substr(open + 1, close - open - 1);
  info.state = line[close + 2];
  info.parent = std::atoi(line.c_str() + close + 3);
  return true;
}

}  // namespace

std::vector<ProcessInfo> ListProcesses() {
  std::vector<ProcessInfo> all;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    ProcessInfo info;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &info.pid)) continue;
    if (!ParseStat(ReadAll(entry.path().string() + "/stat"), info) || info.state == 'Z') continue;
    all.push_back(std::move(info));
  }
  return all;
}

std::vector<pid_t> RunnersOf(const std::vector<pid_t>& agents) {
  std::vector<pid_t> runners;
  for (const ProcessInfo& info : ListProcesses()) {
    const bool ours = std::find(agents.begin(), agents.end(), info.parent) != agents.end();
    if (ours && info.name == "retort-fake-run") runners.push_back(info.pid);
  }
  return runners;
}

std::vector<ProcessInfo> ProcessesMarked(const std::string& mark) {
  std::vector<ProcessInfo> marked;
  for (const ProcessInfo& info : ListProcesses()) {
    const std::string environment =
        std::string(1, '\0') + ReadAll("/proc/" + std::to_string(info.pid) + "/environ");
    if (absl::StrContains(environment, std::string(1, '\0') + mark + '\0')) marked.push_back(info);
  }
  return marked;
}

}  // namespace retort::e2e
