#include "tests/e2e/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/time/clock.h"
#include "common/files.h"

extern char** environ;

namespace retort::e2e {
namespace {

int CodeOf(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& text : strings) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

std::string Read(const std::string& path) {
  auto text = ReadFile(path);
  return text.ok() ? *text : "";
}

}  // namespace

Process::Process(const std::vector<std::string>& arguments, const std::string& folder,
                 const std::string& label, const std::map<std::string, std::string>& environment) {
  std::vector<std::string> argv = arguments;
  if (argv[0][0] != '/') argv[0] = std::string(RETORT_BINARY_DIR) + "/bin/" + argv[0];
  std::vector<std::string> env;
  for (char** entry = environ; *entry != nullptr; ++entry) env.emplace_back(*entry);
  for (const auto& [key, value] : environment) env.push_back(key + "=" + value);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  const std::string out = folder + "/" + label + ".out", err = folder + "/" + label + ".err";
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, out.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawn_file_actions_addopen(&files, 2, err.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const int error = posix_spawn(&pid_, argv[0].c_str(), &files, &attributes, Pointers(argv).data(),
                                Pointers(env).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) ADD_FAILURE() << argv[0] << " cannot be started: error " << error;
}

Process::~Process() {
  if (pid_ <= 0) return;
  kill(-pid_, SIGKILL);
  if (!exit_code_.has_value()) waitpid(pid_, nullptr, 0);
}

bool Process::Running() { return !Wait(absl::ZeroDuration()).has_value(); }

void Process::Signal(int signal) {
  if (!exit_code_.has_value()) kill(pid_, signal);
}

std::optional<int> Process::Wait(absl::Duration limit) {
  const absl::Time end = WallNow() + limit;
  while (!exit_code_.has_value()) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      exit_code_ = CodeOf(status);
    } else if (WallNow() >= end) {
      return std::nullopt;
    } else {
      Pause(absl::Milliseconds(5));
    }
  }
  return exit_code_;
}

Outcome RunCommand(const std::vector<std::string>& arguments, const std::string& folder,
                   absl::Duration limit) {
  const std::string label = "run-" + NewUuid();
  Outcome outcome;
  {
    Process process(arguments, folder, label);
    const auto code = process.Wait(limit);
    if (!code.has_value()) ADD_FAILURE() << arguments[0] << " " << arguments[1] << " took too long";
    outcome.exit_code = code.value_or(-1);
  }
  outcome.out = Read(folder + "/" + label + ".out");
  outcome.err = Read(folder + "/" + label + ".err");
  return outcome;
}

void Pause(absl::Duration duration) { absl::SleepFor(duration); }
absl::Time WallNow() { return absl::Now(); }

}  // namespace retort::e2e
