// Workers on machines that are reached by ssh: which, and what is run there.
#ifndef RETORT_CLIENT_LAUNCH_HOSTS_H_
#define RETORT_CLIENT_LAUNCH_HOSTS_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "client/launch/slurm_script.h"

namespace retort {

struct Host {
  std::string name;  // as ssh takes it: HOST or USER@HOST
  int slots = 0;     // 0: the worker's choice
  std::string device = {};
  std::string folder = ".retort-worker";  // absolute, or in the home folder there
};

// A file of hosts, one a line: `HOST [slots=N] [device=D] [folder=F]`, `#` begins a comment.
// INVALID_ARGUMENT names the line and what would be right.
absl::StatusOr<std::vector<Host>> ParseHosts(std::string_view text);

// The command line for the shell of the host. It makes the folder, writes its standard input (the
// access file, if `worker.access` is not empty) there with mode 0600, and starts a worker that
// outlives the connection: as a unit of the user's systemd where that outlives logins, else in a
// session of its own. Prints `retort-launch: started …` or `retort-launch: running …`.
std::string StartCommand(const Host& host, const WorkerCommand& worker);

// The command line that sends the worker SIGTERM and waits at most `patience` until it has left.
// Prints `retort-launch: stopped`, `draining` or `nothing runs`.
std::string StopCommand(const Host& host, absl::Duration patience);

// What is behind `retort-launch: ` in the last such line; NOT_FOUND if there is none.
absl::StatusOr<std::string> LaunchAnswer(std::string_view output);

}  // namespace retort

#endif  // RETORT_CLIENT_LAUNCH_HOSTS_H_
