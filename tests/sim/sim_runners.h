// The virtual runners of one worker: they train in virtual time, fail, die, and may be deaf to
// stop.
#ifndef RETORT_TESTS_SIM_SIM_RUNNERS_H_
#define RETORT_TESTS_SIM_SIM_RUNNERS_H_

#include <functional>
#include <string>
#include <vector>

#include "retort/v1/runner.pb.h"
#include "tests/sim/oracle.h"
#include "tests/sim/settings.h"
#include "tests/sim/world.h"
#include "worker/agent/ports.h"

namespace retort::sim {

class SimRunners : public RunnerPool {
 public:
  struct Answers {
    std::function<void(int slot, const v1::RunnerEvent&)> event;
    std::function<void(int slot, std::string_view bytes)> output;
    std::function<void(int slot, const std::string& reason)> exit;
    std::function<bool()> leaving;  // then runners are stopped with good reason
  };
  SimRunners(Node& node, const Settings& settings, Oracle& oracle, int slots, Answers answers);

  // Faults are over: attempts that begin from now on succeed, unless their job is poisoned.
  void Heal() { faulty_ = false; }
  // All die with their agent.
  void KillAll();
  int busy() const;

  void Run(int slot, const v1::RunJob& job) override;
  void Stop(int slot) override;
  void Kill(int slot) override;
  void SetReading(int slot, bool reading) override;

 private:
  struct Slot {
    uint64_t life = 0;  // grows with every start of a process
    uint64_t run = 0;   // grows with every job
    bool warm = false;
    bool busy = false;
    bool reading = true;
    bool waits = false;  // for the agent to read
    bool stopping = false;
    bool deaf = false;
    v1::RunJob job;
    uint64_t number = 0;
    int32_t first_epoch = 0;  // 0, or where a checkpoint ended
    int32_t epoch = 0;
    bool started = false;
    int32_t ends_at = -1;  // epoch before which the attempt fails
    v1::FailureCause cause = v1::FAILURE_CAUSE_UNSPECIFIED;
  };

  void DrawFate(Slot& slot);
  void Advance(int index, uint64_t run);
  void Next(int index);
  void WriteCheckpoint(int index);
  void Say(int index, const v1::RunnerEvent& event);
  void EndWith(int index, v1::FailureCause cause, const std::string& message);
  void Exit(int index, const std::string& reason);

  Node& node_;
  const Settings& settings_;
  Oracle& oracle_;
  const Answers answers_;
  std::vector<Slot> slots_;
  bool faulty_ = true;
};

}  // namespace retort::sim

#endif  // RETORT_TESTS_SIM_SIM_RUNNERS_H_
