// What /proc says of other processes.
#ifndef RETORT_TESTS_E2E_PROCESSES_H_
#define RETORT_TESTS_E2E_PROCESSES_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace retort::e2e {

struct ProcessInfo {
  pid_t pid = 0;
  pid_t parent = 0;
  char state = '?';  // as in /proc/PID/stat; Z has ended
  std::string name;  // at most 15 characters
};

// All processes that have not ended.
std::vector<ProcessInfo> ListProcesses();
// The runners (`retort-fake-runner`) whose agent is one of `agents`.
std::vector<pid_t> RunnersOf(const std::vector<pid_t>& agents);
// Processes whose environment holds `NAME=value`, as those that a test has started and their
// children do.
std::vector<ProcessInfo> ProcessesMarked(const std::string& mark);

}  // namespace retort::e2e

#endif  // RETORT_TESTS_E2E_PROCESSES_H_
