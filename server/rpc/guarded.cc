#include "server/rpc/guarded.h"

#include <type_traits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"
#include "server/access/roles.h"
#include "server/rpc/rpc_status.h"

namespace retort {
namespace {

using Context = grpc::CallbackServerContext;
using Unary = grpc::ServerUnaryReactor;
template <typename Response>
using Writes = grpc::ServerWriteReactor<Response>;
template <typename Request>
using Reads = grpc::ServerReadReactor<Request>;
template <typename Request, typename Response>
using Both = grpc::ServerBidiReactor<Request, Response>;

// A stream that is finished at once.
template <typename Reactor>
class RefusedStream final : public Reactor {
 public:
  explicit RefusedStream(const absl::Status& status) { this->Finish(ToGrpc(status)); }
  void OnDone() override { delete this; }
};

// Makes the call, or refuses it.
template <typename Make>
auto Pass(const Guard& guard, Context* context, const char* call, const Make& make) {
  using Reactor = std::remove_pointer_t<std::invoke_result_t<Make>>;
  const absl::Status status = guard.Admit(*context, call);
  if (status.ok()) return make();
  if constexpr (std::is_same_v<Reactor, Unary>) {
    Unary* reactor = context->DefaultReactor();
    reactor->Finish(ToGrpc(status));
    return reactor;
  } else {
    return static_cast<Reactor*>(new RefusedStream<Reactor>(status));
  }
}

class GuardedSweepService final : public v1::SweepService::CallbackService {
 public:
  GuardedSweepService(const Guard& guard, v1::SweepService::CallbackService& inner)
      : guard_(guard), inner_(inner) {}

  Unary* CreateSweep(Context* context, const v1::CreateSweepRequest* request,
                     v1::CreateSweepResponse* response) override {
    return Pass(guard_, context, "SweepService/CreateSweep",
                [&] { return inner_.CreateSweep(context, request, response); });
  }
  Unary* GetSweep(Context* context, const v1::GetSweepRequest* request,
                  v1::Sweep* response) override {
    return Pass(guard_, context, "SweepService/GetSweep",
                [&] { return inner_.GetSweep(context, request, response); });
  }
  Unary* ListSweeps(Context* context, const v1::ListSweepsRequest* request,
                    v1::ListSweepsResponse* response) override {
    return Pass(guard_, context, "SweepService/ListSweeps",
                [&] { return inner_.ListSweeps(context, request, response); });
  }
  Unary* PauseSweep(Context* context, const v1::ChangeSweepRequest* request,
                    v1::Sweep* response) override {
    return Pass(guard_, context, "SweepService/PauseSweep",
                [&] { return inner_.PauseSweep(context, request, response); });
  }
  Unary* ResumeSweep(Context* context, const v1::ChangeSweepRequest* request,
                     v1::Sweep* response) override {
    return Pass(guard_, context, "SweepService/ResumeSweep",
                [&] { return inner_.ResumeSweep(context, request, response); });
  }
  Unary* CancelSweep(Context* context, const v1::ChangeSweepRequest* request,
                     v1::Sweep* response) override {
    return Pass(guard_, context, "SweepService/CancelSweep",
                [&] { return inner_.CancelSweep(context, request, response); });
  }
  Writes<v1::Sweep>* WatchSweep(Context* context, const v1::GetSweepRequest* request) override {
    return Pass(guard_, context, "SweepService/WatchSweep",
                [&] { return inner_.WatchSweep(context, request); });
  }
  Unary* ListJobs(Context* context, const v1::ListJobsRequest* request,
                  v1::ListJobsResponse* response) override {
    return Pass(guard_, context, "SweepService/ListJobs",
                [&] { return inner_.ListJobs(context, request, response); });
  }
  Unary* GetJob(Context* context, const v1::GetJobRequest* request, v1::Job* response) override {
    return Pass(guard_, context, "SweepService/GetJob",
                [&] { return inner_.GetJob(context, request, response); });
  }
  Unary* ExplainJob(Context* context, const v1::ExplainJobRequest* request,
                    v1::Explanation* response) override {
    return Pass(guard_, context, "SweepService/ExplainJob",
                [&] { return inner_.ExplainJob(context, request, response); });
  }
  Unary* RetryJobs(Context* context, const v1::ChangeJobsRequest* request,
                   v1::ChangeJobsResponse* response) override {
    return Pass(guard_, context, "SweepService/RetryJobs",
                [&] { return inner_.RetryJobs(context, request, response); });
  }
  Unary* CancelJobs(Context* context, const v1::ChangeJobsRequest* request,
                    v1::ChangeJobsResponse* response) override {
    return Pass(guard_, context, "SweepService/CancelJobs",
                [&] { return inner_.CancelJobs(context, request, response); });
  }
  Unary* ReadMetrics(Context* context, const v1::ReadMetricsRequest* request,
                     v1::ReadMetricsResponse* response) override {
    return Pass(guard_, context, "SweepService/ReadMetrics",
                [&] { return inner_.ReadMetrics(context, request, response); });
  }
  Writes<v1::TailLogsResponse>* TailLogs(Context* context,
                                         const v1::TailLogsRequest* request) override {
    return Pass(guard_, context, "SweepService/TailLogs",
                [&] { return inner_.TailLogs(context, request); });
  }
  Unary* ListWorkers(Context* context, const v1::ListWorkersRequest* request,
                     v1::ListWorkersResponse* response) override {
    return Pass(guard_, context, "SweepService/ListWorkers",
                [&] { return inner_.ListWorkers(context, request, response); });
  }
  Unary* DrainWorker(Context* context, const v1::ChangeWorkerRequest* request,
                     v1::Worker* response) override {
    return Pass(guard_, context, "SweepService/DrainWorker",
                [&] { return inner_.DrainWorker(context, request, response); });
  }
  Unary* ReleaseWorker(Context* context, const v1::ChangeWorkerRequest* request,
                       v1::Worker* response) override {
    return Pass(guard_, context, "SweepService/ReleaseWorker",
                [&] { return inner_.ReleaseWorker(context, request, response); });
  }
  Writes<v1::QueryResponse>* Query(Context* context, const v1::QueryRequest* request) override {
    return Pass(guard_, context, "SweepService/Query",
                [&] { return inner_.Query(context, request); });
  }

