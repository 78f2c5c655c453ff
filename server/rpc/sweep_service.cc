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
#include "server/core/requests.h"
#include "server/rpc/convert.h"
#include "server/rpc/dataset_check.h"
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
constexpr size_t kRoomAroundSpec = 1024;  // of a CreateSweepRequest

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

// Most jobs that an answer lists of what a sweep would be.
constexpr size_t kMostPlanned = 5000;

struct Planned {
  JobId id;
  double cost;
};

void AddPlanned(const core::NewJob& job, v1::CreateSweepResponse* response) {
  v1::Job& planned = *response->add_plan();
  planned.set_name(JobName(job.id));
  planned.set_kind(job.kind == core::JobKind::kTeacher ? v1::JOB_KIND_TEACHER
                                                       : v1::JOB_KIND_STUDENT);
  planned.set_model(job.model);
  planned.set_method(job.method);
  planned.set_teacher(job.teacher_label);
  planned.set_seed(job.seed);
  planned.set_fold(job.fold);
  planned.set_epochs(job.epochs);
  planned.set_expected_cost(job.expected_cost);
  planned.set_memory_bytes(job.memory_bytes);
  if (job.teacher) planned.set_teacher_job(JobName(*job.teacher));
}

// What is known of the jobs, and how long the others would take. Runs on the strand.
void TellKnown(const core::State& state, const std::vector<Planned>& jobs,
               v1::CreateSweepResponse* response) {
  int64_t known = 0;
  double cost = 0;
  for (size_t i = 0; i < jobs.size(); ++i) {
    const core::JobKey key = state.FindJob(jobs[i].id);
    const bool succeeded = key && state.job(key).row.state == core::JobState::kSucceeded;
    succeeded ? ++known : cost += jobs[i].cost;
    if (!key || i >= kMostPlanned) continue;
    response->mutable_plan(static_cast<int>(i))
        ->set_state(static_cast<v1::JobState>(state.job(key).row.state));
  }
  response->set_known_jobs(known);
  const int64_t open = static_cast<int64_t>(jobs.size()) - known;
  response->set_expected_s(open == 0 ? 0 : ExpectedSeconds(state, open, cost));
}

}  // namespace

grpc::ServerUnaryReactor* SweepService::Read(Context* context,
                                             const google::protobuf::Message& request,
                                             std::function<absl::Status()> work) {
  return AnswerOn(context, parts_.reads, request, parts_.limits.read_request_bytes,
                  std::move(work));
}

// -------------------------------------------------------------------------------------------
// changes

std::optional<SweepService::Change> SweepService::Admit(Context* context,
                                                        const google::protobuf::Message& request,
                                                        size_t most_bytes, Unary* reactor) {
  const std::string caller = CallerOf(*context);
  absl::Status status = CheckRequestBytes(request, most_bytes);
  if (status.ok()) {
    auto ticket = parts_.mutations.Enter(caller);
    if (ticket.ok()) {
      return Change{reactor, caller, std::make_shared<Gate::Ticket>(*std::move(ticket))};
    }
    status = ticket.status();
  }
  reactor->Finish(ToGrpc(status));
  return std::nullopt;
}

template <typename Input>
grpc::ServerUnaryReactor* SweepService::PostChange(
    Context* context, const google::protobuf::Message& request, const absl::StatusOr<Input>& input,
    std::function<absl::Status(const Answer&)> then) {
  Unary* reactor = context->DefaultReactor();
  const auto change = Admit(context, request, parts_.limits.change_request_bytes, reactor);
  if (!change) return reactor;
  if (!input.ok()) {
    reactor->Finish(ToGrpc(input.status()));
    return reactor;
  }
  parts_.coordinator.Post(
      *input,
      [this, change = *change, then = std::move(then)](absl::StatusOr<Answer> answer) {
        if (!answer.ok()) return change.reactor->Finish(ToGrpc(answer.status()));
        parts_.reads.Continue(change.caller, [change, then, answer = *std::move(answer)] {
          change.reactor->Finish(ToGrpc(then(answer)));
        });
      },
      [context] { return IsOver(*context); });
  return reactor;
}

