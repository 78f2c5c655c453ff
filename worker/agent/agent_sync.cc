// The part of the agent that speaks with the coordinator: Sync, metrics, logs.
#include <algorithm>
#include <limits>
#include <utility>

#include "common/backoff.h"
#include "common/log.h"
#include "common/status.h"
#include "worker/agent/agent.h"

namespace retort {
namespace {

constexpr int kMostPointsInBatch = 4096;
constexpr int kMostLogBytesInChunk = 64 << 10;
constexpr int kMostCachedReported = 256;
// Syncs without news begin at most this often; one that was parked longer is followed at once.
constexpr absl::Duration kIdleSync = absl::Seconds(1);
constexpr absl::Duration kSyncMargin = absl::Seconds(10);
// How long an acknowledged attempt is kept for the rest of its log, and while leaving.
constexpr absl::Duration kLogPatience = absl::Seconds(30);
constexpr absl::Duration kLogPatienceLeaving = absl::Seconds(3);
// How long the last Sync waits for its answer.
constexpr absl::Duration kLastWord = absl::Seconds(1);
// How long points that found no room wait before they are tried again without an acknowledgement.
constexpr absl::Duration kSpillRetry = absl::Seconds(1);
// While the disk is full, until it is looked at again.
constexpr absl::Duration kNoRoomCheck = absl::Seconds(1);
// Longest pause between Syncs that fail.
constexpr absl::Duration kMostSyncPause = absl::Seconds(5);
// How long the first Sync waits for points of attempts that failed before this start.
constexpr absl::Duration kFirstSyncPatience = absl::Seconds(2);

absl::Duration ToAbsl(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

}  // namespace

// -------------------------------------------------------------------------------------- Sync

v1::SyncRequest Agent::MakeRequest() const {
  v1::SyncRequest request;
  request.set_worker(options_.worker);
  request.set_incarnation(options_.incarnation);
  request.set_number(number_);
  request.set_host(options_.host);
  request.set_version(options_.version);
  for (const v1::Slot& slot : options_.slots) *request.add_slots() = slot;
  for (const auto& [key, attempt] : attempts_) {
    const bool finished = IsReported(attempt) && (!careful_ || request.finished().empty());
    if (finished) {
      *request.add_finished() = attempt.outcome;
    } else if (attempt.phase != Phase::kEnded) {
      v1::LiveAttempt* live = request.add_live();
      *live->mutable_id() = IdOf(key);
      live->set_slot(std::max(0, attempt.slot));
      live->set_running(attempt.running);
      live->set_epochs_done(attempt.epochs_done);
    }
  }
  for (const auto& [key, attempt] : attempts_) {
    const bool told = attempt.phase == Phase::kEnded || !attempt.checkpoints.published;
    if (!told) *request.add_checkpoints() = *attempt.checkpoints.published;
  }
  if (!leaving_ && !operator_drain_ && !no_room_) {
    for (size_t i = 0; i < slots_.size(); ++i) {
      if (!slots_[i].attempt) request.add_free_slots(static_cast<int32_t>(i));
    }
    request.set_wanted(request.free_slots_size());
  }
  request.set_draining(leaving_);
  request.set_allows_torchscript(options_.allow_torchscript);
  for (std::string& hash : artifacts_.Held(kMostCachedReported)) {
    request.add_cached(std::move(hash));
  }
  return request;
}

// Whether the coordinator is told how it ended.
bool Agent::IsReported(const Attempt& attempt) {
  return attempt.phase == Phase::kFinished ||
         (attempt.phase == Phase::kSettling && attempt.recovered);
}

void Agent::SendSync(Now now) {
  ++number_;
  if (!spool_.HasRoom()) no_room_until_ = std::max(no_room_until_, now.monotonic + kNoRoomCheck);
  no_room_ = now.monotonic < no_room_until_;
  if (no_room_ && !said_no_room_) spdlog::error("no space left on the disk: takes no jobs for now");
  said_no_room_ = no_room_;
  in_flight_ = number_;
  news_ = false;
  sent_at_ = now.monotonic;
  coordinator_.Sync(MakeRequest(), lease_ / 4 + kSyncMargin);
}

void Agent::OnSync(int64_t number, const absl::StatusOr<v1::SyncResponse>& response, Now now) {
  // Only the answer to the latest request speaks of all that the agent has; whatever an older one
  // says is said again.
  if (number != in_flight_ || number == 0) return;
  in_flight_ = 0;
  ++(response.ok() ? counts_.syncs_answered : counts_.syncs_failed);
  if (response.ok()) {
    TakeResponse(*response, now);
  } else {
    TakeSyncError(response.status(), now);
  }
}

void Agent::TakeSyncError(const absl::Status& error, Now now) {
  news_ = true;  // what that request reported may not have arrived
  if (absl::IsFailedPrecondition(error)) {
    spdlog::error("the coordinator refuses this worker: {}", MessageOf(error));
    status_ = Annotate(error, "worker " + options_.worker);
    for (size_t i = 0; i < slots_.size(); ++i) runners_.Kill(static_cast<int>(i));
    done_ = true;
    return;
  }
  if (absl::IsInvalidArgument(error)) {
    spdlog::error("the coordinator refuses what this worker reports: {}", MessageOf(error));
    if (careful_) DropRefused();
    careful_ = true;
  }
  // A coordinator that comes back gives each lease one new term: several tries must fit into it.
  const absl::Duration most = std::min(kMostSyncPause, lease_ / 8);
  const absl::Duration delay =
      BackoffDelay(sync_failures_++, Random01(), absl::Milliseconds(100), most);
  next_sync_ = now.monotonic + delay;
  if (sync_failures_ == 1 || sync_failures_ % 10 == 0) {
    spdlog::warn("no answer from the coordinator, try {}: {}; {} attempts go on", sync_failures_,
                 MessageOf(error), live());
  }
}

// A report with one finished attempt was refused: that one is the reason. Its content is given up,
// and if the bare failure is refused as well, the attempt.
void Agent::DropRefused() {
  const auto it = std::find_if(attempts_.begin(), attempts_.end(),
                               [](const auto& entry) { return IsReported(entry.second); });
  if (it == attempts_.end()) return;
  auto& [key, attempt] = *it;
  if (attempt.outcome.has_result()) return ReportAsInvalid(key, attempt);
  const LogAbout about(SubjectOf(key));
  spdlog::error("attempt {}: given up: not even its failure is taken", key.ToString());
  spool_.Drop(key);
  attempts_.erase(it);
}

void Agent::ReportAsInvalid(const AttemptKey& key, Attempt& attempt) {
  const LogAbout about(SubjectOf(key));
  spdlog::error("attempt {}: reported as INVALID, without the result that was refused",
                key.ToString());
  v1::FinishedAttempt bare;
  *bare.mutable_id() = IdOf(key);
  bare.mutable_failure()->set_cause(v1::FAILURE_CAUSE_INVALID);
  bare.mutable_failure()->set_message("the coordinator refuses the result as malformed");
  attempt.outcome = std::move(bare);
  attempt.phase = Phase::kFinished;
  attempt.finished.reset();
  attempt.retry = absl::InfiniteDuration();
  KeepOutcome(key, attempt);
}

void Agent::TakeResponse(const v1::SyncResponse& response, Now now) {
  if (sync_failures_ > 0 || number_ == 1) spdlog::info("the coordinator answers");
  sync_failures_ = 0;
  if (response.has_lease() && ToAbsl(response.lease()) > absl::ZeroDuration()) {
    lease_ = ToAbsl(response.lease());
  }
  if (response.drain() != operator_drain_) {
    spdlog::info(response.drain() ? "an operator drains this worker" : "takes jobs again");
    operator_drain_ = response.drain();
    news_ = true;
  }
  for (const v1::AttemptId& id : response.stop()) Forget(KeyOf(id), now);
  for (const v1::AttemptId& id : response.acknowledged()) {
    Attempt* attempt = Find(KeyOf(id));
    if (attempt == nullptr || !IsReported(*attempt)) continue;
    if (attempt->phase == Phase::kSettling) artifacts_.Release(KeyOf(id));
    attempt->phase = Phase::kEnded;
    attempt->retry = absl::InfiniteDuration();
    attempt->ended = now.monotonic;
    news_ = true;
  }
  for (const v1::AttemptId& id : response.weights_missing()) {
    Attempt* attempt = Find(KeyOf(id));
    if (attempt != nullptr) PublishAgain(KeyOf(id), *attempt);
  }
  if (careful_) {
    careful_ = std::any_of(attempts_.begin(), attempts_.end(),
                           [](const auto& entry) { return IsReported(entry.second); });
    news_ = true;  // the others that have ended
  }
  for (const v1::Lease& lease : response.leases()) Begin(lease, now);
  const absl::Duration at_latest =
      response.has_next_sync() ? ToAbsl(response.next_sync()) : lease_ / 4;
  next_sync_ = std::min(now.monotonic + at_latest, std::max(now.monotonic, sent_at_ + kIdleSync));
}

// ----------------------------------------------------------------------------------- metrics

void Agent::PumpMetrics(Now now) {
  if (now.monotonic < metrics_retry_) return;
  std::erase_if(suspects_, [this](const AttemptKey& key) {
    const Attempt* attempt = Find(key);
    return attempt == nullptr || attempt->phase == Phase::kEnded || attempt->points.complete();
  });
  for (auto& [key, attempt] : attempts_) {
    Flow& flow = attempt.points;
    if (attempt.phase == Phase::kEnded || !flow.idle() || flow.complete()) continue;
    if (!suspects_.empty() && key != *suspects_.begin()) continue;
    const LogAbout about(SubjectOf(key));
    auto points = spool_.Read(key, flow.acked, kMostPointsInBatch);
    if (!points.ok()) {
      spdlog::error("attempt {}: spooled points cannot be read: {}", key.ToString(),
                    MessageOf(points.status()));
      metrics_retry_ = now.monotonic + kSpillRetry;
      continue;
    }
    v1::MetricBatch batch;
    batch.set_worker(options_.worker);
    *batch.mutable_id() = IdOf(key);
    batch.set_first_seq(flow.acked);
    for (v1::MetricPoint& point : *points) *batch.add_points() = std::move(point);
    flow.sent = flow.acked + batch.points_size();
    coordinator_.SendMetrics(batch);
  }
}

void Agent::OnMetricAck(const v1::MetricAck& ack, Now now) {
  const AttemptKey key = KeyOf(ack.id());
  suspects_.erase(key);
  Attempt* attempt = Find(key);
  if (attempt == nullptr) return;
  if (ack.refused()) {
    // An attempt that has ended is no longer the job's current one; that is as it should be.
    if (attempt->phase == Phase::kEnded) return;
    Forget(key, now);
    return;
  }
  Flow& flow = attempt->points;
  const int64_t before = flow.acked;
  flow.acked = std::clamp(ack.durable_seq(), flow.acked, flow.end);
  flow.sent = flow.acked;
  counts_.points_durable += flow.acked - before;
  if (flow.acked > before) {
    metrics_failures_ = 0;
  } else if (!flow.complete()) {
    // It lacks points that came before these. It must not be asked again at full speed.
    metrics_retry_ = now.monotonic + BackoffDelay(metrics_failures_++, Random01());
  }
  PublishCheckpointIfReady(key, *attempt);
  spool_.Trim(key, flow.acked);
  for (auto& [other_key, other] : attempts_) {
    if (other.held.empty()) continue;
    Spill(other_key, other);
    if (other.held.empty()) runners_.SetReading(other.slot, true);
  }
  SettleIfReady(key, *attempt, now);
}

void Agent::OnMetricsBroken(const absl::Status& status, Now now) {
  metrics_retry_ = now.monotonic + BackoffDelay(metrics_failures_++, Random01());
  std::set<AttemptKey> sent;
  for (auto& [key, attempt] : attempts_) {
    if (!attempt.points.idle()) sent.insert(key);
    attempt.points.sent = attempt.points.acked;
  }
  if (!absl::IsInvalidArgument(status)) return;
  // The same batch would be refused for ever, and end the stream for the others each time.
  if (sent.size() == 1) {
    const AttemptKey key = *sent.begin();
    suspects_.erase(key);
    GiveUpPoints(key, attempts_.at(key), status, now);
  } else {
    suspects_ = std::move(sent);
  }
}

// Its points can never be taken, so that no result of it can be either: it fails as INVALID, with
// the curve up to there.
void Agent::GiveUpPoints(const AttemptKey& key, Attempt& attempt, const absl::Status& error,
                         Now now) {
  const LogAbout about(SubjectOf(key));
  attempt.refused =
      absl::StrCat("the coordinator refuses its metric points as malformed: ", error.message());
  spdlog::error("attempt {}: {}", key.ToString(), attempt.refused);
  spool_.Trim(key, attempt.points.end);
  attempt.points.end = attempt.points.acked;
  attempt.held.clear();
  if (attempt.phase == Phase::kRunning) {
    StopSlot(attempt.slot, now);
  } else if (attempt.phase == Phase::kSettling && attempt.finished) {
    attempt.retry = absl::InfiniteDuration();
    Fail(key, attempt, v1::FAILURE_CAUSE_INVALID, attempt.refused, now);
  } else {
    SettleIfReady(key, attempt, now);  // its own failure stays the reason
  }
}

// -------------------------------------------------------------------------------------- logs

void Agent::PumpLogs(Now now) {
  if (now.monotonic < logs_retry_) return;
  for (auto& [key, attempt] : attempts_) {
    Flow& flow = attempt.log;
    if (!flow.idle() || flow.complete()) continue;
    auto bytes = spool_.ReadLog(key, flow.acked, kMostLogBytesInChunk);
    if (!bytes.ok() || bytes->empty()) {
      flow.acked = flow.sent = flow.end;  // a log is not worth an attempt
      continue;
    }
    v1::LogChunk chunk;
    chunk.set_worker(options_.worker);
    *chunk.mutable_id() = IdOf(key);
    chunk.set_offset(flow.acked);
    flow.sent = flow.acked + static_cast<int64_t>(bytes->size());
    chunk.set_data(*std::move(bytes));
    coordinator_.SendLog(chunk);
  }
}

void Agent::OnLogAck(const v1::LogAck& ack, Now) {
  logs_failures_ = 0;
  Attempt* attempt = Find(KeyOf(ack.id()));
  if (attempt == nullptr) return;
  Flow& flow = attempt->log;
  if (ack.full()) {
    flow.acked = flow.sent = std::numeric_limits<int64_t>::max();  // more of it is not sent
    return;
  }
  flow.acked = std::clamp(ack.stored_offset(), flow.acked, std::max(flow.acked, flow.end));
  flow.sent = flow.acked;
}

void Agent::OnLogsBroken(Now now) {
  logs_retry_ = now.monotonic + BackoffDelay(logs_failures_++, Random01());
  for (auto& [key, attempt] : attempts_) attempt.log.sent = attempt.log.acked;
}

// ------------------------------------------------------------------------------------ driving

void Agent::RetryTransfers(Now now) {
  for (auto& [key, attempt] : attempts_) {
    if (attempt.retry > now.monotonic) continue;
    if (attempt.phase == Phase::kFetching) Fetch(key, attempt);
    if (attempt.phase == Phase::kSettling) Publish(key, attempt);
  }
}

void Agent::CheckDeadlines(Now now) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].kill > now.monotonic) continue;
    slots_[i].kill = absl::InfiniteDuration();
    spdlog::warn("slot {}: the runner did not stop within {}; killed", i,
                 absl::FormatDuration(options_.stop_grace));
    runners_.Kill(static_cast<int>(i));
  }
  if (!preempted_ && now.monotonic >= preempt_at_) Preempt(now);
  for (auto& [key, attempt] : attempts_) {
    if (attempt.settle_by > now.monotonic) continue;
    // While the coordinator is away the failure cannot be told either.
    const bool wait = sync_failures_ > 0 && !leaving_;
    if (wait) attempt.settle_by = now.monotonic + kSpillRetry;
    if (!wait) Finish(key, attempt, now);
  }
  const absl::Duration patience = leaving_ ? kLogPatienceLeaving : kLogPatience;
  for (auto it = attempts_.begin(); it != attempts_.end();) {
    const Attempt& attempt = it->second;
    if (attempt.phase == Phase::kEnded &&
        (attempt.log.complete() || now.monotonic >= attempt.ended + patience)) {
      spool_.Drop(it->first);
      it = attempts_.erase(it);
    } else {
      ++it;
    }
  }
  if (leaving_ && !done_) {
    // The last Sync told the coordinator that nothing is left here; it may be parked. If the
    // coordinator is away there is nothing left to tell.
    const bool told = !news_ && (in_flight_ == 0 || now.monotonic >= sent_at_ + kLastWord);
    done_ = (attempts_.empty() && (told || sync_failures_ > 0)) || now.monotonic >= leave_by_;
  }
}

