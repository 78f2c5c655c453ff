#include "worker/agent/runner_process.h"

#include <fcntl.h>
#include <google/protobuf/util/json_util.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"

extern char** environ;

namespace retort {
namespace {

constexpr int kCommandFd = 3;  // in the runner
constexpr int kEventFd = 4;
// The agent's descriptors lie above those of the runner, so that placing one never overwrites
// another that is still to be placed.
constexpr int kFirstOwnFd = 10;
constexpr size_t kMostSeriesBytes = 64;

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

absl::StatusOr<UniqueFd> Lift(UniqueFd fd) {
  UniqueFd lifted(fcntl(fd.get(), F_DUPFD_CLOEXEC, kFirstOwnFd));
  if (!lifted.valid()) return ErrnoStatus(errno, "pipe", "cannot be duplicated");
  return lifted;
}

absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe", "cannot be made");
  Pipe pipe;
  UniqueFd read(fds[0]);
  UniqueFd write(fds[1]);
  RETORT_ASSIGN_OR_RETURN(pipe.read, Lift(std::move(read)));
  RETORT_ASSIGN_OR_RETURN(pipe.write, Lift(std::move(write)));
  return pipe;
}

absl::Status SetNonBlocking(int fd) {
  if (fcntl(fd, F_SETFL, O_NONBLOCK) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, "pipe", "cannot be made non-blocking");
}

PipeBytes ReadPipe(int fd, size_t most) {
  PipeBytes out;
  char buffer[16 << 10];
  while (out.bytes.size() < most) {
    const ssize_t n = read(fd, buffer, std::min(sizeof buffer, most - out.bytes.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (n <= 0) {
      out.end = true;
      break;
    }
    out.bytes.append(buffer, static_cast<size_t>(n));
  }
  return out;
}

// The agent's environment with some variables replaced.
std::vector<std::string> Environment(const std::vector<std::string>& changes) {
  std::vector<std::string> out = changes;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const std::string_view name = text.substr(0, text.find('='));
    const bool changed = std::any_of(changes.begin(), changes.end(), [&](const std::string& c) {
      return std::string_view(c).substr(0, c.find('=')) == name;
    });
    if (!changed) out.emplace_back(text);
  }
  return out;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& text : strings) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// What posix_spawn does in the child before it becomes the runner.
class SpawnPlan {
 public:
  SpawnPlan(int commands, int events, int output) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions_, output, 1);
    posix_spawn_file_actions_adddup2(&actions_, output, 2);
    posix_spawn_file_actions_adddup2(&actions_, commands, kCommandFd);
    posix_spawn_file_actions_adddup2(&actions_, events, kEventFd);
    posix_spawn_file_actions_addclosefrom_np(&actions_, kEventFd + 1);

    posix_spawnattr_init(&attributes_);
    posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes_, 0);
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes_, &none);
    sigset_t usual;  // what the agent ignores or blocks
    sigemptyset(&usual);
    for (const int signal : {SIGPIPE, SIGTERM, SIGINT}) sigaddset(&usual, signal);
    posix_spawnattr_setsigdefault(&attributes_, &usual);
  }
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  int Spawn(pid_t* pid, const std::string& path, char** argv, char** env) {
    return posix_spawn(pid, path.c_str(), &actions_, &attributes_, argv, env);
  }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

// What the coordinator takes as the name of a series; it would refuse a whole batch with another.
bool IsSeriesName(std::string_view name) {
  return !name.empty() && name.size() <= kMostSeriesBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
         });
}

std::string Describe(int wait_status) {
  if (!WIFSIGNALED(wait_status)) {
    return absl::StrCat("exit status ", WEXITSTATUS(wait_status));
  }
  const int signal = WTERMSIG(wait_status);
  return absl::StrCat("killed by signal ", signal, " (", strsignal(signal), ")");
}

}  // namespace

