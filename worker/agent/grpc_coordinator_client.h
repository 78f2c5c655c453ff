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
#include "worker/agent/channel_source.h"
#include "worker/agent/ports.h"

namespace retort {

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

  GrpcCoordinatorClient(ChannelSource channel, Post post, Answers answers);
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

  std::unique_ptr<v1::WorkerService::Stub> NewStub() const;

  const ChannelSource channel_;
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
