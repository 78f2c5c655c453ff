#include "server/rpc/gate.h"

#include "absl/strings/str_cat.h"

namespace retort {

absl::StatusOr<Gate::Ticket> Gate::Enter(const std::string& caller) {
  std::lock_guard lock(mutex_);
  if (open_ >= limit_.all) {
    return absl::UnavailableError(
        absl::StrCat("overloaded: ", open_, " ", what_, " are open; ask again later"));
  }
  const auto known = of_caller_.find(caller);
  if (known != of_caller_.end() && known->second >= limit_.of_a_caller) {
    return absl::ResourceExhaustedError(absl::StrCat("this caller has ", known->second, " ", what_,
                                                     " open; must be at most ",
                                                     limit_.of_a_caller));
  }
  ++of_caller_[caller];
  ++open_;
  return Ticket(this, caller);
}

size_t Gate::open() const {
  std::lock_guard lock(mutex_);
  return open_;
}

void Gate::Leave(const std::string& caller) {
  std::lock_guard lock(mutex_);
  --open_;
  const auto known = of_caller_.find(caller);
  if (--known->second == 0) of_caller_.erase(known);
}

}  // namespace retort
