#include "tests/sim/sim_store.h"

#include <utility>

namespace retort::sim {

void SimStore::Heal() {
  full_ = broken_ = false;
  next_.reset();
}

void SimStore::Write(const std::vector<const core::Record*>& records) {
  inner_->Commit(records);
  oracle_.OnCommit(records, inner_->reader());
}

store::CommitResult SimStore::Commit(const std::vector<const core::Record*>& records) {
  const std::optional<Fault> fault = std::exchange(next_, std::nullopt);
  if (fault) world_.Count(*fault);
  if (fault == Fault::kCrashBeforeCommit || fault == Fault::kCrashAfterCommit) {
    if (fault == Fault::kCrashAfterCommit) Write(records);
    crashed_ = true;
    return store::CommitResult::Done();  // nobody lives to see it
  }
  if (fault == Fault::kUnknownWritten || fault == Fault::kUnknownNotWritten) {
    if (fault == Fault::kUnknownWritten) Write(records);
    return store::CommitResult::Unknown(absl::UnavailableError("I/O error"));
  }
  if (full_) {
    const bool busy = world_.random().Chance(0.2);
    return store::CommitResult::NotDone(busy ? absl::UnavailableError("busy")
                                             : absl::ResourceExhaustedError("disk full"));
  }
  Write(records);
  return store::CommitResult::Done();
}

absl::Status SimStore::Load(const std::function<void(const core::Record&)>& sink) {
  if (broken_) return absl::UnavailableError("the disk cannot be read");
  return inner_->Load(sink);
}

absl::Status SimStore::Reopen() {
  return broken_ ? absl::UnavailableError("the disk cannot be opened") : absl::OkStatus();
}

}  // namespace retort::sim
