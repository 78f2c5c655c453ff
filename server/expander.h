// Turns submitted sweeps into chunks of jobs, beside the strand.
//
// Expanding a large sweep takes seconds, so that it happens elsewhere; its jobs are committed in
// chunks, the next of which is decided on while one is committed. A half-written sweep is of no use
// to anybody: once the head of a sweep is durable its chunks are sent until they are durable too,
// also after a restart. Sending one again changes nothing. While one sweep waits for space on the
// disk the others go on.
//
// It has no thread and no clock: whoever drives it calls Work at NextWake.
#ifndef RETORT_SERVER_EXPANDER_H_
#define RETORT_SERVER_EXPANDER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "retort/v1/spec.pb.h"
#include "server/answer.h"
#include "server/core/decide.h"
#include "server/core/expansion.h"
#include "server/store/store.h"

namespace retort {

struct ExpanderOptions {
  int64_t max_jobs = 1'000'000;  // of one sweep
  size_t max_sweeps = 64;        // under way at once; more are refused
  // Of one commit, which Syncs wait for: at most so many jobs, and as many as took about so long
  // the last time. Large ones write fewer pages: each job touches some page of the index of ids.
  int64_t chunk_jobs = 5000;
  absl::Duration chunk_time = absl::Milliseconds(40);
  absl::Duration first_backoff = absl::Milliseconds(100);  // after a failed chunk, doubling
  absl::Duration most_backoff = absl::Seconds(5);
  // How long whoever submitted waits for chunks that fail; then the error is said, and the chunks
  // are sent on.
  absl::Duration patience = absl::Seconds(5);
};

// Threads: one at a time.
class Expander {
 public:
  // Hands an input to the strand. `then` is called with the answer when the expander may be, not
  // from inside.
  using Then = std::function<void(absl::StatusOr<Answer>, const Now&)>;
  using Post = std::function<void(core::Input, Then)>;

  // The reader outlives the expander.
  Expander(const store::Reader& reader, const ExpanderOptions& options, Post post);

  // A new sweep. Answers with a SweepReply when its last job is durable (core::BeginSweep,
  // core::SweepChunk). UNAVAILABLE: too many sweeps under way. RESOURCE_EXHAUSTED after `patience`:
  // the disk is full; the same request asked again later finds the sweep.
  void Create(std::string request_id, std::shared_ptr<const v1::SweepSpec> spec, AnswerDone done);
  // A sweep that is only half there, from Strand::Expanding. Nothing happens if it is under way.
  void Resume(core::SweepKey sweep);
  // One step of the sweep that waits longest.
  void Work(const Now& now);
  // When to call Work; monotonic, in the past if at once, infinite if nothing is to be done.
  absl::Duration NextWake() const;
  // Answers everybody with this error and forgets all sweeps.
  void Close(const absl::Status& status);

 private:
  // Names a sweep under way; never used twice.
  using Id = int64_t;
  struct Chunk {
    int64_t first = 0;  // the position of its first job
    std::shared_ptr<const std::vector<core::NewJob>> jobs;
    bool sent = false;
    absl::Duration sent_at = absl::ZeroDuration();
  };
  struct Task {
    std::string request_id = {};
    std::shared_ptr<const v1::SweepSpec> spec = nullptr;
    AnswerDone done = nullptr;
    core::SweepKey sweep = {};                           // 0 until its head is durable
    std::optional<core::Expansion> jobs = std::nullopt;  // none until it is expanded
    int64_t next = 0;                                    // the first job that is in no chunk yet
    std::deque<Chunk> chunks = {};                       // in order, until they are durable
    int awaited = 0;                                     // answers
    absl::Duration answered_at = -absl::InfiniteDuration();
    int failures = 0;                                // in a row
    bool failed = false;                             // nothing is sent until all answers are there
    absl::Duration due = -absl::InfiniteDuration();  // when to send
    absl::Duration answer_by = absl::InfiniteDuration();  // since chunks fail
    absl::Status trouble = absl::OkStatus();              // why they fail
  };
  using Tasks = std::map<Id, Task>;

  absl::Status Expand(Task& task);
  static bool HasToSend(const Task& task);
  void SendNext(Id id, Task& task, const Now& now);
  void HeadAnswered(Id id, absl::StatusOr<Answer> answer, const Now& now);
  void ChunkAnswered(Id id, int64_t first, absl::StatusOr<Answer> answer, const Now& now);
  // Follows how long a chunk took.
  void AdaptChunk(int64_t jobs, absl::Duration took);
  void Retry(Task& task, const absl::Status& status, const Now& now);
  void End(Tasks::iterator task, absl::StatusOr<Answer> answer);

  const store::Reader& reader_;
  const ExpanderOptions options_;
  const Post post_;
  Tasks tasks_;
  Id last_id_ = 0;
  int64_t chunk_jobs_;  // of the next chunk
};

}  // namespace retort

#endif  // RETORT_SERVER_EXPANDER_H_
