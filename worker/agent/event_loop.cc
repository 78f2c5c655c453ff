#include "worker/agent/event_loop.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

#include "common/log.h"

namespace retort {

EventLoop::EventLoop() : wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_.valid()) {
    spdlog::critical("no descriptor for the event loop: {}", std::strerror(errno));
    std::abort();
  }
}

void EventLoop::Post(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  const uint64_t one = 1;
  // It can only fail if the counter is full, and then the loop wakes anyway.
  if (write(wake_.get(), &one, sizeof one) < 0) return;
}

void EventLoop::WatchRead(int fd, std::function<void()> ready) {
  watches_[fd] = {POLLIN, std::move(ready)};
}

void EventLoop::WatchWrite(int fd, std::function<void()> ready) {
  watches_[fd] = {POLLOUT, std::move(ready)};
}

void EventLoop::Unwatch(int fd) { watches_.erase(fd); }

void EventLoop::Wait(absl::Duration timeout) {
  std::vector<pollfd> fds = {{wake_.get(), POLLIN, 0}};
  for (const auto& [fd, watch] : watches_) fds.push_back({fd, watch.events, 0});
  timeout = std::clamp(timeout, absl::ZeroDuration(), absl::Hours(1));
  // Rounded up: waking too early would spin.
  const auto timeout_ms =
      static_cast<int>(absl::ToInt64Milliseconds(timeout + absl::Nanoseconds(999'999)));
  if (poll(fds.data(), fds.size(), timeout_ms) > 0) {
    uint64_t count = 0;
    if (fds[0].revents != 0 && read(wake_.get(), &count, sizeof count) < 0) return;
    for (size_t i = 1; i < fds.size(); ++i) {
      const auto watch = watches_.find(fds[i].fd);
      if (fds[i].revents == 0 || watch == watches_.end()) continue;
      const std::function<void()> ready = watch->second.ready;  // it may unwatch itself
      ready();
    }
  }
  std::deque<std::function<void()>> tasks;
  {
    std::lock_guard lock(mutex_);
    tasks.swap(tasks_);
  }
  for (auto& task : tasks) task();
}

}  // namespace retort
