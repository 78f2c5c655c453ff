#include "common/program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/clock.h"
#include "common/files.h"
#include "common/status.h"

extern char** environ;

namespace retort {
namespace {

constexpr size_t kMostOutput = 16 << 20;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus(errno, "a pipe", "cannot be made");
  return Pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& text : strings) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> EnvironmentWithout(const std::string& prefix) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (prefix.empty() || !absl::StartsWith(*entry, prefix)) out.emplace_back(*entry);
  }
  return out;
}

// A child and the pipes to it. Killed with its group, and collected, when destroyed.
class Child {
 public:
  static absl::StatusOr<std::unique_ptr<Child>> Start(const ProgramRun& run) {
    std::unique_ptr<Child> child(new Child);
    RETORT_ASSIGN_OR_RETURN(Pipe in, MakePipe());
    RETORT_ASSIGN_OR_RETURN(Pipe out, MakePipe());
    RETORT_ASSIGN_OR_RETURN(Pipe err, MakePipe());
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in.read.get(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out.write.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err.write.get(), STDERR_FILENO);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup(&attributes, 0);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    std::vector<std::string> words = run.command;
    std::vector<std::string> variables = EnvironmentWithout(run.without_variables);
    const int error = posix_spawnp(&child->pid_, words[0].c_str(), &actions, &attributes,
                                   Pointers(words).data(), Pointers(variables).data());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
      child->pid_ = -1;
      return ErrnoStatus(error, run.command[0], "cannot be started");
    }
    child->in_ = std::move(in.write);
    child->out_ = std::move(out.read);
    child->err_ = std::move(err.read);
    for (const int fd : {child->in_.get(), child->out_.get(), child->err_.get()}) {
      fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    }
    return child;
  }
  ~Child() {
    if (pid_ <= 0) return;
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }

  // Until all that it prints was read and it has ended.
  absl::StatusOr<ProgramAnswer> Talk(const ProgramRun& run) {
    const absl::Duration end = BootTime() + run.limit;
    ProgramAnswer answer;
    size_t written = 0;
    while (out_.valid() || err_.valid()) {
      const absl::Duration left = end - BootTime();
      if (left <= absl::ZeroDuration()) return TooLong(run);
      if (written == run.input.size()) in_.Reset();
      pollfd fds[] = {{out_.get(), POLLIN, 0}, {err_.get(), POLLIN, 0}, {in_.get(), POLLOUT, 0}};
      poll(fds, 3, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
      if (fds[0].revents != 0) Read(out_, answer.out);
      if (fds[1].revents != 0) Read(err_, answer.err);
      if (fds[2].revents != 0) Write(run.input, written);
      if (answer.out.size() + answer.err.size() > kMostOutput) {
        return absl::ResourceExhaustedError(absl::StrCat(run.command[0], " prints without end"));
      }
    }
    int status = 0;
    while (waitpid(pid_, &status, WNOHANG) == 0) {
      if (BootTime() >= end) return TooLong(run);
      absl::SleepFor(absl::Milliseconds(5));
    }
    pid_ = -1;
    answer.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return answer;
  }

 private:
  Child() = default;

  static absl::Duration BootTime() { return SystemClock().Read().monotonic; }
  static absl::Status TooLong(const ProgramRun& run) {
    return absl::DeadlineExceededError(
        absl::StrCat(run.command[0], " has not answered within ", absl::FormatDuration(run.limit)));
  }
  static void Read(UniqueFd& fd, std::string& into) {
    char buffer[16 << 10];
    const ssize_t n = read(fd.get(), buffer, sizeof buffer);
    if (n > 0) into.append(buffer, static_cast<size_t>(n));
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) fd.Reset();
  }
  // One that does not read its input has no use for it.
  void Write(const std::string& input, size_t& written) {
    const ssize_t n = write(in_.get(), input.data() + written, input.size() - written);
    if (n > 0) written += static_cast<size_t>(n);
    if (n < 0 && errno != EAGAIN && errno != EINTR) written = input.size();
  }

  pid_t pid_ = -1;
  UniqueFd in_, out_, err_;
};

// Without SIGPIPE for this thread while it lives: a child may leave before it has read everything.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before_);
  }
  ~NoSigpipe() {
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    const timespec now{};
    // One that came is taken, or it would come when it is let through again.
    if (!sigismember(&before_, SIGPIPE)) sigtimedwait(&pipe, nullptr, &now);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sigset_t before_;
};

// The last two lines that are not empty: the last alone is often no more than advice.
std::string LastLines(const std::string& text) {
  std::vector<absl::string_view> lines = absl::StrSplit(text, '\n', absl::SkipWhitespace());
  if (lines.size() > 2) lines.erase(lines.begin(), lines.end() - 2);
  for (absl::string_view& line : lines) line = absl::StripAsciiWhitespace(line);
  return absl::StrJoin(lines, "; ");
}

}  // namespace

absl::StatusOr<ProgramAnswer> RunProgram(const ProgramRun& run) {
  const NoSigpipe guard;
  RETORT_ASSIGN_OR_RETURN(const std::unique_ptr<Child> child, Child::Start(run));
  return child->Talk(run);
}

absl::StatusOr<std::string> OutputOf(const ProgramRun& run) {
  RETORT_ASSIGN_OR_RETURN(ProgramAnswer answer, RunProgram(run));
  if (answer.exit_code == 0) return std::move(answer.out);
  const std::string said = LastLines(answer.err.empty() ? answer.out : answer.err);
  return absl::FailedPreconditionError(absl::StrCat(
      run.command[0], " failed with exit code ", answer.exit_code, said.empty() ? "" : ": ", said));
}

}  // namespace retort
