// Real processes in tests: started, waited for with a limit, killed, and never left behind.
#ifndef RETORT_TESTS_E2E_PROCESS_H_
#define RETORT_TESTS_E2E_PROCESS_H_

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace retort::e2e {

// How a process ended, and what it said.
struct Outcome {
  int exit_code = -1;  // 128 + signal if it was killed
  std::string out;
  std::string err;
};

// One process in its own process group. Its output goes to files in a folder. Killed with its group
// when destroyed.
class Process {
 public:
  // Starts build/<preset>/bin/`arguments[0]`, or a program of the system by its whole path. Output:
  // FOLDER/LABEL.out and FOLDER/LABEL.err, appended to.
  Process(const std::vector<std::string>& arguments, const std::string& folder,
          const std::string& label, const std::map<std::string, std::string>& environment = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  bool Running();
  // To this process alone.
  void Signal(int signal);
  // The exit code (128 + signal if killed), or nothing when the limit passes.
  std::optional<int> Wait(absl::Duration limit);

 private:
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

// Runs one command to its end. Fails the test if it takes longer than `limit`.
Outcome RunCommand(const std::vector<std::string>& arguments, const std::string& folder,
                   absl::Duration limit = absl::Seconds(60));

// Waits until `condition()` is true; false when the limit passes.
template <typename Condition>
bool Eventually(absl::Duration limit, Condition condition);

void Pause(absl::Duration duration);
absl::Time WallNow();

template <typename Condition>
bool Eventually(absl::Duration limit, Condition condition) {
  const absl::Time end = WallNow() + limit;
  while (!condition()) {
    if (WallNow() > end) return false;
    Pause(absl::Milliseconds(50));
  }
  return true;
}

}  // namespace retort::e2e

#endif  // RETORT_TESTS_E2E_PROCESS_H_
