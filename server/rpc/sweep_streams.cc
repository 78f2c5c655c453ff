#include "server/rpc/sweep_streams.h"

#include <grpcpp/alarm.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/names.h"
#include "common/status.h"
#include "server/rpc/convert.h"
#include "server/rpc/rpc_status.h"
#include "server/rpc/stall_guard.h"
#include "server/rpc/unary.h"

namespace retort {
namespace {

constexpr absl::Duration kWatchPeriod = absl::Milliseconds(100);
constexpr absl::Duration kTailPeriod = absl::Milliseconds(300);
constexpr absl::Duration kTailGrace =
    absl::Seconds(1);  // for what the worker still sends of a log whose attempt ended
constexpr size_t kLogPieceBytes = size_t{64} << 10;
constexpr size_t kMostSqlBytes = size_t{64} << 10;
constexpr int64_t kMostRows = 10'000'000;
constexpr int kRowsInMessage = 500;
constexpr size_t kBytesInMessage = size_t{1} << 20;

// A stream that looks again from time to time. Exactly one thing is under way at any moment: work
// on the lane, a write, or the alarm; each starts the next or finishes the call, so that nothing
// needs a lock. A cancelled call is noticed by the next look. Nothing is gathered for a caller that
// does not read, and after a while it is dropped.
template <typename Response>
class PollingReactor : public grpc::ServerWriteReactor<Response> {
 public:
  PollingReactor(grpc::CallbackServerContext* context, const ClientParts& parts)
      : parts_(parts), caller_(CallerOf(*context)), guard_(context, parts.limits.patience) {}

  void OnCancel() override { cancelled_ = true; }
  void OnWriteDone(bool ok) override {
    guard_.End();
    if (!ok) return this->Finish(grpc::Status::CANCELLED);
    AfterWrite();
  }
  void OnDone() override { delete this; }

 protected:
  // Runs on the lane; ends in exactly one of Finish, Send and Later.
  virtual void Look() = 0;
  // Ends in exactly one of Finish, Later and Work.
  virtual void AfterWrite() { Work(); }

  // Begins, if there is room for one more.
  void Begin(Gate& gate) {
    auto ticket = gate.Enter(caller_);
    if (!ticket.ok()) return this->Finish(ToGrpc(ticket.status()));
    ticket_ = *std::move(ticket);
    Work();
  }
  void Work() {
    parts_.reads.Continue(caller_,
                          [this] { cancelled_ ? this->Finish(grpc::Status::CANCELLED) : Look(); });
  }
  void Send(const Response* response) {
    guard_.Begin();
    this->StartWrite(response);
  }
  void Later(absl::Duration delay) {
    alarm_.Set(absl::ToChronoTime(absl::Now() + delay), [this](bool) { Work(); });
  }

  const ClientParts& parts_;

 private:
  const std::string caller_;
  Gate::Ticket ticket_;
  StallGuard guard_;
  std::atomic<bool> cancelled_{false};
  grpc::Alarm alarm_;
};

// ------------------------------------------------------------------------------------------- watch

class WatchReactor final : public PollingReactor<v1::Sweep> {
 public:
  WatchReactor(grpc::CallbackServerContext* context, const ClientParts& parts,
               const v1::GetSweepRequest& request)
      : PollingReactor(context, parts), request_(request) {
    Begin(parts.watches);
  }

 private:
  void Look() override {
    const uint64_t commits = parts_.coordinator.commits();
    if (sent_ && commits == commits_) return Later(kWatchPeriod);
    commits_ = commits;
    auto sweep = Read();
    if (!sweep.ok()) return Finish(ToGrpc(sweep.status()));
    if (over_ || (sent_ && !Changed(*sweep)))
      return over_ ? Finish(grpc::Status::OK) : Later(kWatchPeriod);
    over_ = sweep->state() == v1::SWEEP_STATE_DONE || sweep->state() == v1::SWEEP_STATE_CANCELLED;
    sweep_ = *std::move(sweep);
    sent_ = true;
    Send(&sweep_);
  }

  void AfterWrite() override { over_ ? Finish(grpc::Status::OK) : Later(kWatchPeriod); }

  absl::StatusOr<v1::Sweep> Read() const {
    RETORT_ASSIGN_OR_RETURN(const std::string name, ParseSweepName(request_.name()));
    RETORT_ASSIGN_OR_RETURN(v1::Sweep sweep, parts_.reader.Sweep(name));
    sweep.clear_spec();
    AddProgress(*parts_.coordinator.progress(), &sweep);
    return sweep;
  }