 private:
  const Guard& guard_;
  v1::SweepService::CallbackService& inner_;
};

class GuardedWorkerService final : public v1::WorkerService::CallbackService {
 public:
  GuardedWorkerService(const Guard& guard, v1::WorkerService::CallbackService& inner)
      : guard_(guard), inner_(inner) {}

  Unary* Sync(Context* context, const v1::SyncRequest* request,
              v1::SyncResponse* response) override {
    return Pass(guard_, context, "WorkerService/Sync",
                [&] { return inner_.Sync(context, request, response); });
  }
  Both<v1::MetricBatch, v1::MetricAck>* StreamMetrics(Context* context) override {
    return Pass(guard_, context, "WorkerService/StreamMetrics",
                [&] { return inner_.StreamMetrics(context); });
  }
  Both<v1::LogChunk, v1::LogAck>* StreamLogs(Context* context) override {
    return Pass(guard_, context, "WorkerService/StreamLogs",
                [&] { return inner_.StreamLogs(context); });
  }

 private:
  const Guard& guard_;
  v1::WorkerService::CallbackService& inner_;
};

class GuardedArtifactService final : public v1::ArtifactService::CallbackService {
 public:
  GuardedArtifactService(const Guard& guard, v1::ArtifactService::CallbackService& inner)
      : guard_(guard), inner_(inner) {}

  Unary* Missing(Context* context, const v1::MissingRequest* request,
                 v1::MissingResponse* response) override {
    return Pass(guard_, context, "ArtifactService/Missing",
                [&] { return inner_.Missing(context, request, response); });
  }
  Reads<v1::UploadRequest>* Upload(Context* context, v1::UploadResponse* response) override {
    return Pass(guard_, context, "ArtifactService/Upload",
                [&] { return inner_.Upload(context, response); });
  }
  Unary* UploadStatus(Context* context, const v1::UploadStatusRequest* request,
                      v1::UploadStatusResponse* response) override {
    return Pass(guard_, context, "ArtifactService/UploadStatus",
                [&] { return inner_.UploadStatus(context, request, response); });
  }
  Writes<v1::DownloadResponse>* Download(Context* context,
                                         const v1::DownloadRequest* request) override {
    return Pass(guard_, context, "ArtifactService/Download",
                [&] { return inner_.Download(context, request); });
  }

 private:
  const Guard& guard_;
  v1::ArtifactService::CallbackService& inner_;
};

class GuardedAdminService final : public v1::AdminService::CallbackService {
 public:
  GuardedAdminService(const Guard& guard, v1::AdminService::CallbackService& inner)
      : guard_(guard), inner_(inner) {}

