// The runners as child processes.
#ifndef RETORT_WORKER_AGENT_PROCESS_POOL_H_
#define RETORT_WORKER_AGENT_PROCESS_POOL_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "worker/agent/event_loop.h"
#include "worker/agent/ports.h"
#include "worker/agent/runner_ledger.h"
#include "worker/agent/runner_process.h"

namespace retort {

// Threads: the loop's. Does not own the loop, which must outlive it.
class ProcessPool : public RunnerPool {
 public:
  // Called from the loop, never from inside a call of the pool.
  struct Answers {
    std::function<void(int slot, const v1::RunnerEvent&)> event;
    std::function<void(int slot, std::string_view)> output;
    std::function<void(int slot, const std::string& reason)> exit;
  };

  // `ledger`, if any, is told of every runner and outlives the pool.
  ProcessPool(EventLoop& loop, RunnerCommandLine command, int slots, Answers answers,
              RunnerLedger* ledger = nullptr);
  ~ProcessPool() override;

  void Run(int slot, const v1::RunJob& job) override;
  void Stop(int slot) override;
  void Kill(int slot) override;
  void SetReading(int slot, bool reading) override;

  // Runners that took the place of another one of their slot.
  int64_t restarts() const { return restarts_; }

  // Looks after processes that have closed their pipe or were killed. Call it after each Wait.
  void Reap(absl::Duration now);
  // How long the loop may wait before Reap must be called again.
  absl::Duration ReapWithin() const;
  // Kills all groups and waits for none.
  void KillAll();
  // Asks all runners to leave, waits for them, and kills those that are still there.
  void Shutdown(absl::Duration patience);

 private:
  struct Runner {
    std::unique_ptr<RunnerProcess> process;
    std::string events;  // bytes of events that were not dispatched yet
    bool reading = true;
    bool closed = false;    // its event pipe has ended
    bool killed = false;    // by us
    std::string complaint;  // why it was killed, if it broke the protocol
    std::optional<absl::Duration> closed_at;
  };

  void Watch(int slot);
  void FlushCommands(int slot);
  void OnEvents(int slot);
  void OnOutput(int slot);
  void Dispatch(int slot);
  void Break(int slot, const std::string& complaint);

  EventLoop& loop_;
  const RunnerCommandLine command_;
  const Answers answers_;
  RunnerLedger* const ledger_;
  std::vector<Runner> runners_;
  std::vector<bool> had_runner_;  // by slot
  int64_t restarts_ = 0;
};

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_PROCESS_POOL_H_
