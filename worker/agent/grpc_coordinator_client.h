// The coordinator over gRPC.
#ifndef RETORT_WORKER_AGENT_GRPC_COORDINATOR_CLIENT_H_
#define RETORT_WORKER_AGENT_GRPC_COORDINATOR_CLIENT_H_

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "retort/v1/worker_service.grpc.pb.h"
#include "worker/agent/ack_stream.h"
#include "worker/agent/ports.h"

namespace retort {

// True if the address (HOST:PORT, or unix:PATH) cannot be reached from other machines.
bool IsLoopback(const std::string& address);

// A channel without encryption, with keepalive and quick reconnecting. Does not wait.
std::shared_ptr<grpc::Channel> PlainChannel(const std::string& address);

// Threads: one calls it; the answers run where `post` puts them, which must be that same thread.
class GrpcCoordinatorClient : public CoordinatorClient {
 public:
  struct Answers {
    std::function<void(int64_t number, absl::StatusOr<v1::SyncResponse>)> sync;
    std::function<void(const v1::MetricAck&)> metric_ack;
    std::function<void(const absl::Status&)> metrics_broken;
    std::function<void(const v1::LogAck&)> log_ack;
    std::function<void()> logs_broken;
  };
  using Post = std::function<void(std::function<void()>)>;

  GrpcCoordinatorClient(std::shared_ptr<grpc::ChannelInterface> channel, Post post,
                        Answers answers);
  // Ends all calls and waits until nothing of them runs any more. What was posted must not run
  // afterwards.
  ~GrpcCoordinatorClient() override;

  void Sync(const v1::SyncRequest& request, absl::Duration deadline) override;
  void SendMetrics(const v1::MetricBatch& batch) override;
  void SendLog(const v1::LogChunk& chunk) override;

 private:
  using MetricStream = AckStream<v1::MetricBatch, v1::MetricAck>;
  using LogStream = AckStream<v1::LogChunk, v1::LogAck>;

  void CallEnded();

  const std::unique_ptr<v1::WorkerService::Stub> stub_;
  const Post post_;
  const Answers answers_;
  // Of the calling thread.
  std::shared_ptr<MetricStream> metrics_;
  std::shared_ptr<LogStream> logs_;

  std::mutex mutex_;
  std::condition_variable ended_;
  // Guarded by mutex_.
  int calls_ = 0;
  std::set<grpc::ClientContext*> syncs_;
};

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_GRPC_COORDINATOR_CLIENT_H_