// What the first Sync reports as failed is over for the coordinator, which then refuses its points:
// they get a moment to arrive before.
bool Agent::WaitsBeforeFirstSync(Now now) {
  if (number_ > 0) return false;
  first_sync_by_ = std::min(first_sync_by_, now.monotonic + kFirstSyncPatience);
  const bool waits = std::any_of(attempts_.begin(), attempts_.end(), [](const auto& entry) {
    return entry.second.outcome.has_failure() && !entry.second.points.complete();
  });
  if (!waits) first_sync_by_ = now.monotonic;
  return now.monotonic < first_sync_by_;
}

void Agent::Tick(Now now) {
  if (done_) return;
  RetryTransfers(now);
  for (auto& [key, attempt] : attempts_) {
    if (attempt.held.empty()) continue;
    Spill(key, attempt);
    if (attempt.held.empty()) {
      runners_.SetReading(attempt.slot, true);
    } else {
      spill_retry_ = now.monotonic + kSpillRetry;
    }
  }
  PumpMetrics(now);
  PumpLogs(now);
  CheckDeadlines(now);
  if (done_ || WaitsBeforeFirstSync(now)) return;
  if (no_room_ && now.monotonic >= no_room_until_) {
    no_room_ = false;
    news_ = true;
  }
  // News interrupt a parked request: the newer one answers it. After errors they wait too.
  const bool away = sync_failures_ > 0;
  const bool due = in_flight_ == 0 && now.monotonic >= next_sync_;
  if (due || (news_ && !away)) SendSync(now);
}

