// One attempt at a job, from its inputs as files to its result. What the runner calls; knows
// nothing of LibTorch's types.
#ifndef RETORT_WORKER_DISTILL_ATTEMPT_H_
#define RETORT_WORKER_DISTILL_ATTEMPT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "retort/v1/runner.pb.h"

namespace retort::distill {

// How an attempt speaks with the rest. Calls come from the thread that runs it.
struct AttemptHooks {
  const std::atomic<bool>& stop;  // set by another thread: leave soon, with PREEMPTED
  std::string lock_folder;        // see machine_lock.h
  std::function<int64_t()> unix_ms{};
  std::function<void()> on_started{};
  std::function<void(const v1::RunnerProgress&)> on_progress{};  // after each epoch; may block
  std::function<void(const v1::RunnerCheckpoint&)> on_checkpoint{};
  std::function<void(const std::string&)> log{};  // a line for people, without its end
};

// Runs attempts one after the other and keeps datasets and teachers' outputs in memory between
// them.
class AttemptRunner {
 public:
  AttemptRunner();
  ~AttemptRunner();

  // Trains, evaluates and writes the weights into the attempt's folder. Throws nothing: whatever
  // goes wrong, LibTorch's exceptions included, comes back as a failure with its cause.
  std::variant<v1::RunnerFinished, v1::Failure> Run(const v1::RunJob& job,
                                                    const AttemptHooks& hooks);

 private:
  class Memory;
  std::unique_ptr<Memory> memory_;
};

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_ATTEMPT_H_
