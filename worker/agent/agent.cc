#include "worker/agent/agent.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/backoff.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr size_t kMostFailureBytes = 4096;  // limit of Failure.message
constexpr int kTriesPerWarning = 10;        // of a transfer
// How long a failure waits for the points before it, while the coordinator answers.
constexpr absl::Duration kFailurePatience = absl::Seconds(5);
constexpr absl::Duration kFailurePatienceLeaving = absl::Seconds(2);
// After the disk was full, until jobs are taken again.
constexpr absl::Duration kNoRoomPause = absl::Seconds(10);

// Bytes of the UTF-8 character that begins `text`; 0 if none does.
size_t CharacterBytes(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const size_t size = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (size == 0 || lead > 0xf4 || size > text.size()) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 0;
  }
  return size;
}

// The text's beginning as what a proto string may hold: a single wrong byte in a message would make
// the coordinator refuse the whole Sync, again and again.
std::string CleanText(std::string_view text, size_t most_bytes) {
  std::string out;
  while (!text.empty()) {
    const size_t size = CharacterBytes(text);
    if (out.size() + std::max<size_t>(1, size) > most_bytes) break;
    out += size == 0 ? std::string_view("?") : text.substr(0, size);
    text.remove_prefix(std::max<size_t>(1, size));
  }
  return out;
}

v1::Failure MakeFailure(v1::FailureCause cause, const std::string& message) {
  v1::Failure failure;
  failure.set_cause(cause);
  failure.set_message(CleanText(message, kMostFailureBytes));
  return failure;
}

// Errors after which trying again gives the same.
bool IsFinal(const absl::Status& status) {
  return absl::IsNotFound(status) || absl::IsDataLoss(status) || absl::IsInvalidArgument(status);
}

}  // namespace

Agent::Agent(AgentOptions options, CoordinatorClient& coordinator, RunnerPool& runners,
             Artifacts& artifacts, Spool& spool)
    : options_(std::move(options)),
      coordinator_(coordinator),
      runners_(runners),
      artifacts_(artifacts),
      spool_(spool),
      random_(static_cast<uint32_t>(options_.seed)),
      slots_(options_.slots.size()) {
  for (const SpooledAttempt& spooled : spool_.Recover()) TakeUp(spooled);
}

// From 3 or 4 of an earlier start. A failure that still has points is as good as reported.
void Agent::TakeUp(const SpooledAttempt& spooled) {
  Attempt& attempt = attempts_[spooled.key];
  attempt.recovered = true;
  attempt.running = true;
  attempt.outcome = spooled.outcome;
  *attempt.outcome.mutable_id() = IdOf(spooled.key);
  attempt.points = {.end = spooled.end, .sent = spooled.first, .acked = spooled.first};
  attempt.log.end = spooled.log_bytes;
  if (spooled.weights_path.empty()) {
    attempt.phase = Phase::kFinished;
  } else {
    attempt.phase = Phase::kSettling;
    attempt.finished.emplace();
    *attempt.finished->mutable_result() = spooled.outcome.result();
    attempt.finished->set_weights_path(spooled.weights_path);
    attempt.outcome.mutable_result()->set_metric_points(spooled.end);
    attempt.retry = -absl::InfiniteDuration();  // published at the first Tick
  }
  const LogAbout about(SubjectOf(spooled.key));
  spdlog::info("attempt {} had ended before this start: {}", spooled.key.ToString(),
               spooled.outcome.has_result() ? "its result goes on" : "its failure is reported");
}

// ------------------------------------------------------------------------------- 1 FETCHING

