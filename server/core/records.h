// What a decision writes. A record carries what was before as well, so that it can be undone in
// memory.
#ifndef RETORT_SERVER_CORE_RECORDS_H_
#define RETORT_SERVER_CORE_RECORDS_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/ids.h"
#include "retort/v1/result.pb.h"
#include "retort/v1/spec.pb.h"
#include "retort/v1/worker_service.pb.h"
#include "server/core/types.h"

namespace retort::core {

// One job of an expanded sweep (expand.h).
struct NewJob {
  JobId id;
  std::optional<JobId> teacher;  // its teacher, which stands before it in the sweep
  JobKind kind = JobKind::kStudent;
  std::string spec;           // serialised v1::TrainingSpec
  std::string model;          // label of the network
  std::string method;         // label of the method
  std::string teacher_label;  // label of the teacher's network; empty without one
  int64_t seed = 0;
  int32_t fold = 0;
  int32_t epochs = 0;
  std::string dataset;  // SHA-256 of what is trained on, hexadecimal
  int32_t batch = 0;
  double peak_lr = 0;
  double expected_cost = 0;
  int64_t memory_bytes = 0;    // needed of a slot; 0 if not known
  bool memory_hinted = false;  // the sweep says so; else estimated
};

// A job that was not known.
struct JobCreated {
  JobKey key;
  JobId id;
  JobKey teacher;
  JobKind kind = JobKind::kStudent;
  double expected_cost = 0;
  int64_t create_ms = 0;
  JobRow row;
  std::shared_ptr<const NewJob> details;  // null when loaded from a store
};

struct JobChanged {
  JobKey key;
  JobRow before;
  JobRow after;
};

struct SweepCreated {
  SweepKey key;
  SweepFixed fixed;
  SweepRow row;
  std::shared_ptr<const v1::SweepSpec> spec;  // null when loaded
};

struct SweepChanged {
  SweepKey key;
  SweepRow before;
  SweepRow after;
};

// The sweep contains the job. Never taken back: a cancelled sweep still lists its jobs.
struct MemberAdded {
  SweepKey sweep;
  JobKey job;
  int64_t position = 0;  // in the order of expansion, from 0
};

struct WorkerCreated {
  WorkerKey key;
  WorkerRow row;
};

struct WorkerChanged {
  WorkerKey key;
  WorkerRow before;
  WorkerRow after;
};

// An attempt that is over; one that runs is its job's row. A late result of the latest attempt
// writes it again. Not held in State.
struct AttemptEnded {
  JobKey job;
  int32_t number = 0;
  WorkerKey worker;
  int64_t lease_ms = 0;
  int64_t start_ms = 0;
  int64_t end_ms = 0;
  double device_s = 0;
  FailureCause cause = FailureCause::kNone;
  std::string message;
};

// The one accepted result of a job. State keeps the weights only.
struct ResultAccepted {
  JobKey job;
  Artifact weights;
  int32_t attempt = 0;
  std::shared_ptr<const v1::JobResult> result;  // null when loaded
};

// The result is void, because its weights were lost.
struct ResultWithdrawn {
  JobKey job;
  Artifact weights;  // before
};

// Where training of a job can go on changed; none: at the beginning.
struct CheckpointChanged {
  JobKey job;
  std::optional<TrainingCheckpoint> before;
  std::optional<TrainingCheckpoint> after;
};

// Points that became durable.
struct PointsAdded {
  JobKey job;
  std::shared_ptr<const v1::MetricBatch> batch;
  int32_t skip = 0;  // points at the front that were durable already
};

// An attempt begins at `from_step`: points of that step and later are of an older attempt and go.
struct PointsDeleted {
  JobKey job;
  int64_t from_step = 0;
};

// What a client's request changed, for its repetition.
struct RequestAnswer {
  SweepKey sweep;       // of CreateSweep and changes of sweeps
  WorkerKey worker;     // of changes of workers
  int64_t changed = 0;  // of changes of jobs
  int64_t time_ms = 0;  // when
  std::string method;   // which mutation: a repeat with another is an error
  // Of a change of a sweep's jobs that takes several commits: the position to look at next, -1 once
  // it is done, and what it speaks of, one bit for each JobState or FailureCause; 0 for all.
  int64_t next = -1;
  uint32_t states = 0;
  uint32_t causes = 0;
  // HashOfArguments (requests.h) of what it asked: a repeat with others is an error. Empty: not
  // known, of a request before this was remembered.
  std::string arguments;
  std::string answer;  // of NoteRequest: the serialised answer

  friend bool operator==(const RequestAnswer&, const RequestAnswer&) = default;
};

struct RequestAnswered {
  std::string request_id;
  RequestAnswer answer;
  std::optional<RequestAnswer> before;  // of a request that goes on
};

// Too old to be repeated.
struct RequestForgotten {
  std::string request_id;
  RequestAnswer before;
};

using Record =
    std::variant<JobCreated, JobChanged, SweepCreated, SweepChanged, MemberAdded, WorkerCreated,
                 WorkerChanged, AttemptEnded, ResultAccepted, ResultWithdrawn, CheckpointChanged,
                 PointsAdded, PointsDeleted, RequestAnswered, RequestForgotten>;

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_RECORDS_H_