absl::Duration Agent::NextWake() const {
  absl::Duration wake = in_flight_ == 0 ? next_sync_ : absl::InfiniteDuration();
  if (number_ == 0) wake = first_sync_by_;
  if (no_room_) wake = std::min(wake, no_room_until_);
  wake = std::min({wake, preempted_ ? absl::InfiniteDuration() : preempt_at_, leave_by_});
  if (leaving_ && attempts_.empty()) wake = std::min(wake, sent_at_ + kLastWord);
  for (const SlotState& slot : slots_) wake = std::min(wake, slot.kill);
  const absl::Duration patience = leaving_ ? kLogPatienceLeaving : kLogPatience;
  for (const auto& [key, attempt] : attempts_) {
    wake = std::min({wake, attempt.retry, attempt.settle_by});
    if (attempt.phase == Phase::kEnded) wake = std::min(wake, attempt.ended + patience);
    if (attempt.phase != Phase::kEnded && attempt.points.idle() && !attempt.points.complete()) {
      wake = std::min(wake, metrics_retry_);
    }
    if (attempt.log.idle() && !attempt.log.complete()) wake = std::min(wake, logs_retry_);
    if (!attempt.held.empty()) wake = std::min(wake, spill_retry_);
  }
  return wake;
}

}  // namespace retort
