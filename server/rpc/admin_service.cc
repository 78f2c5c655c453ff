#include "server/rpc/admin_service.h"

#include <atomic>
#include <condition_variable>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/status.h"
#include "server/core/requests.h"
#include "server/rpc/convert.h"
#include "server/rpc/diagnose.h"
#include "server/rpc/rpc_status.h"
#include "server/rpc/stall_guard.h"
#include "server/rpc/unary.h"

namespace retort {
namespace {

constexpr absl::Duration kProgressPeriod = absl::Milliseconds(500);
constexpr size_t kMostRequestBytes = 8192;
constexpr size_t kLongestPath = 4096;
constexpr int kMostFindingsSent = 1000;

// ---------------------------------------------------------------------------------------- answers

// Asks the strand and waits: on the tasks' own threads only.
absl::StatusOr<Answer> PostAndWait(Coordinator& coordinator, core::Input input) {
  std::promise<absl::StatusOr<Answer>> promise;
  auto answered = promise.get_future();
  coordinator.Post(std::move(input), [&promise](absl::StatusOr<Answer> answer) {
    promise.set_value(std::move(answer));
  });
  return answered.get();
}

// What a request was answered before; nothing if it is new. Errors of core::FindRepeated.
absl::StatusOr<std::optional<std::string>> FindAnswer(Coordinator& coordinator,
                                                      const std::string& request_id,
                                                      const std::string& method,
                                                      const std::string& arguments) {
  absl::StatusOr<std::optional<std::string>> found = std::optional<std::string>();
  std::promise<absl::Status> promise;
  auto looked = promise.get_future();
  coordinator.Inspect(
      [&](const core::State& state) {
        const auto answer = core::FindRepeated(state, request_id, method, arguments);
        if (!answer.ok()) {
          found = answer.status();
        } else {
          found = *answer != nullptr ? std::make_optional((*answer)->answer) : std::nullopt;
        }
      },
      [&promise](absl::StatusOr<Answer> answer) { promise.set_value(answer.status()); });
  RETORT_RETURN_IF_ERROR(looked.get());
  return found;
}

// Carries a mutation out once: `run` (-> StatusOr<Response>) unless the request was answered
// before.
template <typename Response, typename Run>
absl::StatusOr<Response> Once(Coordinator& coordinator, const google::protobuf::Message& request,
                              const std::string& request_id, const std::string& method,
                              const Run& run) {
  RETORT_RETURN_IF_ERROR(CheckRequestId(request_id));
  const std::string arguments = core::HashOfArguments(request);
  RETORT_ASSIGN_OR_RETURN(auto known, FindAnswer(coordinator, request_id, method, arguments));
  Response response;
  if (!known.has_value()) {
    RETORT_ASSIGN_OR_RETURN(response, run());
    RETORT_RETURN_IF_ERROR(
        PostAndWait(coordinator, core::NoteRequest{.request_id = request_id,
                                                   .method = method,
                                                   .arguments = arguments,
                                                   .answer = response.SerializeAsString()})
            .status());
    // A twin that ran beside this one may have been noted before: both say what was noted.
    RETORT_ASSIGN_OR_RETURN(known, FindAnswer(coordinator, request_id, method, arguments));
  }
  if (known.has_value() && response.ParseFromString(*known)) return response;
  return absl::InternalError(
      absl::StrCat("request_id: ", request_id, ": its answer cannot be read"));
}

// ------------------------------------------------------------------------------------------
// streams

void FromProgress(const UpkeepProgress& progress, v1::TaskProgress* message) {
  message->set_step(progress.step);
  message->set_done_bytes(progress.done_bytes);
  message->set_all_bytes(progress.all_bytes);
  message->set_done_artifacts(progress.done_artifacts);
  message->set_all_artifacts(progress.all_artifacts);
}

// A task whose progress is streamed. It runs on a thread of the pool from begin to end and never
// waits for the caller: progress that cannot be sent yet is dropped for what comes later.
template <typename Response>
class TaskReactor : public grpc::ServerWriteReactor<Response> {
 public:
  TaskReactor(grpc::CallbackServerContext* context, const AdminParts& parts)
      : parts_(parts), context_(context), guard_(context, parts.limits.patience) {}