void Agent::Begin(const v1::Lease& lease, Now now) {
  const AttemptKey key = KeyOf(lease.id());
  const LogAbout about(SubjectOf(key));
  if (Find(key) != nullptr) return;  // a lease is given again until a Sync has confirmed it
  const auto is_free = [](const SlotState& slot) { return !slot.attempt.has_value(); };
  auto free = std::find_if(slots_.begin(), slots_.end(), is_free);
  if (lease.has_slot()) {
    // That one has the memory that the job needs; another one may not.
    const bool known = lease.slot() >= 0 && static_cast<size_t>(lease.slot()) < slots_.size();
    free = known && is_free(slots_[lease.slot()]) ? slots_.begin() + lease.slot() : slots_.end();
  }
  // Without a room for it the lease is not confirmed; the coordinator gives it again.
  if (free == slots_.end() || leaving_) return;
  if (!JobId::FromHex(key.job).ok() || key.attempt < 1) {
    spdlog::error("the coordinator leased attempt '{}' {}; expected a job of 64 hexadecimal digits",
                  key.job, key.attempt);
    return;
  }
  Attempt& attempt = attempts_[key];
  attempt.lease = lease;
  attempt.slot = static_cast<int>(free - slots_.begin());
  attempt.taken = now.monotonic;
  *attempt.outcome.mutable_id() = lease.id();
  free->attempt = key;
  news_ = true;
  spdlog::info("attempt {} on slot {}", key.ToString(), attempt.slot);
  auto work_dir = spool_.Open(key);
  if (!work_dir.ok()) {
    no_room_until_ = now.monotonic + kNoRoomPause;
    Fail(key, attempt, v1::FAILURE_CAUSE_PREEMPTED,
         absl::StrCat("the worker has no folder for the attempt: ", work_dir.status().message()),
         now);
    return;
  }
  attempt.work_dir = *std::move(work_dir);
  Fetch(key, attempt);
}

void Agent::Fetch(const AttemptKey& key, Attempt& attempt) {
  attempt.retry = absl::InfiniteDuration();
  artifacts_.Fetch(key, {attempt.lease.inputs().begin(), attempt.lease.inputs().end()});
}

void Agent::OnInputs(const AttemptKey& key, const absl::StatusOr<InputPaths>& paths, Now now) {
  const LogAbout about(SubjectOf(key));
  Attempt* attempt = Find(key);
  if (attempt == nullptr || attempt->phase != Phase::kFetching) return;
  if (paths.ok()) {
    StartRunner(key, *attempt, *paths, now);
  } else if (IsFinal(paths.status())) {
    Fail(key, *attempt, v1::FAILURE_CAUSE_ARTIFACT, MessageOf(paths.status()), now);
  } else {
    if (attempt->failures % kTriesPerWarning == 0) {
      spdlog::warn("attempt {}: inputs cannot be fetched yet: {}", key.ToString(),
                   MessageOf(paths.status()));
    }
    attempt->retry = now.monotonic + BackoffDelay(attempt->failures++, Random01());
  }
}

// -------------------------------------------------------------------------------- 2 RUNNING

void Agent::StartRunner(const AttemptKey& key, Attempt& attempt, const InputPaths& paths, Now now) {
  v1::RunJob job;
  job.set_job(key.job);
  job.set_attempt(key.attempt);
  *job.mutable_spec() = attempt.lease.spec();
  const std::string& teacher = attempt.lease.teacher_weights_sha256();
  for (const v1::ArtifactRef& input : attempt.lease.inputs()) {
    const auto path = paths.find(input.sha256());
    if (path == paths.end()) {
      Fail(key, attempt, v1::FAILURE_CAUSE_ARTIFACT,
           absl::StrCat("input ", input.sha256(), " was not fetched"), now);
      return;
    }
    if (input.sha256() == teacher) {
      job.set_teacher_weights_path(path->second);
    } else if (input.sha256() == attempt.lease.checkpoint_sha256()) {
      job.set_checkpoint_path(path->second);
    } else {
      (*job.mutable_dataset_paths())[input.sha256()] = path->second;
    }
  }
  job.set_work_dir(attempt.work_dir);
  job.set_cache_dir(options_.cache_dir);
  job.set_threads(options_.threads);
  job.set_device(options_.slots[static_cast<size_t>(attempt.slot)].device());
  job.set_allow_torchscript(options_.allow_torchscript);
  job.set_checkpoint_every_s(attempt.lease.policy().checkpoint_every_s());
  job.set_wall_limit_s(attempt.lease.policy().wall_limit_s());
  attempt.phase = Phase::kRunning;
  attempt.failures = 0;
  runners_.Run(attempt.slot, job);
}