absl::StatusOr<std::unique_ptr<RunnerProcess>> RunnerProcess::Start(
    const RunnerCommandLine& command) {
  RETORT_ASSIGN_OR_RETURN(Pipe commands, MakePipe());
  RETORT_ASSIGN_OR_RETURN(Pipe events, MakePipe());
  RETORT_ASSIGN_OR_RETURN(Pipe output, MakePipe());
  RETORT_RETURN_IF_ERROR(SetNonBlocking(commands.write.get()));
  RETORT_RETURN_IF_ERROR(SetNonBlocking(events.read.get()));
  RETORT_RETURN_IF_ERROR(SetNonBlocking(output.read.get()));

  std::vector<std::string> arguments = {command.path};
  if (!command.launcher.empty()) {
    arguments = {command.launcher, kLauncherWord, absl::StrCat(getpid()), command.path};
  }
  const std::string program = arguments[0];
  arguments.insert(arguments.end(), command.arguments.begin(), command.arguments.end());
  std::vector<std::string> environment = Environment(command.environment);
  std::unique_ptr<RunnerProcess> process(new RunnerProcess);
  SpawnPlan plan(commands.read.get(), events.write.get(), output.write.get());
  const int error =
      plan.Spawn(&process->pid_, program, Pointers(arguments).data(), Pointers(environment).data());
  if (error != 0) {
    process->pid_ = -1;
    return ErrnoStatus(error, program, "cannot be started");
  }
  process->commands_ = std::move(commands.write);
  process->events_ = std::move(events.read);
  process->output_ = std::move(output.read);
  return process;
}

RunnerProcess::~RunnerProcess() {
  if (pid_ < 0 || ended_) return;
  Kill();
  // A killed process goes quickly, unless a device holds it in the kernel; then it is left behind.
  for (int i = 0; i < 200 && !Reap(); ++i) usleep(5000);
}

void RunnerProcess::Send(const v1::RunnerCommand& command) {
  const auto line = ToLine(command);
  if (!line.ok()) {
    spdlog::error("a command cannot be written: {}", MessageOf(line.status()));
    return;
  }
  unsent_ += *line;
  Flush();
}

bool RunnerProcess::Flush() {
  while (!unsent_.empty() && commands_.valid()) {
    const ssize_t n = write(commands_.get(), unsent_.data(), unsent_.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
    if (n < 0) unsent_.clear();  // it is gone; Reap will tell
    if (n > 0) unsent_.erase(0, static_cast<size_t>(n));
  }
  return false;
}

PipeBytes RunnerProcess::ReadEvents(size_t most) { return ReadPipe(events_.get(), most); }
PipeBytes RunnerProcess::ReadOutput(size_t most) { return ReadPipe(output_.get(), most); }

void RunnerProcess::Kill() {
  if (pid_ > 0 && !ended_) kill(-pid_, SIGKILL);
}

std::optional<std::string> RunnerProcess::Reap() {
  if (ended_) return ended_;
  int status = 0;
  const pid_t got = waitpid(pid_, &status, WNOHANG);
  if (got == 0 || (got < 0 && errno == EINTR)) return std::nullopt;
  // Its children, if it left any, go with it. The group's number cannot have been taken by another
  // while a member of it lives; without members this does nothing.
  kill(-pid_, SIGKILL);
  ended_ = got < 0 ? "it vanished" : Describe(status);
  return ended_;
}

int BecomeRunner(int argc, char** argv) {
  if (argc < 4) return 2;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The agent may have died before that call.
  if (std::to_string(getppid()) != argv[2]) return 1;
  // A batch system sends SIGTERM to every process of a job. The agent then tells its runners to
  // write a checkpoint and to stop; dying of the signal would lose that. Ignored signals stay so in
  // the program that this becomes.
  for (const int ignored : {SIGTERM, SIGINT, SIGHUP}) signal(ignored, SIG_IGN);
  execv(argv[3], argv + 3);
  std::fprintf(stderr, "%s: cannot be started: %s\n", argv[3], std::strerror(errno));
  return 127;
}

absl::StatusOr<std::string> ToLine(const google::protobuf::Message& message) {
  std::string line;
  const auto status = google::protobuf::util::MessageToJsonString(message, &line);
  if (!status.ok()) return absl::InternalError(std::string(status.message()));
  return line + "\n";
}

absl::StatusOr<v1::RunnerEvent> ParseEvent(std::string_view line) {
  v1::RunnerEvent event;
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;  // a newer runner may say more
  const auto status =
      google::protobuf::util::JsonStringToMessage({line.data(), line.size()}, &event, options);
  for (const v1::MetricPoint& point : event.progress().points()) {
    if (point.step() < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("progress.points.step: ", point.step(), "; must not be negative"));
    }
    if (IsSeriesName(point.series())) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("progress.points.series: '", absl::CEscape(point.series()), "'; must be 1 to ",
                     kMostSeriesBytes, " characters of [a-z0-9_.]"));
  }
  if (status.ok() && event.event_case() != v1::RunnerEvent::EVENT_NOT_SET) return event;
  const std::string_view begin = line.substr(0, 200);
  return absl::InvalidArgumentError(
      absl::StrCat("'", absl::CEscape({begin.data(), begin.size()}),
                   "' is not an event of the runner protocol: ",
                   status.ok() ? "no event set" : std::string(status.message())));
}

}  // namespace retort
