#include "server/rpc/worker_service.h"

#include <google/protobuf/arena.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/log.h"
#include "common/status.h"
#include "server/rpc/convert.h"
#include "server/rpc/rpc_status.h"
#include "server/rpc/unary.h"

namespace retort {
namespace {

constexpr size_t kMostCallerBytes = 64;

// A Sync on its way: converted (on the pool, if artifacts have to be looked for), held back in the
// coordinator, its leases filled in on the pool.
class SyncReactor final : public grpc::ServerUnaryReactor {
 public:
  SyncReactor(const WorkerParts& parts, const v1::SyncRequest* request, v1::SyncResponse* response)
      : parts_(parts), request_(request), response_(response), worker_(request->worker()) {
    // Of the worker, not of its connection: a worker may have many.
    auto ticket = parts_.syncs.Enter(worker_.substr(0, kMostCallerBytes));
    if (!ticket.ok()) {
      Finish(ToGrpc(ticket.status()));
      return;
    }
    ticket_ = *std::move(ticket);
    if (request->finished().empty()) {
      Begin();
    } else {
      parts_.pool.Post([this] { Begin(); });
    }
  }

  void OnCancel() override {
    cancelled_ = true;
    if (const core::Token token = token_; token != 0) parts_.coordinator.ForgetSync(token, worker_);
  }
  void OnDone() override { delete this; }
  // Neither of the two takes long or waits: gRPC need not wake a thread of its own for each call.
  bool InternalInlineable() override { return true; }

 private:
  void Begin() {
    if (cancelled_) return End(grpc::Status::CANCELLED);
    std::vector<absl::Status> refused;
    auto sync = ToSync(*request_, response_, &refused);
    if (!sync.ok()) return End(ToGrpc(sync.status()));
    const LogAbout about({.worker = worker_});
    if (!refused.empty()) {
      spdlog::warn("sync of {}: {} malformed reports, the first: {}", worker_, refused.size(),
                   MessageOf(refused.front()));
    }
    for (core::FinishedReport& report : sync->finished) {
      report.weights_held = report.result != nullptr && parts_.artifacts.Has(report.weights.hash);
    }
    for (core::CheckpointReport& report : sync->checkpoints) {
      report.held = parts_.artifacts.Has(report.checkpoint.file.hash);
    }
    sync->token = parts_.coordinator.NewToken();
    token_ = sync->token;
    // From here on the call may end, and this be gone, at any moment.
    parts_.coordinator.Post(*std::move(sync), [this](absl::StatusOr<Answer> answer) {
      if (!answer.ok()) return End(ToGrpc(answer.status()));
      auto reply = std::get<core::SyncReply>(*std::move(answer));
      // Without leases nothing has to be read: no other thread need wake up.
      if (reply.grants.empty()) return Say(reply);
      parts_.pool.Post([this, reply = std::move(reply)] { Say(reply); });
    });
  }

  // The worker may send its next Sync before gRPC has done with this one: its place is free first.
  void End(const grpc::Status& status) {
    { const Gate::Ticket given_back = std::move(ticket_); }
    Finish(status);
  }

  void Say(const core::SyncReply& reply) {
    FromSyncReply(reply, response_);
    const LogAbout about({.worker = worker_});
    const absl::Status status = AddLeases(reply);
    // Leases that do not reach the worker are given again at its next Sync.
    if (!status.ok())
      spdlog::error("sync of {}: leases cannot be read: {}", worker_, status.ToString());
    End(ToGrpc(status));
  }

  absl::Status AddLeases(const core::SyncReply& reply) {
    if (reply.grants.empty()) return absl::OkStatus();
    std::vector<core::JobKey> keys;
    for (const core::Grant& grant : reply.grants) keys.push_back(grant.key);
    RETORT_ASSIGN_OR_RETURN(const std::vector<std::string> specs, parts_.reader.JobSpecs(keys));
    absl::flat_hash_map<std::string, int64_t> sizes;  // most leases have the same
    for (size_t i = 0; i < specs.size(); ++i) {
      v1::Lease* lease = response_->add_leases();
      RETORT_RETURN_IF_ERROR(FromGrant(reply.grants[i], specs[i], lease));
      for (const std::string& hex : FilesOf(lease->spec())) {
        auto size = sizes.find(hex);
        if (size == sizes.end()) {
          RETORT_ASSIGN_OR_RETURN(const ArtifactHash hash, ArtifactHash::FromHex(hex));
          // One that was lost is asked for all the same, and its absence reported by the worker.
          size = sizes.emplace(hex, parts_.artifacts.SizeOf(hash).value_or(0)).first;
        }
        v1::ArtifactRef* input = lease->add_inputs();
        input->set_sha256(hex);
        input->set_size_bytes(size->second);
      }
    }
    return absl::OkStatus();
  }