void Agent::OnRunnerEvent(int slot, const v1::RunnerEvent& event, Now now) {
  const bool ended = event.has_finished() || event.has_failed();
  if (slots_[slot].forgotten) {
    if (ended) FreeSlot(slot);
    return;
  }
  if (event.has_ready()) {
    spdlog::debug("slot {}: runner {} is up on {}", slot, event.ready().version(),
                  event.ready().numeric_fingerprint());
    return;
  }
  Attempt* attempt = AttemptOf(slot);
  if (attempt == nullptr || attempt->phase != Phase::kRunning) {
    spdlog::warn("slot {}: the runner spoke without having a job", slot);
    return;
  }
  const AttemptKey key = *slots_[slot].attempt;
  const LogAbout about(SubjectOf(key));
  switch (event.event_case()) {
    case v1::RunnerEvent::kStarted:
      attempt->running = true;
      news_ = true;
      break;
    case v1::RunnerEvent::kProgress:
      OnProgress(key, *attempt, event.progress());
      break;
    case v1::RunnerEvent::kCheckpoint:
      OnCheckpoint(key, *attempt, event.checkpoint());
      break;
    case v1::RunnerEvent::kFinished:
      if (!attempt->refused.empty()) {
        Fail(key, *attempt, v1::FAILURE_CAUSE_INVALID, attempt->refused, now);
        break;
      }
      attempt->phase = Phase::kSettling;
      attempt->finished = event.finished();
      slots_[slot].kill = absl::InfiniteDuration();
      KeepResult(key, *attempt, now);
      Publish(key, *attempt);
      break;
    case v1::RunnerEvent::kFailed:
      Fail(key, *attempt, event.failed().cause(), event.failed().message(), now);
      break;
    default:
      break;
  }
}

void Agent::OnProgress(const AttemptKey& key, Attempt& attempt,
                       const v1::RunnerProgress& progress) {
  attempt.epochs_done = std::max(attempt.epochs_done, progress.epochs_done());
  if (progress.points().empty() || !attempt.refused.empty()) return;
  // Behind those that are held already: a runner that is stopped is read again before they are
  // gone.
  attempt.held.insert(attempt.held.end(), progress.points().begin(), progress.points().end());
  Spill(key, attempt);
  if (attempt.held.empty()) return;
  spdlog::warn("attempt {} waits: the spool is full until the coordinator takes its points",
               key.ToString());
  runners_.SetReading(attempt.slot, false);
}

// Moves the points that are held into the spool, if it takes them.
void Agent::Spill(const AttemptKey& key, Attempt& attempt) {
  const LogAbout about(SubjectOf(key));
  const absl::Status status = spool_.Append(key, attempt.held);
  if (status.ok()) {
    attempt.points.end += static_cast<int64_t>(attempt.held.size());
    counts_.points_spooled += static_cast<int64_t>(attempt.held.size());
    attempt.held.clear();
  } else if (absl::IsResourceExhausted(status)) {
    attempt.disk_was_full = attempt.disk_was_full || !spool_.HasRoom();
  } else {
    spdlog::error("attempt {}: points cannot be spooled: {}", key.ToString(), MessageOf(status));
  }
}

void Agent::OnRunnerOutput(int slot, std::string_view bytes, Now) {
  Attempt* attempt = AttemptOf(slot);
  if (attempt == nullptr || slots_[slot].forgotten) return;
  const LogAbout about(SubjectOf(*slots_[slot].attempt));
  const auto size = spool_.AppendLog(*slots_[slot].attempt, bytes);
  if (size.ok()) {
    attempt->log.end = *size;
  } else {
    // A log is not worth an attempt.
    spdlog::warn("slot {}: its log cannot be kept: {}", slot, MessageOf(size.status()));
  }
}

