// Commands on their way from the thread that reads them to the thread that trains.
#ifndef RETORT_WORKER_RUNNER_INBOX_H_
#define RETORT_WORKER_RUNNER_INBOX_H_

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <variant>

#include "common/spec/expected.h"
#include "retort/v1/runner.pb.h"

namespace retort::runner {

// Attempts to run and lines that were not understood, in order, and whether the attempt in hand
// shall stop. Safe for one thread that puts and one that takes.
class Inbox {
 public:
  // A malformed line comes as its error.
  using Item = std::variant<v1::RunJob, Error>;

  // Takes in one line: a run or an error is queued; a stop is for the attempt in hand or the next
  // in the queue, and means nothing if there is neither.
  void Put(const std::string& line);

  // Waits for the next item, which is in hand until Done.
  Item Take();
  // The item in hand is dealt with.
  void Done();

  // True while the attempt in hand shall stop.
  const std::atomic<bool>& stop() const { return stop_; }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Item> queue_;  // guarded by mutex_
  bool busy_ = false;       // guarded by mutex_
  std::atomic<bool> stop_ = false;
};

}  // namespace retort::runner

#endif  // RETORT_WORKER_RUNNER_INBOX_H_
