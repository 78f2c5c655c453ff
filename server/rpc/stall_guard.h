// Ends calls whose other side neither reads nor sends.
#ifndef RETORT_SERVER_RPC_STALL_GUARD_H_
#define RETORT_SERVER_RPC_STALL_GUARD_H_

#include <grpcpp/alarm.h>
#include <grpcpp/server_context.h>

#include <memory>
#include <mutex>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace retort {

// Watches one operation of a call at a time. Begin and End come in turns; destroyed before the
// call's context, that is at the latest in OnDone.
class StallGuard {
 public:
  StallGuard(grpc::CallbackServerContext* context, absl::Duration patience)
      : call_(std::make_shared<Call>()), patience_(patience) {
    call_->context = context;
  }
  ~StallGuard() {
    std::lock_guard lock(call_->mutex);
    call_->context = nullptr;
  }

  // An operation starts; the call is cancelled unless End comes within the patience.
  void Begin() {
    int64_t turn = 0;
    {
      std::lock_guard lock(call_->mutex);
      turn = ++call_->turn;
    }
    alarm_ = std::make_unique<grpc::Alarm>();
    alarm_->Set(absl::ToChronoTime(absl::Now() + patience_), [call = call_, turn](bool) {
      std::lock_guard lock(call->mutex);
      if (call->context != nullptr && call->turn == turn) call->context->TryCancel();
    });
  }
  void End() {
    {
      std::lock_guard lock(call_->mutex);
      ++call_->turn;
    }
    if (alarm_ != nullptr) alarm_->Cancel();
  }

 private:
  // Outlives the guard where an alarm is just going off.
  struct Call {
    std::mutex mutex;
    // Guarded by mutex.
    grpc::CallbackServerContext* context = nullptr;
    int64_t turn = 0;  // odd while an operation is under way
  };
  const std::shared_ptr<Call> call_;
  const absl::Duration patience_;
  std::unique_ptr<grpc::Alarm> alarm_;
};

}  // namespace retort

#endif  // RETORT_SERVER_RPC_STALL_GUARD_H_