  void OnCancel() override { cancelled_ = true; }
  void OnWriteDone(bool ok) override {
    guard_.End();
    std::lock_guard lock(mutex_);
    cancelled_ = cancelled_ || !ok;
    writing_ = false;
    wake_.notify_all();
  }
  void OnDone() override { delete this; }

 protected:
  // Runs on the pool. `last` is sent if it is OK.
  virtual absl::Status Run(const UpkeepWatch& watch, Response& last) = 0;

  void Begin() {
    auto ticket = parts_.tasks.Enter(CallerOf(*context_));
    if (!ticket.ok()) return this->Finish(ToGrpc(ticket.status()));
    ticket_ = *std::move(ticket);
    parts_.pool.Post([this] { RunToTheEnd(); });
  }

  const AdminParts& parts_;

 private:
  void RunToTheEnd() {
    UpkeepWatch watch;
    watch.cancelled = [this] { return cancelled_.load(); };
    watch.progress = [this](const UpkeepProgress& progress) { Tell(progress); };
    Response last;
    const absl::Status status =
        cancelled_ ? absl::CancelledError("the caller has gone") : Run(watch, last);
    WaitForWrite();
    if (!status.ok() || cancelled_) return this->Finish(ToGrpc(status));
    message_ = std::move(last);
    this->StartWriteAndFinish(&message_, grpc::WriteOptions(), grpc::Status::OK);
  }

  void Tell(const UpkeepProgress& progress) {
    const absl::Time now = absl::Now();
    if (progress.step == step_ && now < next_) return;
    {
      std::lock_guard lock(mutex_);
      if (writing_ || cancelled_) return;
      writing_ = true;
    }
    step_ = progress.step;
    next_ = now + kProgressPeriod;
    message_.Clear();
    FromProgress(progress, message_.mutable_progress());
    guard_.Begin();
    this->StartWrite(&message_);
  }

  void WaitForWrite() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return !writing_; });
  }

  grpc::CallbackServerContext* const context_;
  Gate::Ticket ticket_;
  StallGuard guard_;
  Response message_;  // being written
  // The task's thread's own.
  std::string step_;
  absl::Time next_ = absl::InfinitePast();
  std::atomic<bool> cancelled_{false};
  std::mutex mutex_;
  // Guarded by mutex_.
  std::condition_variable wake_;
  bool writing_ = false;
};

// --------------------------------------------------------------------------------------------
// check

class CheckReactor final : public TaskReactor<v1::CheckResponse> {
 public:
  CheckReactor(grpc::CallbackServerContext* context, const AdminParts& parts,
               const v1::CheckRequest& request)
      : TaskReactor(context, parts), options_{.quick = request.quick()} {
    Begin();
  }

 private:
  absl::Status Run(const UpkeepWatch& watch, v1::CheckResponse& last) override {
    RETORT_ASSIGN_OR_RETURN(const CheckReport report, parts_.upkeep.Check(options_, watch));
    v1::CheckReport* message = last.mutable_report();
    for (const Finding& finding : report.findings) {
      if (message->findings_size() == kMostFindingsSent) break;
      v1::Finding* added = message->add_findings();
      added->set_code(static_cast<v1::FindingCode>(finding.code));
      added->set_severity(finding.error ? v1::SEVERITY_ERROR : v1::SEVERITY_WARNING);
      added->set_subject(finding.subject);
      added->set_message(finding.message);
    }
    message->set_all_findings(report.all_findings);
    message->set_errors(report.errors);
    message->set_sweeps(report.facts.sweeps);
    message->set_jobs(report.facts.jobs);
    message->set_results(report.facts.results);
    message->set_points(report.facts.points);
    message->set_artifacts(report.artifacts);
    message->set_bytes_read(report.bytes_read);
    message->set_unreferenced(report.unreferenced);
    message->set_unreferenced_bytes(report.unreferenced_bytes);
    return absl::OkStatus();
  }

  const CheckOptions options_;
};

// -------------------------------------------------------------------------------------------
// backup

