#include "client/cli/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/files.h"

namespace retort {
namespace {

std::string HowItEnded(int status) {
  return WIFSIGNALED(status) ? absl::StrCat("signal ", WTERMSIG(status))
                             : absl::StrCat("exit code ", WEXITSTATUS(status));
}

std::vector<char*> Pointers(std::vector<std::string>& args) {
  std::vector<char*> out;
  for (std::string& arg : args) out.push_back(arg.data());
  out.push_back(nullptr);
  return out;
}

}  // namespace

absl::StatusOr<ChildProcess> ChildProcess::Start(const std::vector<std::string>& args,
                                                 const std::string& log_path) {
  std::vector<std::string> line = {"retort", "__child", absl::StrCat(getpid())};
  line.insert(line.end(), args.begin(), args.end());
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log_path.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  pid_t pid = -1;
  const int error =
      posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, Pointers(line).data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return ErrnoStatus(error, args[0], "cannot be started");
  return ChildProcess(pid);
}

ChildProcess::~ChildProcess() {
  if (pid_ < 0) return;
  Signal(SIGTERM);
  WaitOrKill(absl::Seconds(5));
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), ended_(std::move(other.ended_)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(ended_, other.ended_);
  return *this;
}

std::optional<std::string> ChildProcess::Ended() {
  if (pid_ < 0) return ended_;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return std::nullopt;
  pid_ = -1;
  ended_ = HowItEnded(status);
  return ended_;
}

void ChildProcess::Signal(int signal) {
  if (pid_ > 0) kill(pid_, signal);
}

void ChildProcess::WaitOrKill(absl::Duration patience) {
  const absl::Time until = absl::Now() + patience;
  while (!Ended().has_value()) {
    if (absl::Now() > until) Signal(SIGKILL);
    absl::SleepFor(absl::Milliseconds(20));
  }
}

int BecomeChild(int argc, char** argv) {
  if (argc < 4) return 2;
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  // The parent may have died before that call.
  if (getppid() != std::atoi(argv[2])) return 1;
  close_range(STDERR_FILENO + 1, ~0U, 0);
  execv(argv[3], argv + 3);
  std::fprintf(stderr, "%s: cannot be started: %s\n", argv[3], std::strerror(errno));
  return 127;
}

absl::StatusOr<std::string> FindProgram(const std::string& name) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  std::vector<std::string> folders = {self.parent_path().string()};
  if (const char* path = std::getenv("PATH"); path != nullptr) {
    for (const auto folder : absl::StrSplit(path, ':')) folders.emplace_back(folder);
  }
  for (const std::string& folder : folders) {
    const std::string program = folder + "/" + name;
    if (!folder.empty() && access(program.c_str(), X_OK) == 0) return program;
  }
  return absl::FailedPreconditionError(absl::StrCat(name, ": found neither in ", folders[0],
                                                    ", where this program is, nor on the PATH"));
}

std::string LastLines(const std::string& path, int lines) {
  const auto text = ReadFile(path);
  if (!text.ok()) return "";
  size_t at = text->size();
  for (int i = 0; i <= lines && at != std::string::npos && at > 0; ++i)
    at = text->rfind('\n', at - 1);
  return at == std::string::npos || at == 0 ? *text : text->substr(at + 1);
}

}  // namespace retort