void Agent::OnRunnerExit(int slot, const std::string& reason, Now now) {
  if (slots_[slot].forgotten) {
    FreeSlot(slot);
    return;
  }
  Attempt* attempt = AttemptOf(slot);
  if (attempt == nullptr || attempt->phase != Phase::kRunning) {
    spdlog::warn("slot {}: idle runner: {}", slot, reason);
    return;
  }
  const AttemptKey key = *slots_[slot].attempt;
  const LogAbout about(SubjectOf(key));
  ++counts_.runner_exits;
  if (attempt->preempting) {
    Fail(key, *attempt, v1::FAILURE_CAUSE_PREEMPTED, absl::StrCat("worker leaves; ", reason), now);
  } else {
    Fail(key, *attempt, v1::FAILURE_CAUSE_CRASHED, reason, now);
  }
}

// ------------------------------------------------------------------------------- 3 SETTLING

void Agent::Publish(const AttemptKey& key, Attempt& attempt) {
  attempt.retry = absl::InfiniteDuration();
  if (attempt.finished->weights_path().empty()) {
    artifacts_.PublishHeld(key, attempt.finished->result().weights());
  } else {
    artifacts_.Publish(key, attempt.finished->weights_path());
  }
}

// 4 -> 3: the coordinator lost what it had. The slot may have another attempt by now.
void Agent::PublishAgain(const AttemptKey& key, Attempt& attempt) {
  if (attempt.phase != Phase::kFinished || !attempt.outcome.has_result()) return;
  const LogAbout about(SubjectOf(key));
  spdlog::warn("attempt {}: the coordinator does not hold its weights any more; published again",
               key.ToString());
  attempt.phase = Phase::kSettling;
  attempt.recovered = true;
  attempt.slot = -1;
  attempt.published = false;
  attempt.finished.emplace();
  *attempt.finished->mutable_result() = attempt.outcome.result();
  Publish(key, attempt);
}

void Agent::OnPublished(const AttemptKey& key, const absl::StatusOr<v1::ArtifactRef>& weights,
                        Now now) {
  const LogAbout about(SubjectOf(key));
  Attempt* attempt = Find(key);
  if (attempt == nullptr || attempt->phase != Phase::kSettling || attempt->published) return;
  if (weights.ok() && weights->size_bytes() == 0) {
    Fail(key, *attempt, v1::FAILURE_CAUSE_CRASHED, "the runner's weights file is empty", now);
  } else if (weights.ok()) {
    *attempt->finished->mutable_result()->mutable_weights() = *weights;
    attempt->published = true;
    SettleIfReady(key, *attempt, now);
  } else if (IsFinal(weights.status())) {
    const bool again = attempt->finished->weights_path().empty();
    Fail(key, *attempt, again ? v1::FAILURE_CAUSE_ARTIFACT : v1::FAILURE_CAUSE_CRASHED,
         absl::StrCat("the runner's weights cannot be uploaded: ", weights.status().message()),
         now);
  } else {
    if (attempt->failures % kTriesPerWarning == 0) {
      spdlog::warn("attempt {}: weights cannot be uploaded yet: {}", key.ToString(),
                   MessageOf(weights.status()));
    }
    attempt->retry = now.monotonic + BackoffDelay(attempt->failures++, Random01());
  }
}

// From here on the result outlives the agent.
void Agent::KeepResult(const AttemptKey& key, const Attempt& attempt, Now now) {
  v1::FinishedAttempt outcome;
  *outcome.mutable_result() = attempt.finished->result();
  outcome.mutable_result()->set_metric_points(attempt.points.end);
  outcome.set_device_s(absl::ToDoubleSeconds(now.monotonic - attempt.taken));
  const absl::Status kept = spool_.KeepResult(key, outcome, attempt.finished->weights_path());
  if (!kept.ok()) spdlog::error("attempt {}: {}", key.ToString(), MessageOf(kept));
}

