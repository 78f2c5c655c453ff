#include "server/rpc/lane.h"

#include <sys/resource.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"

namespace retort {

Lane::Lane(std::string what, const LaneLimit& limit) : what_(std::move(what)), limit_(limit) {
  for (int i = 0; i < limit_.threads; ++i) threads_.emplace_back([this] { Run(); });
}

Lane::~Lane() {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

absl::Status Lane::Post(const std::string& caller, std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    if (count_ >= limit_.waiting.all) {
      return absl::UnavailableError(
          absl::StrCat("overloaded: ", count_, " ", what_, " wait; ask again later"));
    }
    const auto own = waiting_.find(caller);
    if (own != waiting_.end() && own->second.size() >= limit_.waiting.of_a_caller) {
      return absl::ResourceExhaustedError(absl::StrCat("this caller has ", own->second.size(), " ",
                                                       what_, " that wait; must be at most ",
                                                       limit_.waiting.of_a_caller));
    }
    Add(caller, std::move(work));
  }
  wake_.notify_one();
  return absl::OkStatus();
}

void Lane::Continue(const std::string& caller, std::function<void()> work) {
  {
    std::lock_guard lock(mutex_);
    Add(caller, std::move(work));
  }
  wake_.notify_one();
}

void Lane::Add(const std::string& caller, std::function<void()> work) {
  Queue& own = waiting_[caller];
  if (own.empty()) turns_.push_back(caller);
  own.push_back(std::move(work));
  ++count_;
}

void Lane::Run() {
  // On Linux this is of the thread. It only stands back, which nobody is refused.
  if (limit_.nice > 0) setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), limit_.nice);
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return ending_ || count_ > 0; });
    if (count_ == 0) return;
    std::string caller = std::move(turns_.front());
    turns_.pop_front();
    const auto own = waiting_.find(caller);
    std::function<void()> work = std::move(own->second.front());
    own->second.pop_front();
    --count_;
    if (own->second.empty()) {
      waiting_.erase(own);
    } else {
      turns_.push_back(std::move(caller));
    }
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
  }
}

}  // namespace retort
