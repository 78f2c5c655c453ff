// One thread that waits for descriptors and for tasks of other threads.
#ifndef RETORT_WORKER_AGENT_EVENT_LOOP_H_
#define RETORT_WORKER_AGENT_EVENT_LOOP_H_

#include <deque>
#include <functional>
#include <map>
#include <mutex>

#include "absl/time/time.h"
#include "common/files.h"

namespace retort {

class EventLoop {
 public:
  // Dies if the machine has no descriptors left.
  EventLoop();

  // Runs the task in a later Wait. Any thread.
  void Post(std::function<void()> task);

  // ---- The rest: the loop's own thread.

  // Calls `ready` in Wait while the descriptor can be read (or written). Replaces an earlier Watch
  // of the same descriptor. Handlers may watch and unwatch.
  void WatchRead(int fd, std::function<void()> ready);
  void WatchWrite(int fd, std::function<void()> ready);
  void Unwatch(int fd);
  // Waits until something happens, at most `timeout`, and runs what it was.
  void Wait(absl::Duration timeout);

 private:
  struct Watch {
    short events = 0;
    std::function<void()> ready;
  };

  std::map<int, Watch> watches_;
  UniqueFd wake_;
  std::mutex mutex_;
  // Guarded by mutex_.
  std::deque<std::function<void()>> tasks_;
};

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_EVENT_LOOP_H_
