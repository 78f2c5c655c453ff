// Counts what is open at once, in all and of each caller.
#ifndef RETORT_SERVER_RPC_GATE_H_
#define RETORT_SERVER_RPC_GATE_H_

#include <mutex>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "server/rpc/limits.h"

namespace retort {

// Threads: any. Outlives its tickets.
class Gate {
 public:
  // The right to be open; gives itself back.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept
        : gate_(std::exchange(other.gate_, nullptr)), caller_(std::move(other.caller_)) {}
    Ticket& operator=(Ticket&& other) noexcept {
      std::swap(gate_, other.gate_);
      std::swap(caller_, other.caller_);
      return *this;
    }
    ~Ticket() {
      if (gate_ != nullptr) gate_->Leave(caller_);
    }

   private:
    friend class Gate;
    Ticket(Gate* gate, std::string caller) : gate_(gate), caller_(std::move(caller)) {}

    Gate* gate_ = nullptr;
    std::string caller_;
  };

  // `what` stands in refusals: `uploads`.
  Gate(std::string what, const OpenLimit& limit) : what_(std::move(what)), limit_(limit) {}

  // UNAVAILABLE: as many are open as can be served. RESOURCE_EXHAUSTED: this caller has as many
  // open as one caller may.
  absl::StatusOr<Ticket> Enter(const std::string& caller);
  size_t open() const;

 private:
  void Leave(const std::string& caller);

  const std::string what_;
  const OpenLimit limit_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  size_t open_ = 0;
  absl::flat_hash_map<std::string, size_t> of_caller_;  // never 0
};

}  // namespace retort

#endif  // RETORT_SERVER_RPC_GATE_H_
