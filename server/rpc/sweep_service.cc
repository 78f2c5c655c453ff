#include "server/rpc/sweep_service.h"

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/names.h"
#include "common/status.h"
#include "server/core/expand.h"
#include "server/rpc/convert.h"
#include "server/rpc/page_token.h"
#include "server/rpc/rpc_status.h"
#include "server/rpc/sweep_streams.h"
#include "server/rpc/unary.h"

namespace retort {
namespace {

constexpr int kMostFullJobs = 100;  // results are large, and a page is one message
constexpr int kMostSeries = 256;
constexpr int kMostPoints = 100'000;  // of a series
constexpr int kDefaultPoints = 1000;

// The integer key in a page token; unset for the first page.
absl::StatusOr<std::optional<int64_t>> AfterKey(const std::string& token,
                                                const std::string& arguments) {
  RETORT_ASSIGN_OR_RETURN(const std::string key, ParsePageToken(token, arguments));
  if (key.empty()) return std::optional<int64_t>();
  int64_t value = 0;
  if (!absl::SimpleAtoi(key, &value))
    return absl::InvalidArgumentError("page_token: is of another list");
  return std::optional<int64_t>(value);
}

std::string NextToken(const std::optional<int64_t>& next, const std::string& arguments) {
  return next.has_value() ? MakePageToken(absl::StrCat(*next), arguments) : std::string();
}

// Of `ids`, how many jobs have succeeded already. Runs on the strand.
int64_t CountKnown(const core::State& state, const std::vector<JobId>& ids) {
  return std::count_if(ids.begin(), ids.end(), [&state](const JobId& id) {
    const core::JobKey key = state.FindJob(id);
    return key && state.job(key).row.state == core::JobState::kSucceeded;
  });
}

}  // namespace

// -------------------------------------------------------------------------------------------
// sweeps

grpc::ServerUnaryReactor* SweepService::CreateSweep(Context* context,
                                                    const v1::CreateSweepRequest* request,
                                                    v1::CreateSweepResponse* response) {
  Unary* reactor = context->DefaultReactor();
  parts_.pool.Post([this, request, response, reactor] {
    absl::Status status = CheckSweepSpec(request->spec());
    if (status.ok() && !request->validate_only()) status = CheckRequestId(request->request_id());
    if (!status.ok()) return reactor->Finish(ToGrpc(status));
    request->validate_only() ? Validate(*request, response, reactor)
                             : Create(*request, response, reactor);
  });
  return reactor;
}

void SweepService::Validate(const v1::CreateSweepRequest& request,
                            v1::CreateSweepResponse* response, Unary* reactor) {
  auto jobs = core::Expand(request.spec(), {.jobs = parts_.max_jobs});
  if (!jobs.ok()) return reactor->Finish(ToGrpc(jobs.status()));
  response->set_jobs(static_cast<int64_t>(jobs->size()));
  auto ids = std::make_shared<std::vector<JobId>>();
  for (const core::NewJob& job : *jobs) ids->push_back(job.id);
  parts_.coordinator.Inspect(
      [ids, response](const core::State& state) {
        response->set_known_jobs(CountKnown(state, *ids));
      },
      [response, reactor](absl::StatusOr<Answer> answer) {
        response->mutable_sweep()->set_known_jobs(response->known_jobs());
        reactor->Finish(ToGrpc(answer.status()));
      });
}

void SweepService::Create(const v1::CreateSweepRequest& request, v1::CreateSweepResponse* response,
                          Unary* reactor) {
  if (const absl::Status status = CheckUploaded(request.spec()); !status.ok())
    return reactor->Finish(ToGrpc(status));
  parts_.coordinator.CreateSweep(
      request.request_id(), std::make_shared<const v1::SweepSpec>(request.spec()),
      [this, response, reactor](absl::StatusOr<Answer> answer) {
        if (!answer.ok()) return reactor->Finish(ToGrpc(answer.status()));
        parts_.pool.Post(
            [this, response, reactor, reply = std::get<core::SweepReply>(*std::move(answer))] {
              response->set_jobs(reply.jobs);
              response->set_known_jobs(reply.known);
              const absl::Status status = ReadSweep(reply.name, response->mutable_sweep());
              response->mutable_sweep()->clear_spec();
              reactor->Finish(ToGrpc(status));
            });
      });
}

absl::Status SweepService::CheckUploaded(const v1::SweepSpec& spec) const {
  for (const v1::NamedDataset& dataset : spec.datasets()) {
    RETORT_ASSIGN_OR_RETURN(const ArtifactHash hash,
                            ArtifactHash::FromHex(dataset.info().sha256()));
    if (parts_.artifacts.Has(hash)) continue;
    return absl::FailedPreconditionError(absl::StrCat("spec.datasets: dataset '", dataset.name(),
                                                      "' (", hash.hex(), ") was not uploaded"));
  }
  return absl::OkStatus();
}

absl::Status SweepService::ReadSweep(const std::string& name, v1::Sweep* sweep) const {
  RETORT_ASSIGN_OR_RETURN(*sweep, parts_.reader.Sweep(name));
  AddProgress(*parts_.coordinator.progress(), sweep);
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* SweepService::GetSweep(Context* context,
                                                 const v1::GetSweepRequest* request,
                                                 v1::Sweep* response) {
  return AnswerOn(context, parts_.pool, [this, request, response]() -> absl::Status {
    RETORT_ASSIGN_OR_RETURN(const std::string name, ParseSweepName(request->name()));
    return ReadSweep(name, response);
  });
}

grpc::ServerUnaryReactor* SweepService::ListSweeps(Context* context,
                                                   const v1::ListSweepsRequest* request,
                                                   v1::ListSweepsResponse* response) {
  return AnswerOn(context, parts_.pool, [this, request, response]() -> absl::Status {
    constexpr char kArguments[] = "sweeps";
    RETORT_ASSIGN_OR_RETURN(const int32_t size, PageSize(request->page_size()));
    RETORT_ASSIGN_OR_RETURN(const auto after, AfterKey(request->page_token(), kArguments));
    RETORT_ASSIGN_OR_RETURN(store::SweepPage page, parts_.reader.Sweeps(after, size));
    const auto progress = parts_.coordinator.progress();
    for (v1::Sweep& sweep : page.sweeps) {
      AddProgress(*progress, &sweep);
      *response->add_sweeps() = std::move(sweep);
    }
    response->set_next_page_token(NextToken(page.next, kArguments));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SweepService::PauseSweep(Context* context,
                                                   const v1::ChangeSweepRequest* request,
                                                   v1::Sweep* response) {
  return ChangeSweep(context, *request, core::ChangeSweep::What::kPause, response);
}

grpc::ServerUnaryReactor* SweepService::ResumeSweep(Context* context,
                                                    const v1::ChangeSweepRequest* request,
                                                    v1::Sweep* response) {
  return ChangeSweep(context, *request, core::ChangeSweep::What::kResume, response);
}

grpc::ServerUnaryReactor* SweepService::CancelSweep(Context* context,
                                                    const v1::ChangeSweepRequest* request,
                                                    v1::Sweep* response) {
  return ChangeSweep(context, *request, core::ChangeSweep::What::kCancel, response);
}

grpc::ServerUnaryReactor* SweepService::ChangeSweep(Context* context,
                                                    const v1::ChangeSweepRequest& request,
                                                    core::ChangeSweep::What what,
                                                    v1::Sweep* response) {
  Unary* reactor = context->DefaultReactor();
  auto change = ToChangeSweep(request, what);
  if (!change.ok()) {
    reactor->Finish(ToGrpc(change.status()));
    return reactor;
  }
  PostChange(*std::move(change), reactor, [this, response](const Answer& answer) {
    const absl::Status status = ReadSweep(std::get<core::SweepReply>(answer).name, response);
    response->clear_spec();
    return status;
  });
  return reactor;
}

void SweepService::PostChange(core::Input input, Unary* reactor,
                              std::function<absl::Status(const Answer&)> then) {
  parts_.coordinator.Post(std::move(input),
                          [this, reactor, then = std::move(then)](absl::StatusOr<Answer> answer) {
                            if (!answer.ok()) return reactor->Finish(ToGrpc(answer.status()));
                            parts_.pool.Post([reactor, then, answer = *std::move(answer)] {
                              reactor->Finish(ToGrpc(then(answer)));
                            });
                          });
}

grpc::ServerWriteReactor<v1::Sweep>* SweepService::WatchSweep(Context*,
                                                              const v1::GetSweepRequest* request) {
  return StartWatch(parts_, *request);
}

// ---------------------------------------------------------------------------------------------
// jobs

grpc::ServerUnaryReactor* SweepService::ListJobs(Context* context,
                                                 const v1::ListJobsRequest* request,
                                                 v1::ListJobsResponse* response) {
  return AnswerOn(context, parts_.pool, [this, request, response]() -> absl::Status {
    store::JobFilter filter;
    if (!request->sweep().empty()) {
      RETORT_ASSIGN_OR_RETURN(filter.sweep, ParseSweepName(request->sweep()));
    }
    RETORT_ASSIGN_OR_RETURN(filter.states, ToJobStates(request->states()));
    filter.full = request->full();
    RETORT_ASSIGN_OR_RETURN(int32_t size, PageSize(request->page_size()));
    if (filter.full) size = std::min(size, kMostFullJobs);
    const std::string arguments = absl::StrCat(
        "jobs ", filter.sweep, " ", absl::StrJoin(request->states(), ","), " ", filter.full);
    RETORT_ASSIGN_OR_RETURN(const auto after, AfterKey(request->page_token(), arguments));
    RETORT_ASSIGN_OR_RETURN(store::JobPage page, parts_.reader.Jobs(filter, after, size));
    const auto progress = parts_.coordinator.progress();
    for (v1::Job& job : page.jobs) {
      AddProgress(*progress, &job);
      *response->add_jobs() = std::move(job);
    }
    response->set_next_page_token(NextToken(page.next, arguments));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SweepService::GetJob(Context* context, const v1::GetJobRequest* request,
                                               v1::Job* response) {
  return AnswerOn(context, parts_.pool, [this, request, response]() -> absl::Status {
    RETORT_ASSIGN_OR_RETURN(const std::string prefix, ParseJobPrefix(request->name()));
    RETORT_ASSIGN_OR_RETURN(*response, parts_.reader.Job(prefix));
    AddProgress(*parts_.coordinator.progress(), response);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SweepService::RetryJobs(Context* context,
                                                  const v1::ChangeJobsRequest* request,
                                                  v1::ChangeJobsResponse* response) {
  return ChangeJobs(context, *request, core::ChangeJobs::What::kRetry, response);
}

grpc::ServerUnaryReactor* SweepService::CancelJobs(Context* context,
                                                   const v1::ChangeJobsRequest* request,
                                                   v1::ChangeJobsResponse* response) {
  return ChangeJobs(context, *request, core::ChangeJobs::What::kCancel, response);
}

grpc::ServerUnaryReactor* SweepService::ChangeJobs(Context* context,
                                                   const v1::ChangeJobsRequest& request,
                                                   core::ChangeJobs::What what,
                                                   v1::ChangeJobsResponse* response) {
  Unary* reactor = context->DefaultReactor();
  auto change = ToChangeJobs(request, what);
  if (!change.ok()) {
    reactor->Finish(ToGrpc(change.status()));
    return reactor;
  }
  PostChange(*std::move(change), reactor, [response](const Answer& answer) {
    const auto& reply = std::get<core::JobsReply>(answer);
    if (reply.pending) {
      return absl::UnavailableError(
          absl::StrCat("a large sweep is gone through a part at a time, ", reply.changed,
                       " jobs changed so far; it goes on by itself, ask again for the number"));
    }
    response->set_changed(reply.changed);
    return absl::OkStatus();
  });
  return reactor;
}

grpc::ServerUnaryReactor* SweepService::ReadMetrics(Context* context,
                                                    const v1::ReadMetricsRequest* request,
                                                    v1::ReadMetricsResponse* response) {
  return AnswerOn(context, parts_.pool, [this, request, response]() -> absl::Status {
    RETORT_ASSIGN_OR_RETURN(const JobId job, ParseJobName(request->job()));
    const int most = request->max_points() == 0 ? kDefaultPoints : request->max_points();
    if (most < 2 || most > kMostPoints) {
      return absl::InvalidArgumentError(absl::StrCat("max_points: ", most, "; must be 2 to ",
                                                     kMostPoints, " (0: ", kDefaultPoints, ")"));
    }
    if (request->series_size() > kMostSeries) {
      return absl::InvalidArgumentError(absl::StrCat("series: ", request->series_size(),
                                                     " entries; must be at most ", kMostSeries));
    }
    const std::vector<std::string> series(request->series().begin(), request->series().end());
    RETORT_ASSIGN_OR_RETURN(std::vector<v1::MetricPoint> points,
                            parts_.reader.Metrics(job, series, most));
    for (v1::MetricPoint& point : points) *response->add_points() = std::move(point);
    return absl::OkStatus();
  });
}

grpc::ServerWriteReactor<v1::TailLogsResponse>* SweepService::TailLogs(
    Context*, const v1::TailLogsRequest* request) {
  return StartTail(parts_, *request);
}

// ------------------------------------------------------------------------------------------
// workers

grpc::ServerUnaryReactor* SweepService::ListWorkers(Context* context,
                                                    const v1::ListWorkersRequest* request,
                                                    v1::ListWorkersResponse* response) {
  return AnswerOn(context, parts_.pool, [this, request, response]() -> absl::Status {
    constexpr char kArguments[] = "workers";
    RETORT_ASSIGN_OR_RETURN(const int32_t size, PageSize(request->page_size()));
    RETORT_ASSIGN_OR_RETURN(const std::string after,
                            ParsePageToken(request->page_token(), kArguments));
    RETORT_ASSIGN_OR_RETURN(store::WorkerPage page, parts_.reader.Workers(after, size));
    const auto progress = parts_.coordinator.progress();
    for (v1::Worker& worker : page.workers) {
      AddProgress(*progress, &worker);
      *response->add_workers() = std::move(worker);
    }
    if (page.next.has_value()) response->set_next_page_token(MakePageToken(*page.next, kArguments));
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* SweepService::DrainWorker(Context* context,
                                                    const v1::ChangeWorkerRequest* request,
                                                    v1::Worker* response) {
  return ChangeWorker(context, *request, core::ChangeWorker::What::kDrain, response);
}

grpc::ServerUnaryReactor* SweepService::ReleaseWorker(Context* context,
                                                      const v1::ChangeWorkerRequest* request,
                                                      v1::Worker* response) {
  return ChangeWorker(context, *request, core::ChangeWorker::What::kRelease, response);
}

grpc::ServerUnaryReactor* SweepService::ChangeWorker(Context* context,
                                                     const v1::ChangeWorkerRequest& request,
                                                     core::ChangeWorker::What what,
                                                     v1::Worker* response) {
  Unary* reactor = context->DefaultReactor();
  auto change = ToChangeWorker(request, what);
  if (!change.ok()) {
    reactor->Finish(ToGrpc(change.status()));
    return reactor;
  }
  PostChange(*std::move(change), reactor, [this, response](const Answer& answer) -> absl::Status {
    RETORT_ASSIGN_OR_RETURN(*response,
                            parts_.reader.Worker(std::get<core::WorkerReply>(answer).name));
    AddProgress(*parts_.coordinator.progress(), response);
    return absl::OkStatus();
  });
  return reactor;
}

grpc::ServerWriteReactor<v1::QueryResponse>* SweepService::Query(Context* context,
                                                                 const v1::QueryRequest* request) {
  return StartQuery(context, parts_, *request);
}

}  // namespace retort