  const WorkerParts& parts_;
  const v1::SyncRequest* const request_;
  v1::SyncResponse* const response_;
  const std::string worker_;
  Gate::Ticket ticket_;
  std::atomic<bool> cancelled_{false};
  std::atomic<core::Token> token_{0};
};

// One batch at a time: read, commit, acknowledge, read the next. What the worker sends meanwhile
// waits in the transport.
class MetricsReactor final : public grpc::ServerBidiReactor<v1::MetricBatch, v1::MetricAck> {
 public:
  MetricsReactor(grpc::CallbackServerContext* context, const WorkerParts& parts)
      : parts_(parts), caller_(CallerOf(*context)) {
    auto ticket = parts_.metric_streams.Enter(caller_);
    if (!ticket.ok()) {
      Finish(ToGrpc(ticket.status()));
      return;
    }
    ticket_ = *std::move(ticket);
    StartRead(&batch_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    auto metrics = ToMetrics(std::move(batch_));
    if (!metrics.ok()) return Finish(ToGrpc(metrics.status()));
    parts_.coordinator.Post(*std::move(metrics), [this](absl::StatusOr<Answer> answer) {
      if (!answer.ok()) return Finish(ToGrpc(answer.status()));
      ack_.Clear();
      FromMetricReply(std::get<core::MetricReply>(*answer), &ack_);
      StartWrite(&ack_);
    });
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    batch_.Clear();
    StartRead(&batch_);
  }
  void OnDone() override { delete this; }

 private:
  const WorkerParts& parts_;
  const std::string caller_;
  Gate::Ticket ticket_;
  v1::MetricBatch batch_;
  v1::MetricAck ack_;
};

// Like metrics, but written to files. Which attempts exist is asked once for each.
class LogsReactor final : public grpc::ServerBidiReactor<v1::LogChunk, v1::LogAck> {
 public:
  LogsReactor(grpc::CallbackServerContext* context, const WorkerParts& parts)
      : parts_(parts), caller_(CallerOf(*context)) {
    auto ticket = parts_.log_streams.Enter(caller_);
    if (!ticket.ok()) {
      Finish(ToGrpc(ticket.status()));
      return;
    }
    ticket_ = *std::move(ticket);
    StartRead(&chunk_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    auto id = CheckLogChunk(chunk_);
    if (!id.ok()) return Finish(ToGrpc(id.status()));
    if (*id == known_) return parts_.files.Continue(caller_, [this] { Store(); });
    asked_ = *id;
    parts_.coordinator.Inspect(
        [this](const core::State& state) {
          const core::JobKey job = state.FindJob(asked_.job);
          exists_ = job && asked_.attempt <= state.job(job).row.attempt;
        },
        [this](absl::StatusOr<Answer> answer) {
          if (!answer.ok()) return Finish(ToGrpc(answer.status()));
          if (!exists_) return Acknowledge({0, true});
          known_ = asked_;
          parts_.files.Continue(caller_, [this] { Store(); });
        });
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    chunk_.Clear();
    StartRead(&chunk_);
  }
  void OnDone() override { delete this; }

 private:
  void Store() {
    auto progress = parts_.logs.Append(known_.job, known_.attempt, chunk_.offset(), chunk_.data());
    if (!progress.ok()) return Finish(ToGrpc(progress.status()));
    Acknowledge(*progress);
  }
  void Acknowledge(const LogProgress& progress) {
    ack_.Clear();
    *ack_.mutable_id() = chunk_.id();
    ack_.set_stored_offset(progress.stored_offset);
    ack_.set_full(progress.full);
    StartWrite(&ack_);
  }

  const WorkerParts& parts_;
  const std::string caller_;
  Gate::Ticket ticket_;
  v1::LogChunk chunk_;
  v1::LogAck ack_;
  core::AttemptName asked_;
  core::AttemptName known_;
  bool exists_ = false;
};

class SyncMessages final : public grpc::MessageHolder<v1::SyncRequest, v1::SyncResponse> {
 public:
  SyncMessages() : arena_(Options()) {
    set_request(google::protobuf::Arena::CreateMessage<v1::SyncRequest>(&arena_));
    set_response(google::protobuf::Arena::CreateMessage<v1::SyncResponse>(&arena_));
  }
  void Release() override { delete this; }

 private:
  static google::protobuf::ArenaOptions Options() {
    google::protobuf::ArenaOptions options;
    options.start_block_size = 2048;
    options.max_block_size = 32768;
    return options;
  }

  google::protobuf::Arena arena_;
};

}  // namespace

grpc::MessageHolder<v1::SyncRequest, v1::SyncResponse>* WorkerService::Arenas::AllocateMessages() {
  return new SyncMessages();
}

WorkerService::WorkerService(const WorkerParts& parts) : parts_(parts) {
  SetMessageAllocatorFor_Sync(&arenas_);
}

grpc::ServerUnaryReactor* WorkerService::Sync(grpc::CallbackServerContext*,
                                              const v1::SyncRequest* request,
                                              v1::SyncResponse* response) {
  return new SyncReactor(parts_, request, response);
}

grpc::ServerBidiReactor<v1::MetricBatch, v1::MetricAck>* WorkerService::StreamMetrics(
    grpc::CallbackServerContext* context) {
  return new MetricsReactor(context, parts_);
}

grpc::ServerBidiReactor<v1::LogChunk, v1::LogAck>* WorkerService::StreamLogs(
    grpc::CallbackServerContext* context) {
  return new LogsReactor(context, parts_);
}

}  // namespace retort