  Writes<v1::CheckResponse>* Check(Context* context, const v1::CheckRequest* request) override {
    return Pass(guard_, context, "AdminService/Check",
                [&] { return inner_.Check(context, request); });
  }
  Writes<v1::BackupResponse>* Backup(Context* context, const v1::BackupRequest* request) override {
    return Pass(guard_, context, "AdminService/Backup",
                [&] { return inner_.Backup(context, request); });
  }
  Unary* CollectGarbage(Context* context, const v1::CollectGarbageRequest* request,
                        v1::CollectGarbageResponse* response) override {
    return Pass(guard_, context, "AdminService/CollectGarbage",
                [&] { return inner_.CollectGarbage(context, request, response); });
  }
  Unary* CreateToken(Context* context, const v1::CreateTokenRequest* request,
                     v1::CreateTokenResponse* response) override {
    return Pass(guard_, context, "AdminService/CreateToken",
                [&] { return inner_.CreateToken(context, request, response); });
  }
  Unary* ListTokens(Context* context, const v1::ListTokensRequest* request,
                    v1::ListTokensResponse* response) override {
    return Pass(guard_, context, "AdminService/ListTokens",
                [&] { return inner_.ListTokens(context, request, response); });
  }
  Unary* RevokeToken(Context* context, const v1::RevokeTokenRequest* request,
                     v1::Token* response) override {
    return Pass(guard_, context, "AdminService/RevokeToken",
                [&] { return inner_.RevokeToken(context, request, response); });
  }
  Unary* GetServerInfo(Context* context, const v1::GetServerInfoRequest* request,
                       v1::ServerInfo* response) override {
    return Pass(guard_, context, "AdminService/GetServerInfo",
                [&] { return inner_.GetServerInfo(context, request, response); });
  }
  Unary* Diagnose(Context* context, const v1::DiagnoseRequest* request,
                  v1::DiagnoseResponse* response) override {
    return Pass(guard_, context, "AdminService/Diagnose",
                [&] { return inner_.Diagnose(context, request, response); });
  }

 private:
  const Guard& guard_;
  v1::AdminService::CallbackService& inner_;
};

}  // namespace

std::optional<int64_t> RefusalLines::Admit(absl::Time now) {
  const std::lock_guard lock(mutex_);
  // Also where the clock was set back.
  if (now >= minute_ + absl::Minutes(1) || now < minute_) {
    minute_ = now;
    written_ = 0;
  }
  if (written_ >= kMostInAMinute) {
    ++left_out_;
    return std::nullopt;
  }
  ++written_;
  return std::exchange(left_out_, 0);
}

void Guard::Log(const grpc::ServerContextBase& context, const char* call,
                std::string_view why) const {
  const auto left_out = lines_.Admit(now_());
  if (!left_out) return;
  spdlog::warn("{}: {} refused: {}{}", context.peer(), call, why,
               *left_out == 0 ? "" : absl::StrCat("; and ", *left_out, " more before"));
}

absl::Status Guard::Admit(const grpc::ServerContextBase& context, const char* call) const {
  constexpr std::string_view kScheme = "Bearer ";
  const auto& headers = context.client_metadata();
  const auto found = headers.find("authorization");
  if (found == headers.end()) {
    return absl::UnauthenticatedError(
        "no token came with the call; name an access file of this coordinator with --access (it "
        "keeps them in the folder access of its own)");
  }
  const std::string_view value(found->second.data(), found->second.size());
  const bool bearer = headers.count("authorization") == 1 && value.starts_with(kScheme);
  const auto identity = tokens_.Check(bearer ? value.substr(kScheme.size()) : "", now_());
  if (!identity.ok()) {
    Log(context, call, MessageOf(identity.status()));
    return identity.status();
  }
  if (MayCall(identity->role, call)) return absl::OkStatus();
  Log(context, call,
      absl::StrCat("token ", identity->token_id, " is of role ", RoleWord(identity->role)));
  return absl::PermissionDeniedError(absl::StrCat("the role ", RoleWord(identity->role),
                                                  " may not call ", call,
                                                  "; ask for an access file of another role"));
}

GuardedServices::GuardedServices(const Guard& guard, v1::SweepService::CallbackService& sweeps,
                                 v1::WorkerService::CallbackService& workers,
                                 v1::ArtifactService::CallbackService& artifacts,
                                 v1::AdminService::CallbackService& admin) {
  services_.push_back(std::make_unique<GuardedWorkerService>(guard, workers));
  services_.push_back(std::make_unique<GuardedArtifactService>(guard, artifacts));
  services_.push_back(std::make_unique<GuardedSweepService>(guard, sweeps));
  services_.push_back(std::make_unique<GuardedAdminService>(guard, admin));
}

GuardedServices::~GuardedServices() = default;

std::vector<grpc::Service*> GuardedServices::all() const {
  std::vector<grpc::Service*> all;
  for (const auto& service : services_) all.push_back(service.get());
  return all;
}

}  // namespace retort
