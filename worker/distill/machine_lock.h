// Who may use the machine: many runners that train, or one that measures a latency with nothing
// else training.
//
// Two advisory locks (flock) in a folder that all runners of the machine share. Whoever trains
// holds `training.lock` shared. Whoever measures takes `measuring.lock`, and with it in hand waits
// for `training.lock` exclusively; those who train see between steps that it is taken, let go, and
// wait until it is free. So a measurement waits for one step at most. The kernel drops the locks of
// a process that dies.
#ifndef RETORT_WORKER_DISTILL_MACHINE_LOCK_H_
#define RETORT_WORKER_DISTILL_MACHINE_LOCK_H_

#include <atomic>
#include <chrono>
#include <functional>
#include <string>

namespace retort::distill {

// A folder of this user's for locks of the whole machine, whichever folders its workers use.
std::string MachineLockFolder();

// The right to train, held from construction to destruction unless released. For one thread. Where
// the folder cannot be used, nothing is locked.
class TrainingShare {
 public:
  // Waits while somebody measures, until `stop` is set.
  TrainingShare(const std::string& folder, const std::atomic<bool>& stop);
  ~TrainingShare();
  TrainingShare(const TrainingShare&) = delete;
  TrainingShare& operator=(const TrainingShare&) = delete;

  // Lets somebody who wants to measure do so. To be called between steps; two system calls.
  void Yield();
  void Release();
  void Acquire();

 private:
  const std::atomic<bool>& stop_;
  int training_fd_ = -1;
  int measuring_fd_ = -1;
};

// Calls `measure` with nothing else training on the machine. False, without the call, if that could
// not be had within `patience` or before `stop` was set. The caller must hold no TrainingShare.
bool MeasureAlone(const std::string& folder, const std::atomic<bool>& stop,
                  std::chrono::milliseconds patience, const std::function<void()>& measure);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_MACHINE_LOCK_H_