// -------------------------------------------------------------------------------------------
// sweeps

grpc::ServerUnaryReactor* SweepService::CreateSweep(Context* context,
                                                    const v1::CreateSweepRequest* request,
                                                    v1::CreateSweepResponse* response) {
  Unary* reactor = context->DefaultReactor();
  const auto change = Admit(context, *request, kMaxSpecBytes + kRoomAroundSpec, reactor);
  if (!change) return reactor;
  // Telling what a million jobs would be takes seconds: it must not keep reads waiting.
  Lane& lane = request->validate_only() ? parts_.queries : parts_.reads;
  lane.Continue(change->caller, [this, context, request, response, change = *change] {
    absl::Status status = IsOver(*context) ? absl::CancelledError("the caller has gone")
                                           : CheckSweepSpec(request->spec());
    if (status.ok() && !request->validate_only()) status = CheckRequestId(request->request_id());
    if (!status.ok()) return change.reactor->Finish(ToGrpc(status));
    request->validate_only() ? Validate(*request, response, change)
                             : Create(*request, response, change);
  });
  return reactor;
}

void SweepService::Validate(const v1::CreateSweepRequest& request,
                            v1::CreateSweepResponse* response, const Change& change) {
  auto jobs = core::Expand(request.spec(), {.jobs = parts_.max_jobs});
  if (!jobs.ok()) return change.reactor->Finish(ToGrpc(jobs.status()));
  response->set_jobs(jobs->size());
  for (const core::NewJob& job : jobs->Jobs(0, kMostPlanned)) AddPlanned(job, response);
  auto planned = std::make_shared<std::vector<Planned>>();
  for (int64_t i = 0; i < jobs->size(); ++i) {
    planned->push_back({jobs->id(i), jobs->expected_cost(i)});
  }
  parts_.coordinator.Inspect(
      [planned, response](const core::State& state) { TellKnown(state, *planned, response); },
      [response, change](absl::StatusOr<Answer> answer) {
        response->mutable_sweep()->set_known_jobs(response->known_jobs());
        change.reactor->Finish(ToGrpc(answer.status()));
      });
}

// A repeat is answered from what is remembered: its datasets need not be held any more, and nothing
// is expanded again.
void SweepService::Create(const v1::CreateSweepRequest& request, v1::CreateSweepResponse* response,
                          const Change& change) {
  using Known = absl::StatusOr<std::optional<core::SweepReply>>;
  auto known = std::make_shared<Known>(std::nullopt);
  const std::string arguments = core::HashOfArguments(request.spec());
  parts_.coordinator.Inspect(
      [&request, known, arguments](const core::State& state) {
        *known = core::FindCreatedSweep(state, request.request_id(), arguments);
      },
      [this, &request, response, change, known](absl::StatusOr<Answer> answer) {
        if (!answer.ok()) return change.reactor->Finish(ToGrpc(answer.status()));
        if (!known->ok()) return change.reactor->Finish(ToGrpc(known->status()));
        parts_.reads.Continue(change.caller, [this, &request, response, change, known] {
          known->value().has_value() ? AnswerCreated(*known->value(), response, change)
                                     : CreateNew(request, response, change);
        });
      });
}

void SweepService::CreateNew(const v1::CreateSweepRequest& request,
                             v1::CreateSweepResponse* response, const Change& change) {
  const absl::Status held = CheckDatasets(parts_.artifacts, request.spec());
  if (!held.ok()) return change.reactor->Finish(ToGrpc(held));
  parts_.coordinator.CreateSweep(
      request.request_id(), std::make_shared<const v1::SweepSpec>(request.spec()),
      [this, response, change](absl::StatusOr<Answer> answer) {
        if (!answer.ok()) return change.reactor->Finish(ToGrpc(answer.status()));
        parts_.reads.Continue(
            change.caller,
            [this, response, change, reply = std::get<core::SweepReply>(*std::move(answer))] {
              AnswerCreated(reply, response, change);
            });
      });
}