void Agent::SettleIfReady(const AttemptKey& key, Attempt& attempt, Now now) {
  if (attempt.phase != Phase::kSettling) return;
  if (!attempt.held.empty() || !attempt.points.complete()) return;
  if (!attempt.finished) {  // a failure, after which another attempt may go on from a checkpoint
    if (attempt.checkpoints.done()) Finish(key, attempt, now);
    return;
  }
  if (!attempt.published) return;
  v1::JobResult* result = attempt.outcome.mutable_result();
  *result = attempt.finished->result();
  result->set_metric_points(attempt.points.end);
  Finish(key, attempt, now);
}

// ------------------------------------------------------------------------- 4 FINISHED, 5 ENDED

void Agent::Fail(const AttemptKey& key, Attempt& attempt, v1::FailureCause cause,
                 const std::string& message, Now now) {
  if (cause == v1::FAILURE_CAUSE_UNSPECIFIED) cause = v1::FAILURE_CAUSE_CRASHED;
  const bool may_be_the_disk =
      cause == v1::FAILURE_CAUSE_CRASHED || cause == v1::FAILURE_CAUSE_ARTIFACT;
  if (!attempt.refused.empty()) {
    *attempt.outcome.mutable_failure() = MakeFailure(v1::FAILURE_CAUSE_INVALID, attempt.refused);
  } else if (may_be_the_disk && (attempt.disk_was_full || !spool_.HasRoom())) {
    // The job is not to blame, and another machine may have room. What the runner said while the
    // disk was full may be read only now that there is room again.
    *attempt.outcome.mutable_failure() =
        MakeFailure(v1::FAILURE_CAUSE_PREEMPTED, "no space left on the worker's disk: " + message);
  } else {
    *attempt.outcome.mutable_failure() = MakeFailure(cause, message);
  }
  const bool settled = attempt.held.empty() && attempt.points.complete();
  if (settled && attempt.checkpoints.done()) return Finish(key, attempt, now);
  // The curve up to the failure goes first: afterwards it may be refused.
  attempt.phase = Phase::kSettling;
  attempt.finished.reset();
  attempt.retry = absl::InfiniteDuration();
  attempt.settle_by = now.monotonic + (leaving_ ? kFailurePatienceLeaving : kFailurePatience);
  if (attempt.slot >= 0) slots_[attempt.slot].kill = absl::InfiniteDuration();
  KeepOutcome(key, attempt);
}

void Agent::KeepOutcome(const AttemptKey& key, const Attempt& attempt) {
  const LogAbout about(SubjectOf(key));
  const absl::Status kept = spool_.KeepOutcome(key, attempt.outcome);
  if (!kept.ok()) spdlog::error("attempt {}: {}", key.ToString(), MessageOf(kept));
}

void Agent::Finish(const AttemptKey& key, Attempt& attempt, Now now) {
  const LogAbout about(SubjectOf(key));
  attempt.phase = Phase::kFinished;
  attempt.retry = absl::InfiniteDuration();
  attempt.settle_by = absl::InfiniteDuration();
  if (!attempt.recovered) {
    attempt.outcome.set_device_s(absl::ToDoubleSeconds(now.monotonic - attempt.taken));
  }
  if (!attempt.recovered) {
    ++(attempt.outcome.has_failure() ? counts_.failed[attempt.outcome.failure().cause()]
                                     : counts_.succeeded);
  }
  if (attempt.outcome.has_failure()) {
    spdlog::warn("attempt {} failed: {}: {}", key.ToString(),
                 v1::FailureCause_Name(attempt.outcome.failure().cause()),
                 attempt.outcome.failure().message());
  } else {
    spdlog::info("attempt {} succeeded", key.ToString());
  }
  KeepOutcome(key, attempt);
  if (!attempt.held.empty()) {
    attempt.held.clear();  // of a failed attempt; a result waits for its points
    runners_.SetReading(attempt.slot, true);
  }
  artifacts_.Release(key);
  if (attempt.slot >= 0) FreeSlot(attempt.slot);
  news_ = true;
}

