// A bidirectional stream on which one side sends and the other acknowledges.
#ifndef RETORT_WORKER_AGENT_ACK_STREAM_H_
#define RETORT_WORKER_AGENT_ACK_STREAM_H_

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace retort {

// Keeps itself alive from Start until `done` was called. The answers come on gRPC's threads, one
// after the other, `done` last.
template <typename Message, typename Ack>
class AckStream : public grpc::ClientBidiReactor<Message, Ack> {
 public:
  struct Answers {
    std::function<void(const Ack&)> ack;
    std::function<void(const grpc::Status&)> done;
  };
  using Opener = std::function<void(grpc::ClientContext*, AckStream*)>;

  // Opens a stream that ends by itself after `limit`.
  static std::shared_ptr<AckStream> Start(const Opener& open, std::chrono::seconds limit,
                                          Answers answers) {
    std::shared_ptr<AckStream> stream(new AckStream(std::move(answers)));
    stream->self_ = stream;
    stream->context_.set_deadline(std::chrono::system_clock::now() + limit);
    open(&stream->context_, stream.get());
    stream->AddHold();  // writes are started from outside the reactions
    stream->StartRead(&stream->ack_);
    stream->StartCall();
    return stream;
  }

  // Queues a message; lost if the stream has ended. Any thread.
  void Send(Message message) {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    queue_.push_back(std::move(message));
    if (queue_.size() == 1) this->StartWrite(&queue_.front());
  }
  void Cancel() { context_.TryCancel(); }

 private:
  explicit AckStream(Answers answers) : answers_(std::move(answers)) {}

  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    queue_.pop_front();
    // After a failed write the read fails too, and closes.
    if (ok && !closed_ && !queue_.empty()) this->StartWrite(&queue_.front());
  }
  void OnReadDone(bool ok) override {
    if (ok) {
      answers_.ack(ack_);
      this->StartRead(&ack_);
      return;
    }
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
    }
    this->RemoveHold();
  }
  void OnDone(const grpc::Status& status) override {
    const std::shared_ptr<AckStream> self = std::move(self_);
    answers_.done(status);
  }

  const Answers answers_;
  grpc::ClientContext context_;
  Ack ack_;
  std::shared_ptr<AckStream> self_;
  std::mutex mutex_;
  // Guarded by mutex_. The first message of the queue is being written.
  std::deque<Message> queue_;
  bool closed_ = false;
};

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_ACK_STREAM_H_
