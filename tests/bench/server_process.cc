#include "tests/bench/server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/files.h"

extern char** environ;

namespace retort::bench {
namespace {

constexpr absl::Duration kStartLimit = absl::Seconds(120);
constexpr absl::Duration kStopLimit = absl::Seconds(60);

}  // namespace

TemporaryFolder::TemporaryFolder(const std::string& parent) {
  const char* tmp = std::getenv("TMPDIR");
  path_ = absl::StrCat(!parent.empty()  ? parent
                       : tmp != nullptr ? tmp
                                        : "/tmp",
                       "/retort-bench-XXXXXX");
  if (mkdtemp(path_.data()) == nullptr) std::abort();
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

ServerProcess::~ServerProcess() { Kill(); }

absl::Status ServerProcess::Start() {
  const std::string address_file = folder_ + "/address";
  unlink(address_file.c_str());
  // Another build of it, to compare with.
  const char* other = std::getenv("RETORT_BENCH_SERVER");
  std::vector<std::string> words = {
      other != nullptr ? other : RETORT_BINARY_DIR "/bin/retort-server",
      "--folder",
      folder_ + "/data",
      "--listen",
      "127.0.0.1:0",
      "--insecure",  // the simulated workers have no tokens
      "--address-file",
      address_file,
      "--log-level",
      "warn"};
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, 2, 1);
  const int error = posix_spawn(&pid_, argv[0], &files, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0)
    return absl::InternalError(absl::StrCat(words[0], " cannot be started: error ", error));
  const absl::Time end = absl::Now() + kStartLimit;
  while (absl::Now() < end) {
    auto text = ReadFile(address_file);
    if (text.ok()) {
      address_ = *text;
      return absl::OkStatus();
    }
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return absl::InternalError("retort-server ended before it served");
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
  return absl::DeadlineExceededError("retort-server does not serve");
}

void ServerProcess::Kill() {
  if (pid_ < 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

absl::Status ServerProcess::Stop() {
  kill(pid_, SIGTERM);
  const absl::Time end = absl::Now() + kStopLimit;
  int status = 0;
  while (absl::Now() < end) {
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
      return absl::InternalError(absl::StrCat("retort-server ended with status ", status));
    }
    absl::SleepFor(absl::Milliseconds(10));
  }
  return absl::DeadlineExceededError("retort-server does not end");
}

absl::Duration ServerProcess::CpuTime() const {
  std::ifstream file(absl::StrCat("/proc/", pid_, "/stat"));
  std::string text;
  std::getline(file, text);
  // proc(5): after the name in parentheses come fields 3 and on; utime and stime are 14 and 15.
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  int64_t user = 0, system = 0;
  fields >> user >> system;
  return absl::Seconds(static_cast<double>(user + system) /
                       static_cast<double>(sysconf(_SC_CLK_TCK)));
}

int64_t ServerProcess::StatusField(const std::string& name) const {
  std::ifstream file(absl::StrCat("/proc/", pid_, "/status"));
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name + ":", 0) == 0) return std::atoll(line.c_str() + name.size() + 1) * 1024;
  }
  return 0;
}

int64_t ServerProcess::PeakMemory() const { return StatusField("VmHWM"); }
int64_t ServerProcess::Memory() const { return StatusField("VmRSS"); }

absl::Duration OwnCpuTime() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

}  // namespace retort::bench
