// Upkeep of a coordinator that serves.
#include "client/sdk/calls.h"
#include "client/sdk/client.h"
#include "client/sdk/polled_stream.h"
#include "common/files.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(250);

// Reads the stream of a task (messages with `progress`, at last one with `report`) to its end.
template <typename Response, typename Open>
absl::StatusOr<Response> FollowTask(const ClientOptions& options, const std::string& address,
                                    const std::function<std::shared_ptr<grpc::Channel>()>& channel,
                                    const Client::TaskWatch& on_progress, const Open& open) {
  Response last;
  bool interrupted = false;
  const absl::Status status = Repeat(options, address, channel, [&]() -> grpc::Status {
    PolledStream<Response> stream(absl::InfiniteDuration(), open);
    v1::TaskProgress progress;
    Response response;
    while (true) {
      const StreamEvent event = stream.Next(kTick, response);
      if (event == StreamEvent::kEnd) return stream.status();
      if (event == StreamEvent::kMessage && response.has_progress()) progress = response.progress();
      if (event == StreamEvent::kMessage && response.has_report()) last = response;
      if (on_progress && !on_progress(progress)) {
        interrupted = true;
        return grpc::Status::CANCELLED;
      }
    }
  });
  if (interrupted) return absl::CancelledError("interrupted");
  if (!status.ok()) return status;
  if (!last.has_report()) return absl::InternalError("the coordinator sent no report");
  return last;
}

}  // namespace

absl::StatusOr<v1::CheckReport> Client::Check(bool quick, const TaskWatch& on_progress) {
  v1::CheckRequest request;
  request.set_quick(quick);
  const auto open = [&](auto* context, auto* queue) {
    return admin()->PrepareAsyncCheck(context, request, queue);
  };
  RETORT_ASSIGN_OR_RETURN(
      const v1::CheckResponse last,
      FollowTask<v1::CheckResponse>(options_, address_, channel_, on_progress, open));
  return last.report();
}

absl::StatusOr<v1::BackupReport> Client::Backup(const std::string& folder,
                                                const TaskWatch& on_progress) {
  v1::BackupRequest request;
  request.set_request_id(NewUuid());
  request.set_folder(folder);
  const auto open = [&](auto* context, auto* queue) {
    return admin()->PrepareAsyncBackup(context, request, queue);
  };
  RETORT_ASSIGN_OR_RETURN(
      const v1::BackupResponse last,
      FollowTask<v1::BackupResponse>(options_, address_, channel_, on_progress, open));
  return last.report();
}

absl::StatusOr<v1::CollectGarbageResponse> Client::CollectGarbage(bool dry_run) {
  v1::CollectGarbageRequest request;
  request.set_request_id(NewUuid());
  request.set_dry_run(dry_run);
  ClientOptions options = options_;
  options.deadline = absl::Hours(1);  // many files
  return Call(options, address_, channel_, &v1::AdminService::Stub::CollectGarbage, request);
}

absl::StatusOr<v1::CreateTokenResponse> Client::CreateToken(v1::Role role, const std::string& label,
                                                            absl::Duration lifetime) {
  v1::CreateTokenRequest request;
  request.set_request_id(NewUuid());
  request.set_role(role);
  request.set_label(label);
  request.set_lifetime_s(absl::ToInt64Seconds(lifetime));
  return Call(options_, address_, channel_, &v1::AdminService::Stub::CreateToken, request);
}

absl::StatusOr<std::vector<v1::Token>> Client::ListTokens() {
  RETORT_ASSIGN_OR_RETURN(const v1::ListTokensResponse response,
                          Call(options_, address_, channel_, &v1::AdminService::Stub::ListTokens,
                               v1::ListTokensRequest()));
  return std::vector<v1::Token>(response.tokens().begin(), response.tokens().end());
}

absl::StatusOr<std::vector<v1::Checkup>> Client::Diagnose() {
  RETORT_ASSIGN_OR_RETURN(
      const v1::DiagnoseResponse response,
      Call(options_, address_, channel_, &v1::AdminService::Stub::Diagnose, v1::DiagnoseRequest()));
  return std::vector<v1::Checkup>(response.checkups().begin(), response.checkups().end());
}

absl::StatusOr<v1::Token> Client::RevokeToken(const std::string& id) {
  v1::RevokeTokenRequest request;
  request.set_request_id(NewUuid());
  request.set_id(id);
  return Call(options_, address_, channel_, &v1::AdminService::Stub::RevokeToken, request);
}

}  // namespace retort