  bool Changed(const v1::Sweep& sweep) const {
    return sweep.state() != sweep_.state() ||
           sweep.counts().SerializeAsString() != sweep_.counts().SerializeAsString();
  }

  const v1::GetSweepRequest request_;
  v1::Sweep sweep_;  // as last sent
  uint64_t commits_ = 0;
  bool sent_ = false;
  bool over_ = false;
};

// -------------------------------------------------------------------------------------------- tail

class TailReactor final : public PollingReactor<v1::TailLogsResponse> {
 public:
  TailReactor(grpc::CallbackServerContext* context, const ClientParts& parts,
              const v1::TailLogsRequest& request)
      : PollingReactor(context, parts), request_(request) {
    Begin(parts.tails);
  }

 private:
  void Look() override {
    const absl::Status status = attempt_ == 0 ? FindAttempt() : absl::OkStatus();
    if (!status.ok()) return Finish(ToGrpc(status));
    if (attempt_ == 0)
      return request_.follow() ? Later(kTailPeriod) : Finish(grpc::Status::OK);  // it never ran
    auto data = parts_.logs.Read(job_, attempt_, offset_, kLogPieceBytes);
    if (!data.ok()) return Finish(ToGrpc(data.status()));
    if (data->empty()) return AtTheEnd();
    piece_.set_attempt(attempt_);
    piece_.set_offset(offset_);
    offset_ += static_cast<int64_t>(data->size());
    piece_.set_data(*std::move(data));
    Send(&piece_);
  }

  // Finds out which attempt is meant and where to begin.
  absl::Status FindAttempt() {
    if (request_.attempt() < 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("attempt: ", request_.attempt(), "; must not be negative"));
    }
    RETORT_ASSIGN_OR_RETURN(const std::string prefix, ParseJobPrefix(request_.job()));
    RETORT_ASSIGN_OR_RETURN(const v1::Job job, parts_.reader.Job(prefix));
    RETORT_ASSIGN_OR_RETURN(job_, ParseJobName(job.name()));
    if (request_.attempt() > job.attempt()) {
      return absl::NotFoundError(absl::StrCat("attempt: ", request_.attempt(), "; ", job.name(),
                                              " has had ", job.attempt(), " attempts"));
    }
    attempt_ = request_.attempt() == 0 ? job.attempt() : request_.attempt();
    offset_ = request_.offset();
    if (offset_ < 0) offset_ = std::max<int64_t>(0, parts_.logs.SizeOf(job_, attempt_) + offset_);
    return absl::OkStatus();
  }

  void AtTheEnd() {
    if (!request_.follow() || over_) return Finish(grpc::Status::OK);
    auto job = parts_.reader.Job(job_.hex());
    if (!job.ok()) return Finish(ToGrpc(job.status()));
    const bool live = job->attempt() == attempt_ && (job->state() == v1::JOB_STATE_LEASED ||
                                                     job->state() == v1::JOB_STATE_RUNNING);
    over_ = !live;
    Later(over_ ? kTailGrace : kTailPeriod);
  }

  const v1::TailLogsRequest request_;
  JobId job_;
  int32_t attempt_ = 0;
  int64_t offset_ = 0;
  bool over_ = false;  // the attempt has ended; one last look
  v1::TailLogsResponse piece_;
};

// ------------------------------------------------------------------------------------------- query

// Runs on a thread of the lane of queries from begin to end, which waits while a message is being
// written.
class QueryReactor final : public grpc::ServerWriteReactor<v1::QueryResponse> {
 public:
  QueryReactor(grpc::CallbackServerContext* context, const ClientParts& parts,
               const v1::QueryRequest& request)
      : context_(context), parts_(parts), request_(request) {
    // One that waited until nobody asked any more is not run.
    const absl::Status posted = parts_.queries.Post(CallerOf(*context), [this] {
      Finish(IsOver(*context_) ? grpc::Status::CANCELLED : ToGrpc(Run()));
    });
    if (!posted.ok()) Finish(ToGrpc(posted));
  }

  void OnCancel() override {
    std::lock_guard lock(mutex_);
    gone_ = true;
    wake_.notify_all();
  }
  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    gone_ = gone_ || !ok;
    writing_ = false;
    wake_.notify_all();
  }
  void OnDone() override { delete this; }