void SweepService::AnswerCreated(const core::SweepReply& reply, v1::CreateSweepResponse* response,
                                 const Change& change) {
  response->set_jobs(reply.jobs);
  response->set_known_jobs(reply.known);
  const absl::Status status = ReadSweep(reply.name, response->mutable_sweep());
  response->mutable_sweep()->clear_spec();
  change.reactor->Finish(ToGrpc(status));
}

absl::Status SweepService::ReadSweep(const std::string& name, v1::Sweep* sweep) const {
  RETORT_ASSIGN_OR_RETURN(*sweep, parts_.reader.Sweep(name));
  AddProgress(*parts_.coordinator.progress(), sweep);
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* SweepService::GetSweep(Context* context,
                                                 const v1::GetSweepRequest* request,
                                                 v1::Sweep* response) {
  return Read(context, *request, [this, request, response]() -> absl::Status {
    RETORT_ASSIGN_OR_RETURN(const std::string name, ParseSweepName(request->name()));
    return ReadSweep(name, response);
  });
}

grpc::ServerUnaryReactor* SweepService::ListSweeps(Context* context,
                                                   const v1::ListSweepsRequest* request,
                                                   v1::ListSweepsResponse* response) {
  return Read(context, *request, [this, request, response]() -> absl::Status {
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
  return PostChange(
      context, request, ToChangeSweep(request, what), [this, response](const Answer& answer) {
        const absl::Status status = ReadSweep(std::get<core::SweepReply>(answer).name, response);
        response->clear_spec();
        return status;
      });
}

grpc::ServerWriteReactor<v1::Sweep>* SweepService::WatchSweep(Context* context,
                                                              const v1::GetSweepRequest* request) {
  return StartWatch(context, parts_, *request);
}

// ---------------------------------------------------------------------------------------------
// jobs

grpc::ServerUnaryReactor* SweepService::ListJobs(Context* context,
                                                 const v1::ListJobsRequest* request,
                                                 v1::ListJobsResponse* response) {
  return Read(context, *request, [this, request, response]() -> absl::Status {
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
  return Read(context, *request, [this, request, response]() -> absl::Status {
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
  return PostChange(
      context, request, ToChangeJobs(request, what), [response](const Answer& answer) {
        const auto& reply = std::get<core::JobsReply>(answer);
        if (reply.pending) {
          return absl::UnavailableError(
              absl::StrCat("a large sweep is gone through a part at a time, ", reply.changed,
                           " jobs changed so far; it goes on by itself, ask again for the number"));
        }
        response->set_changed(reply.changed);
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* SweepService::ReadMetrics(Context* context,
                                                    const v1::ReadMetricsRequest* request,
                                                    v1::ReadMetricsResponse* response) {
  return Read(context, *request, [this, request, response]() -> absl::Status {
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
    Context* context, const v1::TailLogsRequest* request) {
  return StartTail(context, parts_, *request);
}

// ------------------------------------------------------------------------------------------
// workers

grpc::ServerUnaryReactor* SweepService::ListWorkers(Context* context,
                                                    const v1::ListWorkersRequest* request,
                                                    v1::ListWorkersResponse* response) {
  return Read(context, *request, [this, request, response]() -> absl::Status {
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
  return PostChange(context, request, ToChangeWorker(request, what),
                    [this, response](const Answer& answer) -> absl::Status {
                      RETORT_ASSIGN_OR_RETURN(
                          *response,
                          parts_.reader.Worker(std::get<core::WorkerReply>(answer).name));
                      AddProgress(*parts_.coordinator.progress(), response);
                      return absl::OkStatus();
                    });
}

grpc::ServerWriteReactor<v1::QueryResponse>* SweepService::Query(Context* context,
                                                                 const v1::QueryRequest* request) {
  return StartQuery(context, parts_, *request);
}

}  // namespace retort
