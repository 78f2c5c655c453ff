#include "worker/agent/grpc_coordinator_client.h"

#include <chrono>
#include <utility>

#include "common/log.h"
#include "worker/agent/grpc_status.h"

namespace retort {
namespace {

// A stream that lives longer is opened anew, so that none waits for ever on a peer that is stuck.
constexpr std::chrono::minutes kStreamLimit(10);

}  // namespace

GrpcCoordinatorClient::GrpcCoordinatorClient(ChannelSource channel, Post post, Answers answers)
    : channel_(std::move(channel)), post_(std::move(post)), answers_(std::move(answers)) {}

std::unique_ptr<v1::WorkerService::Stub> GrpcCoordinatorClient::NewStub() const {
  return v1::WorkerService::NewStub(channel_());
}

GrpcCoordinatorClient::~GrpcCoordinatorClient() {
  if (metrics_) metrics_->Cancel();
  if (logs_) logs_->Cancel();
  std::unique_lock lock(mutex_);
  for (grpc::ClientContext* context : syncs_) context->TryCancel();
  ended_.wait(lock, [this] { return calls_ == 0; });
}

// Notified under the lock: the destructor must not finish before this has.
void GrpcCoordinatorClient::CallEnded() {
  std::lock_guard lock(mutex_);
  --calls_;
  ended_.notify_all();
}

void GrpcCoordinatorClient::Sync(const v1::SyncRequest& request, absl::Duration deadline) {
  struct Call {
    grpc::ClientContext context;
    v1::SyncRequest request;
    v1::SyncResponse response;
  };
  auto call = std::make_shared<Call>();
  call->context.set_deadline(absl::ToChronoTime(absl::Now() + deadline));
  call->request = request;
  {
    std::lock_guard lock(mutex_);
    ++calls_;
    syncs_.insert(&call->context);
  }
  Call& started = *call;
  NewStub()->async()->Sync(
      &started.context, &started.request, &started.response,
      [this, call = std::move(call)](const grpc::Status& status) {
        absl::StatusOr<v1::SyncResponse> response = std::move(call->response);
        if (!status.ok()) response = FromGrpc(status);
        post_([this, number = call->request.number(), response = std::move(response)]() mutable {
          answers_.sync(number, std::move(response));
        });
        {
          std::lock_guard lock(mutex_);
          syncs_.erase(&call->context);
        }
        CallEnded();
      });
}

void GrpcCoordinatorClient::SendMetrics(const v1::MetricBatch& batch) {
  if (!metrics_) {
    {
      std::lock_guard lock(mutex_);
      ++calls_;
    }
    MetricStream::Answers answers;
    answers.ack = [this](const v1::MetricAck& ack) {
      post_([this, ack] { answers_.metric_ack(ack); });
    };
    answers.done = [this](const grpc::Status& status) {
      spdlog::debug("stream of metrics ended: {}", status.error_message());
      post_([this, status = FromGrpc(status)] {
        metrics_.reset();
        answers_.metrics_broken(status);
      });
      CallEnded();
    };
    metrics_ = MetricStream::Start(
        [this](grpc::ClientContext* context, MetricStream* stream) {
          NewStub()->async()->StreamMetrics(context, stream);
        },
        kStreamLimit, std::move(answers));
  }
  metrics_->Send(batch);
}

void GrpcCoordinatorClient::SendLog(const v1::LogChunk& chunk) {
  if (!logs_) {
    {
      std::lock_guard lock(mutex_);
      ++calls_;
    }
    LogStream::Answers answers;
    answers.ack = [this](const v1::LogAck& ack) { post_([this, ack] { answers_.log_ack(ack); }); };
    answers.done = [this](const grpc::Status& status) {
      spdlog::debug("stream of logs ended: {}", status.error_message());
      post_([this] {
        logs_.reset();
        answers_.logs_broken();
      });
      CallEnded();
    };
    logs_ = LogStream::Start(
        [this](grpc::ClientContext* context, LogStream* stream) {
          NewStub()->async()->StreamLogs(context, stream);
        },
        kStreamLimit, std::move(answers));
  }
  logs_->Send(chunk);
}

}  // namespace retort