// The slot's runner is idle or gone. What was kept for an attempt that was forgotten goes too.
void Agent::FreeSlot(int slot) {
  SlotState& state = slots_[slot];
  if (state.forgotten) spool_.Drop(*state.attempt);
  state = SlotState{};
  news_ = true;
}

void Agent::StopSlot(int slot, Now now) {
  if (slots_[slot].stopping) return;
  slots_[slot].stopping = true;
  slots_[slot].kill = now.monotonic + options_.stop_grace;
  runners_.SetReading(slot, true);  // or its answer would not be read
  runners_.Stop(slot);
}

// The coordinator does not want it: no report, no slot.
void Agent::Forget(const AttemptKey& key, Now now) {
  const auto it = attempts_.find(key);
  if (it == attempts_.end()) return;
  const Attempt& attempt = it->second;
  const LogAbout about(SubjectOf(key));
  ++counts_.not_wanted;
  spdlog::info("attempt {} is not wanted any more", key.ToString());
  artifacts_.Release(key);
  if (attempt.phase == Phase::kRunning) {
    StopSlot(attempt.slot, now);
    slots_[attempt.slot].forgotten = true;
  } else {
    const bool has_slot = attempt.slot >= 0 && attempt.phase < Phase::kFinished;
    if (has_slot) {
      runners_.SetReading(attempt.slot, true);
      FreeSlot(attempt.slot);
    }
    spool_.Drop(key);
  }
  attempts_.erase(it);
  news_ = true;
}

// --------------------------------------------------------------------------------- leaving

void Agent::Leave(Now now) {
  if (leaving_) return;
  leaving_ = true;
  news_ = true;
  preempt_at_ = now.monotonic + options_.drain_timeout;
  leave_by_ = preempt_at_ + options_.stop_grace + options_.leave_margin;
  spdlog::info("leaving: {} attempts have {} to end", live(),
               absl::FormatDuration(options_.drain_timeout));
}

void Agent::Hurry(Now now) {
  Leave(now);
  if (preempted_ || now.monotonic >= preempt_at_) return;
  preempt_at_ = now.monotonic;
  leave_by_ = preempt_at_ + options_.stop_grace + options_.leave_margin;
  spdlog::info("in a hurry: {} attempts are stopped", live());
}

void Agent::Preempt(Now now) {
  preempted_ = true;
  for (auto& [key, attempt] : attempts_) {
    if (attempt.phase == Phase::kFetching) {
      Fail(key, attempt, v1::FAILURE_CAUSE_PREEMPTED, "worker leaves before it could begin", now);
    } else if (attempt.phase == Phase::kRunning) {
      attempt.preempting = true;
      StopSlot(attempt.slot, now);
    }
  }
}

int Agent::live() const {
  return static_cast<int>(std::count_if(attempts_.begin(), attempts_.end(), [](const auto& entry) {
    return entry.second.phase < Phase::kFinished;
  }));
}

AgentCounts Agent::counts() const {
  AgentCounts counts = counts_;
  counts.slots = static_cast<int>(slots_.size());
  counts.slots_busy = static_cast<int>(
      std::count_if(slots_.begin(), slots_.end(), [](const auto& slot) { return !!slot.attempt; }));
  for (const auto& [key, attempt] : attempts_) {
    counts.fetching += attempt.phase == Phase::kFetching;
    counts.running += attempt.phase == Phase::kRunning;
    counts.settling += attempt.phase == Phase::kSettling;
    counts.reported += attempt.phase == Phase::kFinished;
  }
  return counts;
}

Agent::Attempt* Agent::Find(const AttemptKey& key) {
  const auto it = attempts_.find(key);
  return it == attempts_.end() ? nullptr : &it->second;
}

Agent::Attempt* Agent::AttemptOf(int slot) {
  return slots_[slot].attempt ? Find(*slots_[slot].attempt) : nullptr;
}

double Agent::Random01() {
  return static_cast<double>(random_() - std::minstd_rand::min()) /
         (static_cast<double>(std::minstd_rand::max()) - std::minstd_rand::min() + 1);
}

}  // namespace retort