class BackupReactor final : public TaskReactor<v1::BackupResponse> {
 public:
  BackupReactor(grpc::CallbackServerContext* context, const AdminParts& parts,
                const v1::BackupRequest& request)
      : TaskReactor(context, parts), request_(request) {
    Begin();
  }

 private:
  absl::Status Run(const UpkeepWatch& watch, v1::BackupResponse& last) override {
    if (request_.folder().empty() || request_.folder().size() > kLongestPath) {
      return absl::InvalidArgumentError(absl::StrCat("folder: ", request_.folder().size(),
                                                     " bytes; must be an absolute path of at most ",
                                                     kLongestPath));
    }
    RETORT_ASSIGN_OR_RETURN(
        last, Once<v1::BackupResponse>(parts_.coordinator, request_, request_.request_id(),
                                       "Backup", [&] { return MakeBackup(watch); }));
    return absl::OkStatus();
  }

  absl::StatusOr<v1::BackupResponse> MakeBackup(const UpkeepWatch& watch) {
    RETORT_ASSIGN_OR_RETURN(const BackupReport report,
                            parts_.upkeep.Backup(request_.folder(), watch));
    v1::BackupResponse response;
    v1::BackupReport* message = response.mutable_report();
    message->set_folder(report.target);
    message->set_time_ms(report.manifest.time_ms);
    message->set_schema_version(report.manifest.schema_version);
    message->set_sweeps(report.manifest.sweeps);
    message->set_jobs(report.manifest.jobs);
    message->set_results(report.manifest.results);
    message->set_database_bytes(report.manifest.database_bytes);
    message->set_artifacts(report.manifest.artifacts);
    message->set_artifact_bytes(report.manifest.artifact_bytes);
    message->set_linked_artifacts(report.linked);
    message->set_missing_artifacts(report.manifest.missing);
    message->set_logs(report.manifest.logs);
    message->set_log_bytes(report.manifest.log_bytes);
    return response;
  }

  const v1::BackupRequest request_;
};

// ------------------------------------------------------------------------------------------
// collect

absl::StatusOr<v1::CollectGarbageResponse> Collect(Upkeep& upkeep, bool dry_run,
                                                   const UpkeepWatch& watch) {
  RETORT_ASSIGN_OR_RETURN(const CollectReport report, upkeep.Collect({.dry_run = dry_run}, watch));
  v1::CollectGarbageResponse response;
  response.set_kept(report.kept);
  response.set_kept_bytes(report.kept_bytes);
  response.set_pinned(report.pinned);
  response.set_taken(report.taken);
  response.set_taken_bytes(report.taken_bytes);
  response.set_removed(report.removed);
  response.set_removed_bytes(report.removed_bytes);
  response.set_put_back(report.put_back);
  response.set_partial_removed(report.partial_removed);
  response.set_partial_bytes(report.partial_bytes);
  return response;
}

}  // namespace

grpc::ServerWriteReactor<v1::CheckResponse>* AdminService::Check(
    grpc::CallbackServerContext* context, const v1::CheckRequest* request) {
  return new CheckReactor(context, parts_, *request);
}

grpc::ServerWriteReactor<v1::BackupResponse>* AdminService::Backup(
    grpc::CallbackServerContext* context, const v1::BackupRequest* request) {
  return new BackupReactor(context, parts_, *request);
}

grpc::ServerUnaryReactor* AdminService::CollectGarbage(grpc::CallbackServerContext* context,
                                                       const v1::CollectGarbageRequest* request,
                                                       v1::CollectGarbageResponse* response) {
  if (const absl::Status status = CheckRequestBytes(*request, kMostRequestBytes); !status.ok())
    return Refuse(context, status);
  auto ticket = parts_.tasks.Enter(CallerOf(*context));
  if (!ticket.ok()) return Refuse(context, ticket.status());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto held = std::make_shared<Gate::Ticket>(*std::move(ticket));
  parts_.pool.Post([this, context, request, response, reactor, held] {
    if (IsOver(*context)) return reactor->Finish(grpc::Status::CANCELLED);
    // A collection that was begun goes on: what it took, it must be able to tell.
    auto collected = Once<v1::CollectGarbageResponse>(
        parts_.coordinator, *request, request->request_id(), "CollectGarbage",
        [&] { return Collect(parts_.upkeep, request->dry_run(), {}); });
    if (collected.ok()) *response = *std::move(collected);
    reactor->Finish(ToGrpc(collected.status()));
  });
  return reactor;
}

