// One runner: a child process that speaks the protocol of retort/v1/runner.proto.
#ifndef RETORT_WORKER_AGENT_RUNNER_PROCESS_H_
#define RETORT_WORKER_AGENT_RUNNER_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/files.h"
#include "retort/v1/runner.pb.h"

namespace retort {

struct RunnerCommandLine {
  std::string path;
  // A program that becomes the runner after it has asked the kernel to kill it with its parent
  // (BecomeRunner); empty: the runner is started directly.
  std::string launcher = {};
  std::vector<std::string> arguments;
  // `NAME=value`, in place of or beside the agent's own environment.
  std::vector<std::string> environment;
};

// Bytes that were read from a pipe.
struct PipeBytes {
  std::string bytes;
  bool end = false;  // nobody can write to it any more
};

// The process, its process group and the agent's ends of its pipes. All pipes are non-blocking.
// Threads: one. Destroying it kills the group.
class RunnerProcess {
 public:
  // Starts it with posix_spawn: descriptor 3 gives commands, 4 takes events, 1 and 2 are one pipe
  // for its log, 0 is empty, and no other descriptor of the agent is open in it.
  static absl::StatusOr<std::unique_ptr<RunnerProcess>> Start(const RunnerCommandLine& command);
  ~RunnerProcess();
  RunnerProcess(const RunnerProcess&) = delete;
  RunnerProcess& operator=(const RunnerProcess&) = delete;

  pid_t pid() const { return pid_; }
  int command_fd() const { return commands_.get(); }
  int event_fd() const { return events_.get(); }
  int output_fd() const { return output_.get(); }

  // Queues a command and writes what the pipe takes.
  void Send(const v1::RunnerCommand& command);
  // Writes what is queued; true if something is left that the pipe did not take.
  bool Flush();
  // Asks it to leave.
  void CloseCommands() { commands_.Reset(); }

  // What has come since; at most `most` bytes.
  PipeBytes ReadEvents(size_t most);
  PipeBytes ReadOutput(size_t most);

  // SIGKILL to its whole group.
  void Kill();
  // How it ended, once it has: `exit status 3`, `killed by signal 11 (Segmentation fault)`. Does
  // not wait.
  std::optional<std::string> Reap();

 private:
  RunnerProcess() = default;

  pid_t pid_ = -1;
  std::optional<std::string> ended_;
  UniqueFd commands_;
  UniqueFd events_;
  UniqueFd output_;
  std::string unsent_;
};

// The main function of the launcher: `LAUNCHER __runner PID PROGRAM ARGUMENTS...` becomes the
// program, which is killed when the process PID, its parent, is gone, whatever it is busy with.
// Returns only if that fails, with an exit code.
int BecomeRunner(int argc, char** argv);
inline constexpr char kLauncherWord[] = "__runner";

// The line of a message in the runner protocol, with its newline.
absl::StatusOr<std::string> ToLine(const google::protobuf::Message& message);
// INVALID_ARGUMENT: not the JSON of an event, shows the line's beginning; or a point has a name or
// a step that the coordinator does not take.
absl::StatusOr<v1::RunnerEvent> ParseEvent(std::string_view line);

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_RUNNER_PROCESS_H_
