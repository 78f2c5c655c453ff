#include "worker/distill/machine_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

namespace retort::distill {
namespace {

constexpr std::chrono::milliseconds kPoll{2};

int OpenLock(const std::string& folder, const char* name) {
  ::mkdir(folder.c_str(), 0700);
  return ::open((folder + "/" + name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

bool TryLock(int fd, int how) { return fd < 0 || ::flock(fd, how | LOCK_NB) == 0; }

void Unlock(int fd) {
  if (fd >= 0) ::flock(fd, LOCK_UN);
}

}  // namespace

std::string MachineLockFolder() { return "/tmp/retort-locks-" + std::to_string(::getuid()); }

TrainingShare::TrainingShare(const std::string& folder, const std::atomic<bool>& stop)
    : stop_(stop),
      training_fd_(OpenLock(folder, "training.lock")),
      measuring_fd_(OpenLock(folder, "measuring.lock")) {
  Acquire();
}

TrainingShare::~TrainingShare() {
  // Closing drops the locks.
  if (training_fd_ >= 0) ::close(training_fd_);
  if (measuring_fd_ >= 0) ::close(measuring_fd_);
}

void TrainingShare::Acquire() {
  while (!stop_) {
    if (TryLock(measuring_fd_, LOCK_SH)) {
      const bool shared = TryLock(training_fd_, LOCK_SH);
      Unlock(measuring_fd_);
      if (shared) return;
    }
    std::this_thread::sleep_for(kPoll);
  }
}

void TrainingShare::Release() { Unlock(training_fd_); }

void TrainingShare::Yield() {
  if (TryLock(measuring_fd_, LOCK_SH)) {
    Unlock(measuring_fd_);
    return;
  }
  Release();
  Acquire();
}

bool MeasureAlone(const std::string& folder, const std::atomic<bool>& stop,
                  std::chrono::milliseconds patience, const std::function<void()>& measure) {
  const int training_fd = OpenLock(folder, "training.lock");
  const int measuring_fd = OpenLock(folder, "measuring.lock");
  const auto deadline = std::chrono::steady_clock::now() + patience;
  const auto wait_for = [&](int fd) {
    while (!stop && std::chrono::steady_clock::now() < deadline) {
      if (TryLock(fd, LOCK_EX)) return true;
      std::this_thread::sleep_for(kPoll);
    }
    return false;
  };
  const bool alone = wait_for(measuring_fd) && wait_for(training_fd);
  if (alone) measure();
  if (training_fd >= 0) ::close(training_fd);
  if (measuring_fd >= 0) ::close(measuring_fd);
  return alone;
}

}  // namespace retort::distill