grpc::ServerUnaryReactor* AdminService::GetServerInfo(grpc::CallbackServerContext* context,
                                                      const v1::GetServerInfoRequest*,
                                                      v1::ServerInfo* response) {
  response->set_version(RETORT_VERSION);
  response->set_time_ms(absl::ToUnixMillis(parts_.clock.Read().wall));
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* AdminService::Diagnose(grpc::CallbackServerContext* context,
                                                 const v1::DiagnoseRequest*,
                                                 v1::DiagnoseResponse* response) {
  auto ticket = parts_.tasks.Enter(CallerOf(*context));
  if (!ticket.ok()) return Refuse(context, ticket.status());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto held = std::make_shared<Gate::Ticket>(*std::move(ticket));
  parts_.looks.Post([this, context, response, reactor, held] {
    if (IsOver(*context)) return reactor->Finish(grpc::Status::CANCELLED);
    auto facts = LookAfter(parts_.coordinator, parts_.upkeep.folder(), parts_.access);
    if (facts.ok()) {
      for (v1::Checkup& checkup : Judge(*facts, parts_.clock.Read().wall)) {
        *response->add_checkups() = std::move(checkup);
      }
    }
    reactor->Finish(ToGrpc(facts.status()));
  });
  return reactor;
}

grpc::ServerUnaryReactor* AdminService::OverTokens(
    grpc::CallbackServerContext* context, const google::protobuf::Message& request,
    std::function<absl::Status(AccessFolder& access, absl::Time now)> work) {
  if (const absl::Status status = CheckRequestBytes(request, kMostRequestBytes); !status.ok())
    return Refuse(context, status);
  if (parts_.access == nullptr) {
    return Refuse(context, absl::FailedPreconditionError(
                               "the coordinator was started with --insecure: it asks for no "
                               "tokens, and has none"));
  }
  auto ticket = parts_.tasks.Enter(CallerOf(*context));
  if (!ticket.ok()) return Refuse(context, ticket.status());
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto held = std::make_shared<Gate::Ticket>(*std::move(ticket));
  parts_.pool.Post([this, reactor, held, work = std::move(work)] {
    reactor->Finish(ToGrpc(work(*parts_.access, parts_.clock.Read().wall)));
  });
  return reactor;
}

grpc::ServerUnaryReactor* AdminService::CreateToken(grpc::CallbackServerContext* context,
                                                    const v1::CreateTokenRequest* request,
                                                    v1::CreateTokenResponse* response) {
  return OverTokens(
      context, *request, [request, response](AccessFolder& access, absl::Time now) -> absl::Status {
        RETORT_RETURN_IF_ERROR(CheckRequestId(request->request_id()));
        RETORT_ASSIGN_OR_RETURN(const NewToken token, access.tokens().Create(*request, now));
        RETORT_ASSIGN_OR_RETURN(*response->mutable_access_file(), access.FileFor(token, now));
        *response->mutable_token() = token.token;
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* AdminService::ListTokens(grpc::CallbackServerContext* context,
                                                   const v1::ListTokensRequest* request,
                                                   v1::ListTokensResponse* response) {
  return OverTokens(context, *request, [response](AccessFolder& access, absl::Time) {
    for (const v1::Token& token : access.tokens().List()) *response->add_tokens() = token;
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* AdminService::RevokeToken(grpc::CallbackServerContext* context,
                                                    const v1::RevokeTokenRequest* request,
                                                    v1::Token* response) {
  return OverTokens(
      context, *request, [request, response](AccessFolder& access, absl::Time now) -> absl::Status {
        RETORT_RETURN_IF_ERROR(CheckRequestId(request->request_id()));
        RETORT_ASSIGN_OR_RETURN(*response, access.tokens().Revoke(request->id(), now));
        return absl::OkStatus();
      });
}

}  // namespace retort
