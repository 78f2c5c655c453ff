// A Slurm of its own for a test: munge, controller and one node, on this machine.
#ifndef RETORT_TESTS_LAUNCH_SLURM_H_
#define RETORT_TESTS_LAUNCH_SLURM_H_

#include <memory>
#include <string>
#include <vector>

#include "tests/e2e/process.h"

namespace retort::e2e {

class Slurm {
 public:
  // Why there can be none here; empty if there can.
  static std::string Missing();

  // Starts the daemons, with keys, sockets, ports and state of their own below `folder`, and waits
  // until the node takes jobs. Sets SLURM_CONF for this process and its children.
  explicit Slurm(const std::string& folder);
  // Ends all jobs first.
  ~Slurm();
  Slurm(const Slurm&) = delete;
  Slurm& operator=(const Slurm&) = delete;

  // Runs a program of Slurm, which must succeed; what it printed.
  std::string Run(std::vector<std::string> command);
  // The states of tasks that have not ended, of all jobs.
  std::vector<std::string> Alive();

 private:
  void WriteConfig();

  const std::string folder_;
  std::unique_ptr<Process> munged_;
  std::unique_ptr<Process> controller_;
  std::unique_ptr<Process> node_;
};

}  // namespace retort::e2e

#endif  // RETORT_TESTS_LAUNCH_SLURM_H_
