#include "worker/agent/grpc_coordinator_client.h"

#include <chrono>
#include <utility>

#include "common/log.h"
#include "worker/agent/grpc_status.h"

namespace retort {
namespace {

// A stream that lives longer is opened anew, so that none waits for ever on a peer that is stuck.
constexpr std::chrono::minutes kStreamLimit(10);
constexpr int kMostMessageBytes = 16 << 20;
constexpr int kKeepaliveMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
constexpr int kFirstReconnectMs = 200;
constexpr int kMostReconnectMs = 500;  // a small part of the shortest lease, which is 2 s

}  // namespace

bool IsLoopback(const std::string& address) {
  if (address.starts_with("unix:")) return true;
  const std::string host = address.substr(0, address.rfind(':'));
  return host == "localhost" || host == "[::1]" || host.starts_with("127.");
}

std::shared_ptr<grpc::Channel> PlainChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kFirstReconnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMostReconnectMs);
  arguments.SetMaxReceiveMessageSize(kMostMessageBytes);
  arguments.SetMaxSendMessageSize(kMostMessageBytes);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

GrpcCoordinatorClient::GrpcCoordinatorClient(std::shared_ptr<grpc::ChannelInterface> channel,
                                             Post post, Answers answers)
    : stub_(v1::WorkerService::NewStub(std::move(channel))),
      post_(std::move(post)),
      answers_(std::move(answers)) {}

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
  stub_->async()->Sync(
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
          stub_->async()->StreamMetrics(context, stream);
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
    logs_ =
        LogStream::Start([this](grpc::ClientContext* context,
                                LogStream* stream) { stub_->async()->StreamLogs(context, stream); },
                         kStreamLimit, std::move(answers));
  }
  logs_->Send(chunk);
}

}  // namespace retort
