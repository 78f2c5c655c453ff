#include "worker/runner/inbox.h"

#include <utility>

#include "worker/runner/protocol.h"

namespace retort::runner {

void Inbox::Put(const std::string& line) {
  auto command = ParseCommand(line);
  const std::lock_guard lock(mutex_);
  if (command.ok() && command->has_stop()) {
    if (busy_ || !queue_.empty()) stop_ = true;
    return;
  }
  if (command.ok()) {
    queue_.emplace_back(std::move(*command->mutable_run()));
  } else {
    queue_.emplace_back(Error{command.error()});
  }
  arrived_.notify_one();
}

Inbox::Item Inbox::Take() {
  std::unique_lock lock(mutex_);
  arrived_.wait(lock, [&] { return !queue_.empty(); });
  Item item = std::move(queue_.front());
  queue_.pop_front();
  busy_ = true;
  return item;
}

void Inbox::Done() {
  const std::lock_guard lock(mutex_);
  busy_ = false;
  stop_ = false;
}

}  // namespace retort::runner