 private:
  absl::Status Run() {
    if (request_.sql().size() > kMostSqlBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("sql: ", request_.sql().size(), " bytes; must be at most ", kMostSqlBytes));
    }
    if (request_.max_rows() < 0 || request_.max_rows() > kMostRows) {
      return absl::InvalidArgumentError(
          absl::StrCat("max_rows: ", request_.max_rows(), "; must be 0 to ", kMostRows));
    }
    store::QueryLimits limits;
    if (request_.max_rows() > 0) limits.rows = request_.max_rows();
    limits.stopped = [this] {
      std::lock_guard lock(mutex_);
      return gone_;
    };
    auto result = parts_.reader.Query(
        request_.sql(), limits,
        [this](const std::vector<std::string>& columns) { Columns(columns); },
        [this](const std::vector<store::Cell>& row) { return Row(row); });
    if (stuck_) context_->TryCancel();  // ends the write that nobody reads
    const bool sent = result.ok() && !stuck_ && SendLast(result->truncated);
    WaitForWrite();
    if (stuck_) {
      return absl::DeadlineExceededError(absl::StrCat(
          "sql: rows were not read within ", absl::FormatDuration(parts_.limits.query_patience)));
    }
    if (!result.ok()) return result.status();
    return sent ? absl::OkStatus() : absl::CancelledError("the caller has gone");
  }

  bool SendLast(bool truncated) {
    next_.set_truncated(truncated);
    return Send();
  }

  void Columns(const std::vector<std::string>& columns) {
    for (const std::string& column : columns) next_.add_columns(column);
  }

  bool Row(const std::vector<store::Cell>& row) {
    v1::QueryRow* values = next_.add_rows();
    for (const store::Cell& cell : row) SetValue(cell, values->add_values());
    bytes_ += values->ByteSizeLong();
    return (next_.rows_size() < kRowsInMessage && bytes_ < kBytesInMessage) || Send();
  }

  static void SetValue(const store::Cell& cell, v1::QueryValue* value) {
    if (const auto* integer = std::get_if<int64_t>(&cell)) {
      value->set_integer(*integer);
    } else if (const auto* number = std::get_if<double>(&cell)) {
      value->set_number(*number);
    } else if (const auto* text = std::get_if<std::string>(&cell)) {
      value->set_text(*text);
    } else if (const auto* blob = std::get_if<store::Blob>(&cell)) {
      value->set_blob(blob->bytes);
    }
  }

  // Starts to write what was gathered, behind what is being written. False if the caller has gone
  // or does not read.
  bool Send() {
    {
      std::unique_lock lock(mutex_);
      stuck_ = !wake_.wait_for(lock, absl::ToChronoMilliseconds(parts_.limits.query_patience),
                               [this] { return !writing_; });
      if (stuck_ || gone_) return false;
    }
    message_ = std::exchange(next_, {});
    bytes_ = 0;
    {
      std::lock_guard lock(mutex_);
      writing_ = true;
    }
    StartWrite(&message_);
    return true;
  }

  void WaitForWrite() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return !writing_; });
  }

  grpc::CallbackServerContext* const context_;
  const ClientParts& parts_;
  const v1::QueryRequest request_;
  v1::QueryResponse next_;     // gathered
  v1::QueryResponse message_;  // being written
  size_t bytes_ = 0;
  bool stuck_ = false;
  std::mutex mutex_;
  // Guarded by mutex_.
  std::condition_variable wake_;
  bool writing_ = false;
  bool gone_ = false;
};

}  // namespace

grpc::ServerWriteReactor<v1::Sweep>* StartWatch(grpc::CallbackServerContext* context,
                                                const ClientParts& parts,
                                                const v1::GetSweepRequest& request) {
  return new WatchReactor(context, parts, request);
}

grpc::ServerWriteReactor<v1::TailLogsResponse>* StartTail(grpc::CallbackServerContext* context,
                                                          const ClientParts& parts,
                                                          const v1::TailLogsRequest& request) {
  return new TailReactor(context, parts, request);
}

grpc::ServerWriteReactor<v1::QueryResponse>* StartQuery(grpc::CallbackServerContext* context,
                                                        const ClientParts& parts,
                                                        const v1::QueryRequest& request) {
  return new QueryReactor(context, parts, request);
}

}  // namespace retort
