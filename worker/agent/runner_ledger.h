// Which runners an agent has started, on disk, so that its next start can end those that outlived
// it: a runner that is wedged does not see that its descriptors have closed.
#ifndef RETORT_WORKER_AGENT_RUNNER_LEDGER_H_
#define RETORT_WORKER_AGENT_RUNNER_LEDGER_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace retort {

// Threads: one.
class RunnerLedger {
 public:
  // `path` is the file; what it says is kept until EndLeftovers.
  explicit RunnerLedger(std::string path);

  // Kills what earlier starts left: the noted runners, if they are still the same processes (by
  // start time), and members of their process groups that carry their mark. Waits for them, at
  // most `patience`. Returns how many were killed.
  int EndLeftovers(absl::Duration patience);
  // Notes a runner that was started just now. An error is logged: the runner still ends with its
  // descriptors or its parent.
  void Add(pid_t pid);

  // `NAME=value` for the environment of runners; their children inherit it.
  const std::string& mark() const { return mark_; }

 private:
  struct Entry {
    pid_t pid = 0;
    std::string start;  // in clock ticks since boot
    std::string boot;   // which boot of the machine
    std::string mark;
  };
  std::vector<Entry> Read() const;

  const std::string path_;
  const std::string boot_;
  const std::string mark_;
  std::vector<Entry> entries_;  // of this start
};

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_RUNNER_LEDGER_H_
