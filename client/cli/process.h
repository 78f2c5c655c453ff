// Child processes that do not outlive their parent.
#ifndef RETORT_CLIENT_CLI_PROCESS_H_
#define RETORT_CLIENT_CLI_PROCESS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace retort {

// A program that runs beside this one. Ends with it: when it is destroyed, by SIGTERM and then
// SIGKILL; when this process dies in any way, by the kernel's SIGTERM.
class ChildProcess {
 public:
  // Starts `args[0]` with its arguments; its output is appended to the file at `log_path`. It has a
  // process group of its own, so that Ctrl-C reaches this process alone, which then ends it in
  // order. Call on the main thread: the kernel ties the child to the thread that started it.
  static absl::StatusOr<ChildProcess> Start(const std::vector<std::string>& args,
                                            const std::string& log_path);
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;

  pid_t pid() const { return pid_; }
  // How it ended, in words such as `exit code 2` or `signal 9`; nothing while it runs.
  std::optional<std::string> Ended();
  void Signal(int signal);
  // Waits until it has ended, and kills it after `patience`.
  void WaitOrKill(absl::Duration patience);

 private:
  explicit ChildProcess(pid_t pid) : pid_(pid) {}

  pid_t pid_ = -1;  // -1 once it was waited for, or moved from
  std::string ended_;
};

// `retort __child PARENT_PID PROGRAM ARGS…`, which ChildProcess::Start runs: ties the process to
// its parent, closes what it inherited and becomes the program. Does not return if that succeeds.
int BecomeChild(int argc, char** argv);

// A program of this project: beside this executable, else on the PATH. FAILED_PRECONDITION if it is
// nowhere.
absl::StatusOr<std::string> FindProgram(const std::string& name);

// The last lines of a file, for errors; empty if it cannot be read.
std::string LastLines(const std::string& path, int lines);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_PROCESS_H_
