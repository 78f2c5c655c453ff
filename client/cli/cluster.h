// A coordinator and workers as child processes, for `retort local`.
#ifndef RETORT_CLIENT_CLI_CLUSTER_H_
#define RETORT_CLIENT_CLI_CLUSTER_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/process.h"
#include "common/access/access.h"

namespace retort {

struct ClusterOptions {
  std::string folder;  // state of all; the same folder goes on where it was left
  int workers = 1;
  int slots = 1;               // of each worker
  int threads = 1;             // of each slot
  std::string device = "cpu";  // of the slots, as --device of retort-worker
  bool allow_torchscript = false;
};

// Starts the programs, restarts what dies, ends all of them with itself. Threads: the main one.
class Cluster {
 public:
  // Starts a coordinator on a free port of this machine and waits for its address. `keep_waiting`
  // returning false ends the wait with CANCELLED. Errors carry the last lines of its log.
  static absl::StatusOr<Cluster> Start(const ClusterOptions& options,
                                       const std::function<bool()>& keep_waiting);
  Cluster(Cluster&&) = default;
  Cluster& operator=(Cluster&&) = default;
  // Ends the workers first, so that they can hand back what they have.
  ~Cluster() { Stop(); }

  const std::string& address() const { return address_; }
  // How its clients reach it.
  const AccessSource& access() const { return access_; }
  absl::Status StartWorkers();
  // Starts again what has died, with `say` told of it. UNAVAILABLE once a program has died five
  // times within a minute.
  absl::Status Tend(absl::Time now, const std::function<void(const std::string&)>& say);
  void Stop();

 private:
  struct Member {
    std::string what;  // `coordinator`, `worker 0`
    std::vector<std::string> args;
    std::string log;
    std::optional<ChildProcess> process;
    std::vector<absl::Time> deaths;
  };

  explicit Cluster(ClusterOptions options) : options_(std::move(options)) {}
  absl::Status Launch(Member& member);
  absl::Status TendOne(Member& member, absl::Time now,
                       const std::function<void(const std::string&)>& say);

  ClusterOptions options_;
  std::string address_;
  AccessSource access_;
  Member server_;
  std::vector<Member> workers_;
};

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_CLUSTER_H_
