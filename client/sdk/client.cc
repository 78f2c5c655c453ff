#include "client/sdk/client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_join.h"
#include "client/sdk/calls.h"
#include "client/sdk/polled_stream.h"
#include "common/access/link.h"
#include "common/files.h"
#include "common/names.h"
#include "common/status.h"

namespace retort {
namespace {

using SweepStub = v1::SweepService::Stub;

constexpr int kMaxMessageBytes = 64 << 20;
constexpr int kPage = 1000;
constexpr int kFullPage = 200;  // results of many subjects are long
constexpr absl::Duration kTick = absl::Milliseconds(250);

// A coordinator that was restarted is found again within a second.
const LinkOptions& LinkOfClients() {
  static const auto& options = *new LinkOptions{.message_bytes = kMaxMessageBytes,
                                                .keepalive = absl::Seconds(20),
                                                .first_reconnect = absl::Milliseconds(100),
                                                .most_reconnect = absl::Seconds(1)};
  return options;
}

AccessSource SourceOf(const std::string& address) {
  AccessSource plain;
  plain.access.addresses = {address};
  return ChooseAccess({.access_path = "", .coordinator = address, .insecure = true},
                      {"admin", "operator", "viewer"})
      .value_or(plain);
}

std::string JobResource(std::string_view id) { return "jobs/" + std::string(id); }

bool HasEnded(const v1::Sweep& sweep) {
  return sweep.state() == v1::SWEEP_STATE_DONE || sweep.state() == v1::SWEEP_STATE_CANCELLED;
}

v1::ChangeSweepRequest ChangeSweep(std::string_view sweep) {
  v1::ChangeSweepRequest request;
  request.set_request_id(NewUuid());
  request.set_name(SweepName(sweep));
  return request;
}

v1::ChangeWorkerRequest ChangeWorker(std::string_view worker) {
  v1::ChangeWorkerRequest request;
  request.set_request_id(NewUuid());
  request.set_name(WorkerName(worker));
  return request;
}

}  // namespace

Client::Client(const AccessSource& source, ClientOptions options)
    : address_(absl::StrJoin(source.access.addresses, ", ")),
      options_(options),
      channel_(
          [link = std::make_shared<Link>(source, LinkOfClients())] { return link->channel(); }) {}

Client::Client(const std::string& address, ClientOptions options)
    : Client(SourceOf(address), options) {}

Client::Client(std::shared_ptr<grpc::Channel> channel, std::string address, ClientOptions options)
    : address_(std::move(address)),
      options_(options),
      channel_([channel = std::move(channel)] { return channel; }) {}

Client Client::With(const ClientOptions& options) const {
  Client other = *this;
  other.options_ = options;
  return other;
}

std::unique_ptr<v1::SweepService::Stub> Client::sweeps() const {
  return v1::SweepService::NewStub(channel_());
}
std::unique_ptr<v1::ArtifactService::Stub> Client::artifacts() const {
  return v1::ArtifactService::NewStub(channel_());
}
std::unique_ptr<v1::AdminService::Stub> Client::admin() const {
  return v1::AdminService::NewStub(channel_());
}

absl::Status Client::WaitUntilServing(absl::Duration timeout,
                                      const std::function<bool()>& keep_waiting) {
  const absl::Time give_up = absl::Now() + timeout;
  const ClientOptions once{absl::Seconds(5), absl::ZeroDuration()};
  v1::ListSweepsRequest request;
  request.set_page_size(1);
  while (true) {
    const auto answer = Call(once, address_, channel_, &SweepStub::ListSweeps, request);
    if (answer.ok() || absl::Now() > give_up) return answer.status();
    if (!absl::IsUnavailable(answer.status()) && !absl::IsDeadlineExceeded(answer.status())) {
      return answer.status();
    }
    if (keep_waiting && !keep_waiting()) return absl::CancelledError("interrupted");
    WaitForChannel(*channel_(), absl::Milliseconds(50));
  }
}

absl::StatusOr<v1::CreateSweepResponse> Client::Submit(
    const v1::SweepSpec& spec, const std::map<std::string, std::string>& file_paths,
    bool validate_only) {
  if (!validate_only) {
    for (const auto& [sha256, path] : file_paths) {
      RETORT_RETURN_IF_ERROR(Upload(path, sha256));
    }
  }
  v1::CreateSweepRequest request;
  request.set_request_id(NewUuid());
  *request.mutable_spec() = spec;
  request.set_validate_only(validate_only);
  return Call(options_, address_, channel_, &SweepStub::CreateSweep, request);
}

absl::StatusOr<v1::Sweep> Client::GetSweep(std::string_view sweep) {
  v1::GetSweepRequest request;
  request.set_name(SweepName(sweep));
  return Call(options_, address_, channel_, &SweepStub::GetSweep, request);
}

absl::StatusOr<std::vector<v1::Sweep>> Client::ListSweeps() {
  std::vector<v1::Sweep> out;
  v1::ListSweepsRequest request;
  request.set_page_size(kPage);
  do {
    RETORT_ASSIGN_OR_RETURN(v1::ListSweepsResponse page,
                            Call(options_, address_, channel_, &SweepStub::ListSweeps, request));
    for (v1::Sweep& sweep : *page.mutable_sweeps()) out.push_back(std::move(sweep));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return out;
}

absl::StatusOr<v1::Sweep> Client::PauseSweep(std::string_view sweep) {
  return Call(options_, address_, channel_, &SweepStub::PauseSweep, ChangeSweep(sweep));
}
absl::StatusOr<v1::Sweep> Client::ResumeSweep(std::string_view sweep) {
  return Call(options_, address_, channel_, &SweepStub::ResumeSweep, ChangeSweep(sweep));
}
absl::StatusOr<v1::Sweep> Client::CancelSweep(std::string_view sweep) {
  return Call(options_, address_, channel_, &SweepStub::CancelSweep, ChangeSweep(sweep));
}

absl::StatusOr<v1::Sweep> Client::WaitForSweep(
    std::string_view sweep, absl::Duration timeout,
    const std::function<bool(const SweepProgress&)>& on_progress) {
  // A stream is opened anew from time to time, so that a connection that died unnoticed is found.
  constexpr absl::Duration kStream = absl::Seconds(20);
  const absl::Time give_up = absl::Now() + timeout;
  v1::GetSweepRequest request;
  request.set_name(SweepName(sweep));
  SweepProgress progress;
  absl::Time answered = absl::Now();
  while (true) {
    PolledStream<v1::Sweep> stream(kStream, [&](auto* context, auto* queue) {
      return sweeps()->PrepareAsyncWatchSweep(context, request, queue);
    });
    StreamEvent event = StreamEvent::kNothing;
    while (event != StreamEvent::kEnd) {
      event = stream.Next(kTick, progress.sweep);
      const auto code = stream.status().error_code();
      // A coordinator that ends may cancel its calls before it is gone: nobody here did.
      const bool away = event == StreamEvent::kEnd && (code == grpc::StatusCode::UNAVAILABLE ||
                                                       code == grpc::StatusCode::CANCELLED);
      if (event == StreamEvent::kEnd && !away && code != grpc::StatusCode::OK &&
          code != grpc::StatusCode::DEADLINE_EXCEEDED) {
        return FromGrpc(stream.status(), address_);
      }
      if (!away) answered = absl::Now();
      progress.away = away ? absl::Now() - answered : absl::ZeroDuration();
      if (on_progress && !on_progress(progress)) return absl::CancelledError("interrupted");
      if (HasEnded(progress.sweep)) return progress.sweep;
      if (absl::Now() > give_up) {
        return absl::DeadlineExceededError(absl::StrCat(
            "sweep ", std::string(sweep), " has not ended within ", absl::FormatDuration(timeout)));
      }
    }
    WaitForChannel(*channel_(), kTick);
  }
}

absl::StatusOr<std::vector<v1::Job>> Client::ListJobs(std::string_view sweep,
                                                      const std::vector<v1::JobState>& states,
                                                      bool full) {
  std::vector<v1::Job> out;
  v1::ListJobsRequest request;
  if (!sweep.empty()) request.set_sweep(SweepName(sweep));
  for (const v1::JobState state : states) request.add_states(state);
  request.set_full(full);
  request.set_page_size(full ? kFullPage : kPage);
  do {
    RETORT_ASSIGN_OR_RETURN(v1::ListJobsResponse page,
                            Call(options_, address_, channel_, &SweepStub::ListJobs, request));
    for (v1::Job& job : *page.mutable_jobs()) out.push_back(std::move(job));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return out;
}

absl::StatusOr<v1::Job> Client::GetJob(std::string_view id) {
  v1::GetJobRequest request;
  request.set_name(JobResource(id));
  return Call(options_, address_, channel_, &SweepStub::GetJob, request);
}

absl::StatusOr<v1::Explanation> Client::ExplainJob(std::string_view id) {
  v1::ExplainJobRequest request;
  request.set_name(JobResource(id));
  return Call(options_, address_, channel_, &SweepStub::ExplainJob, request);
}

absl::StatusOr<int64_t> Client::RetryJobs(std::string_view sweep,
                                          const std::vector<v1::JobState>& states,
                                          const std::vector<v1::FailureCause>& causes) {
  v1::ChangeJobsRequest request;
  request.set_request_id(NewUuid());
  request.set_sweep(SweepName(sweep));
  for (const v1::JobState state : states) request.add_states(state);
  for (const v1::FailureCause cause : causes) request.add_causes(cause);
  RETORT_ASSIGN_OR_RETURN(const auto answer,
                          Call(options_, address_, channel_, &SweepStub::RetryJobs, request));
  return answer.changed();
}

absl::StatusOr<int64_t> Client::RetryJobs(const std::vector<std::string>& ids,
                                          const std::vector<v1::FailureCause>& causes) {
  v1::ChangeJobsRequest request;
  request.set_request_id(NewUuid());
  for (const std::string& id : ids) request.add_names(JobResource(id));
  for (const v1::FailureCause cause : causes) request.add_causes(cause);
  RETORT_ASSIGN_OR_RETURN(const auto answer,
                          Call(options_, address_, channel_, &SweepStub::RetryJobs, request));
  return answer.changed();
}

absl::StatusOr<int64_t> Client::CancelJobs(const std::vector<std::string>& ids) {
  v1::ChangeJobsRequest request;
  request.set_request_id(NewUuid());
  for (const std::string& id : ids) request.add_names(JobResource(id));
  RETORT_ASSIGN_OR_RETURN(const auto answer,
                          Call(options_, address_, channel_, &SweepStub::CancelJobs, request));
  return answer.changed();
}

absl::StatusOr<std::vector<v1::MetricPoint>> Client::ReadMetrics(
    std::string_view id, const std::vector<std::string>& series, int max_points) {
  v1::ReadMetricsRequest request;
  request.set_max_points(max_points);
  request.set_job(JobResource(id));
  request.mutable_series()->Assign(series.begin(), series.end());
  RETORT_ASSIGN_OR_RETURN(v1::ReadMetricsResponse answer,
                          Call(options_, address_, channel_, &SweepStub::ReadMetrics, request));
  return std::vector<v1::MetricPoint>(answer.points().begin(), answer.points().end());
}

absl::Status Client::TailLogs(std::string_view id, int attempt, int64_t offset, bool follow,
                              const std::function<bool(std::string_view)>& on_data) {
  v1::TailLogsRequest request;
  request.set_job(JobResource(id));
  request.set_attempt(attempt);
  request.set_offset(offset);
  request.set_follow(follow);
  return Repeat(options_, address_, channel_, [&] {
    PolledStream<v1::TailLogsResponse> stream(
        follow ? absl::InfiniteDuration() : options_.deadline, [&](auto* context, auto* queue) {
          return sweeps()->PrepareAsyncTailLogs(context, request, queue);
        });
    v1::TailLogsResponse part;
    while (true) {
      const StreamEvent event = stream.Next(kTick, part);
      if (event == StreamEvent::kEnd) return stream.status();
      if (event == StreamEvent::kMessage) {
        // Where to go on if the coordinator leaves in the middle.
        request.set_attempt(part.attempt());
        request.set_offset(part.offset() + static_cast<int64_t>(part.data().size()));
      }
      if (!on_data(event == StreamEvent::kMessage ? std::string_view(part.data()) : "")) {
        return grpc::Status(grpc::StatusCode::CANCELLED, "interrupted");
      }
    }
  });
}

absl::StatusOr<std::vector<v1::Worker>> Client::ListWorkers() {
  std::vector<v1::Worker> out;
  v1::ListWorkersRequest request;
  request.set_page_size(kPage);
  do {
    RETORT_ASSIGN_OR_RETURN(v1::ListWorkersResponse page,
                            Call(options_, address_, channel_, &SweepStub::ListWorkers, request));
    for (v1::Worker& worker : *page.mutable_workers()) out.push_back(std::move(worker));
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  return out;
}

absl::StatusOr<v1::Worker> Client::DrainWorker(std::string_view worker) {
  return Call(options_, address_, channel_, &SweepStub::DrainWorker, ChangeWorker(worker));
}
absl::StatusOr<v1::Worker> Client::ReleaseWorker(std::string_view worker) {
  return Call(options_, address_, channel_, &SweepStub::ReleaseWorker, ChangeWorker(worker));
}

absl::Status Client::Query(std::string_view sql, int64_t max_rows,
                           const std::function<void(const v1::QueryResponse&)>& on_part) {
  v1::QueryRequest request;
  request.set_sql(std::string(sql));
  request.set_max_rows(max_rows);
  bool began = false;
  absl::Status broken;  // after rows have come, which a repeat would give again
  const absl::Status status = Repeat(options_, address_, channel_, [&]() -> grpc::Status {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + options_.deadline));
    const auto reader = sweeps()->Query(&context, request);
    v1::QueryResponse part;
    while (reader->Read(&part)) {
      began = true;
      on_part(part);
    }
    const grpc::Status ended = reader->Finish();
    if (!began || ended.error_code() != grpc::StatusCode::UNAVAILABLE) return ended;
    broken = FromGrpc(ended, address_);
    return grpc::Status::OK;
  });
  return status.ok() ? broken : status;
}

}  // namespace retort
