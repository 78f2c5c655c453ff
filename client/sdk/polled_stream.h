// A server stream that is read without blocking for long, so that the reader can look at a clock,
// at Ctrl-C or at a child process in between.
#ifndef RETORT_CLIENT_SDK_POLLED_STREAM_H_
#define RETORT_CLIENT_SDK_POLLED_STREAM_H_

#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/support/async_stream.h>

#include <memory>
#include <utility>

#include "absl/time/time.h"

namespace retort {

enum class StreamEvent { kMessage, kNothing, kEnd };

// Threads: one.
template <typename Response>
class PolledStream {
 public:
  // `open` starts the call: (context, queue) -> reader that has not been started. The call ends
  // with DEADLINE_EXCEEDED after `deadline`.
  template <typename Open>
  PolledStream(absl::Duration deadline, const Open& open) {
    if (deadline != absl::InfiniteDuration()) {
      context_.set_deadline(absl::ToChronoTime(absl::Now() + deadline));
    }
    reader_ = open(&context_, &queue_);
    reader_->StartCall(this);
  }
  ~PolledStream() {
    context_.TryCancel();
    if (!ended_ && !finishing_ && !pending_) reader_->Finish(&status_, this);
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) {
    }
  }
  PolledStream(const PolledStream&) = delete;
  PolledStream& operator=(const PolledStream&) = delete;

  // Waits at most `patience` for the next message.
  StreamEvent Next(absl::Duration patience, Response& out) {
    const auto until = absl::ToChronoTime(absl::Now() + patience);
    while (!ended_) {
      if (!pending_) {
        reader_->Read(&message_, this);
        reading_ = pending_ = true;
      }
      void* tag = nullptr;
      bool ok = false;
      if (queue_.AsyncNext(&tag, &ok, until) != grpc::CompletionQueue::GOT_EVENT) {
        return StreamEvent::kNothing;
      }
      pending_ = false;
      if (finishing_) {
        ended_ = true;
      } else if (!ok) {
        finishing_ = pending_ = true;
        reader_->Finish(&status_, this);
      } else if (std::exchange(reading_, false)) {
        out = std::move(message_);
        return StreamEvent::kMessage;
      }
    }
    return StreamEvent::kEnd;
  }

  // After kEnd.
  const grpc::Status& status() const { return status_; }

 private:
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::ClientAsyncReader<Response>> reader_;
  Response message_;
  grpc::Status status_;
  bool pending_ = true;  // an operation is in flight; at first, the start of the call
  bool reading_ = false;
  bool finishing_ = false;
  bool ended_ = false;
};

}  // namespace retort

#endif  // RETORT_CLIENT_SDK_POLLED_STREAM_H_
