#include "server/expander.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/backoff.h"
#include "common/log.h"
#include "common/status.h"
#include "server/core/expand.h"
#include "server/core/requests.h"

namespace retort {
namespace {

constexpr int64_t kFirstChunk = 4;   // the part of the largest chunk that the first one is
constexpr int64_t kSmallChunk = 50;  // the part that they never fall below
constexpr absl::Duration kClockStep = absl::Microseconds(1);
constexpr double kMostGrowth = 2;  // from one chunk to the next, and the other way
// One is committed while the next is decided on.
constexpr size_t kChunksUnderWay = 2;

}  // namespace

Expander::Expander(const store::Reader& reader, const ExpanderOptions& options, Post post)
    : reader_(reader),
      options_(options),
      post_(std::move(post)),
      chunk_jobs_(std::max<int64_t>(1, options.chunk_jobs / kFirstChunk)) {}

void Expander::Create(std::string request_id, std::shared_ptr<const v1::SweepSpec> spec,
                      AnswerDone done) {
  if (tasks_.size() >= options_.max_sweeps) {
    return done(absl::UnavailableError(
        absl::StrCat("overloaded: ", tasks_.size(), " sweeps are being expanded; ask again")));
  }
  tasks_[++last_id_] = {
      .request_id = std::move(request_id), .spec = std::move(spec), .done = std::move(done)};
}

void Expander::Resume(core::SweepKey sweep) {
  const bool known = std::any_of(tasks_.begin(), tasks_.end(),
                                 [&](const auto& task) { return task.second.sweep == sweep; });
  if (!known) tasks_[++last_id_] = {.sweep = sweep};
}

absl::Duration Expander::NextWake() const {
  absl::Duration wake = absl::InfiniteDuration();
  for (const auto& [id, task] : tasks_) {
    if (HasToSend(task)) wake = std::min(wake, task.due);
    if (task.done) wake = std::min(wake, task.answer_by);
  }
  return wake;
}

void Expander::Work(const Now& now) {
  for (auto& [id, task] : tasks_) {
    if (!task.done || task.answer_by > now.monotonic) continue;
    std::exchange(task.done, nullptr)(
        Annotate(task.trouble, "the sweep is kept and goes on by itself; ask again later"));
  }
  const auto ready = [&](const Task& task) { return HasToSend(task) && task.due <= now.monotonic; };
  auto next = tasks_.end();
  for (auto it = tasks_.begin(); it != tasks_.end(); ++it) {
    if (!ready(it->second)) continue;
    if (next == tasks_.end() || it->second.due < next->second.due) next = it;
  }
  if (next == tasks_.end()) return;
  Task& task = next->second;
  if (!task.jobs) {
    if (task.spec == nullptr) {
      auto spec = reader_.SweepSpec(task.sweep);
      if (!spec.ok()) return Retry(task, spec.status(), now);
      task.spec = std::make_shared<const v1::SweepSpec>(*std::move(spec));
    }
    const absl::Status status = Expand(task);
    if (!status.ok()) return End(next, status);
  }
  SendNext(next->first, task, now);
}

absl::Status Expander::Expand(Task& task) {
  RETORT_ASSIGN_OR_RETURN(task.jobs, core::Expand(*task.spec, {.jobs = options_.max_jobs}));
  return absl::OkStatus();
}

bool Expander::HasToSend(const Task& task) {
  if (!task.sweep || task.failed) return task.awaited == 0;
  // One that failed, or a new one.
  if (!task.chunks.empty() && !task.chunks.back().sent) return true;
  return !task.jobs || (task.chunks.size() < kChunksUnderWay && task.next < task.jobs->size());
}

void Expander::SendNext(Id id, Task& task, const Now& now) {
  task.failed = false;
  task.due = now.monotonic;
  ++task.awaited;
  if (!task.sweep) {
    return post_(core::BeginSweep{.request_id = task.request_id,
                                  .spec = task.spec,
                                  .jobs = task.jobs->size(),
                                  .arguments = core::HashOfArguments(*task.spec)},
                 [this, id](absl::StatusOr<Answer> answer, const Now& at) {
                   HeadAnswered(id, std::move(answer), at);
                 });
  }
  auto chunk =
      std::find_if(task.chunks.begin(), task.chunks.end(), [](const Chunk& c) { return !c.sent; });
  if (chunk == task.chunks.end()) {
    task.chunks.push_back({.first = task.next,
                           .jobs = std::make_shared<const std::vector<core::NewJob>>(
                               task.jobs->Jobs(task.next, chunk_jobs_))});
    chunk = std::prev(task.chunks.end());
    task.next += static_cast<int64_t>(chunk->jobs->size());
  }
  chunk->sent = true;
  chunk->sent_at = now.monotonic;
  post_(core::SweepChunk{.sweep = task.sweep, .first_position = chunk->first, .jobs = chunk->jobs},
        [this, id, first = chunk->first](absl::StatusOr<Answer> answer, const Now& at) {
          ChunkAnswered(id, first, std::move(answer), at);
        });
}

void Expander::HeadAnswered(Id id, absl::StatusOr<Answer> answer, const Now& now) {
  const auto it = tasks_.find(id);
  if (it == tasks_.end()) return;
  if (!answer.ok()) return End(it, std::move(answer));
  const auto& begun = std::get<core::SweepReply>(*answer);
  if (!begun.expand) return End(it, std::move(answer));
  it->second.sweep = begun.sweep;
  it->second.awaited = 0;
  it->second.due = now.monotonic;
}

void Expander::ChunkAnswered(Id id, int64_t first, absl::StatusOr<Answer> answer, const Now& now) {
  const auto it = tasks_.find(id);
  if (it == tasks_.end()) return;
  Task& task = it->second;
  --task.awaited;
  const auto chunk = std::find_if(task.chunks.begin(), task.chunks.end(),
                                  [first](const Chunk& c) { return c.first == first; });
  if (chunk == task.chunks.end()) return;
  if (absl::IsUnavailable(answer.status()) || absl::IsResourceExhausted(answer.status())) {
    chunk->sent = false;
    // Of those that were under way together the others fail for the same reason.
    if (!task.failed) Retry(task, answer.status(), now);
    return;
  }
  if (!answer.ok()) return End(it, std::move(answer));
  const absl::Duration begun = std::max(chunk->sent_at, task.answered_at);
  const auto jobs = static_cast<int64_t>(chunk->jobs->size());
  const bool is_last = first + jobs == task.jobs->size();
  // What a small rest takes says little.
  if (!is_last || jobs >= chunk_jobs_) AdaptChunk(jobs, now.monotonic - begun);
  task.answered_at = now.monotonic;
  // It could not be there without those before it.
  task.chunks.erase(task.chunks.begin(), std::next(chunk));
  task.failures = 0;
  task.answer_by = absl::InfiniteDuration();
  if (task.chunks.empty() && task.next == task.jobs->size()) {
    End(it, std::move(answer));
  }
}

void Expander::AdaptChunk(int64_t jobs, absl::Duration took) {
  const double wanted = absl::FDivDuration(options_.chunk_time, std::max(took, kClockStep));
  const double size = static_cast<double>(jobs) * std::clamp(wanted, 1 / kMostGrowth, kMostGrowth);
  const int64_t least = std::max<int64_t>(1, options_.chunk_jobs / kSmallChunk);
  chunk_jobs_ = std::clamp(static_cast<int64_t>(size), least, options_.chunk_jobs);
}

void Expander::Retry(Task& task, const absl::Status& status, const Now& now) {
  task.trouble = status;
  task.failed = true;
  if (task.failures == 0) task.answer_by = now.monotonic + options_.patience;
  task.due = now.monotonic +
             BackoffDelay(task.failures++, 0.5, options_.first_backoff, options_.most_backoff);
}

void Expander::End(Tasks::iterator task, absl::StatusOr<Answer> answer) {
  const AnswerDone done = std::move(task->second.done);
  if (!done && !answer.ok()) {
    spdlog::warn("sweep {}: its expansion ends: {}", task->second.sweep.value,
                 answer.status().ToString());
  }
  tasks_.erase(task);
  if (done) done(std::move(answer));
}

void Expander::Close(const absl::Status& status) {
  for (auto& [id, task] : std::exchange(tasks_, {})) {
    if (task.done) task.done(status);
  }
}

}  // namespace retort
