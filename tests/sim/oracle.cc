#include "tests/sim/oracle.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "server/core/job_state.h"
#include "tests/sim/training.h"

namespace retort::sim {
namespace {

using core::JobState;
using core::SweepState;

std::string Name(const Oracle::Job& job) {
  return absl::StrCat("job ", job.id.short_hex(), " (", std::string(WordFor(job.row.state)),
                      ", attempt ", job.row.attempt, ")");
}

}  // namespace

void Oracle::Fail(std::string_view invariant, const std::string& what) {
  world_.Violate(absl::StrCat(std::string(invariant), ": ", what));
}

const Oracle::Job* Oracle::FindJob(const JobId& id) const {
  const auto key = job_keys_.find(id);
  return key == job_keys_.end() ? nullptr : &jobs_.at(key->second);
}

// ------------------------------------------------------------------------------ what is written

void Oracle::OnCommit(const std::vector<const core::Record*>& records,
                      const store::Reader& reader) {
  succeeded_now_.clear();
  leased_now_.clear();
  size_t next = 0;
  for (const Turn& turn : std::exchange(turns_, {})) {
    Begin(turn);
    for (; next < std::min(turn.records, records.size()); ++next) {
      std::visit([this](const auto& r) { Do(r); }, *records[next]);
    }
  }
  if (next < records.size()) Fail("turns", "records of no turn of the strand are written");
  for (const core::JobKey key : succeeded_now_) {
    const Job& job = jobs_.at(key);
    if (job.row.state != JobState::kSucceeded) continue;
    if (!job.result) Fail("result", Name(job) + " succeeded without a result");
    CheckSeries(job, reader);
  }
  for (const core::WorkerKey key : leased_now_) {
    const Worker& worker = workers_.at(key);
    if (worker.live > static_cast<int>(worker.row.slots.size())) {
      Fail("slots", absl::StrCat(worker.row.name, " has ", worker.live, " leases for ",
                                 worker.row.slots.size(), " slots"));
    }
  }
}

void Oracle::Do(const core::JobCreated& r) {
  Job job;
  job.id = r.id;
  job.number = NumberOf(r.id);
  job.teacher = r.teacher;
  job.row = r.row;
  if (!job_keys_.emplace(r.id, r.key).second) Fail("identity", Name(job) + " exists twice");
  jobs_[r.key] = std::move(job);
}

void Oracle::Do(const core::JobChanged& r) {
  Job& job = jobs_.at(r.key);
  if (r.before != job.row) {
    Fail("memory", absl::StrCat(Name(job), ": memory was ", std::string(WordFor(r.before.state)),
                                ", attempt ", r.before.attempt, ", points ", r.before.points,
                                ", and the store has ", job.row.points, " points"));
  }
  const bool was_live = IsLive(job.row.state);
  if (was_live) --workers_.at(job.row.worker).live;
  if (IsLive(r.after.state)) ++workers_.at(r.after.worker).live;
  if (r.after.attempt != job.row.attempt) {
    CheckLease(job, r.after);
    job.from_epoch = job.checkpoint ? job.checkpoint->epochs_done : 0;
  }
  if (job.row.state == JobState::kSucceeded && r.after.state != JobState::kSucceeded) {
    job.last_result = job.result;  // Do(ResultWithdrawn) follows
  }
  if (r.after.state == JobState::kSucceeded && job.row.state != JobState::kSucceeded) {
    succeeded_now_.insert(r.key);
  }
  job.row = r.after;
  world_.Note("job", job.id.short_hex(), static_cast<int64_t>(job.row.state), job.row.attempt);
}

void Oracle::CheckLease(const Job& job, const core::JobRow& after) {
  leased_now_.insert(after.worker);
  if (after.attempt != job.row.attempt + 1) {
    Fail("fencing", absl::StrCat(Name(job), ": next attempt is ", after.attempt));
  }
  if (IsLive(job.row.state)) Fail("lease", Name(job) + " is leased twice");
  if (job.row.state != JobState::kQueued) Fail("lease", Name(job) + " was not queued");
  if (job.teacher && jobs_.at(job.teacher).row.state != JobState::kSucceeded) {
    Fail("needs", Name(job) + " is leased before its teacher, " + Name(jobs_.at(job.teacher)));
  }
  const bool active = std::any_of(job.sweeps.begin(), job.sweeps.end(), [&](core::SweepKey key) {
    return sweeps_.at(key).row.state == SweepState::kActive;
  });
  if (!active) Fail("pause", Name(job) + " is leased though none of its sweeps is active");
  const Worker& worker = workers_.at(after.worker);
  if (worker.row.state != core::WorkerState::kActive) {
    Fail("drain", Name(job) + " is leased to " + worker.row.name + ", which takes no jobs");
  }
}

int64_t Oracle::FirstPoint(const Job& job) {
  return static_cast<int64_t>(job.from_epoch) * PointsPerEpoch(job.number);
}

void Oracle::Do(const core::CheckpointChanged& r) {
  Job& job = jobs_.at(r.job);
  if (r.before != job.checkpoint) Fail("memory", Name(job) + ": its checkpoint differs");
  if (r.after) {
    if (job.checkpoint && job.checkpoint->steps_done >= r.after->steps_done) {
      Fail("checkpoint", Name(job) + ": its checkpoint went back");
    }
    if (r.after->file.hash != CheckpointOf(job.number, r.after->epochs_done)) {
      Fail("checkpoint", Name(job) + ": not what its training gives");
    }
    // A state that is resumed has all points before it, also after a crash right now.
    const int64_t points =
        (r.after->epochs_done - job.from_epoch) * static_cast<int64_t>(PointsPerEpoch(job.number));
    if (job.row.points < points) {
      Fail("checkpoint", absl::StrCat(Name(job), ": ", job.row.points,
                                      " points are durable before a checkpoint of ", points));
    }
  }
  job.checkpoint = r.after;
}

// All points of the accepted attempt, each once, equal to what training gives, and nothing else.
void Oracle::CheckSeries(const Job& job, const store::Reader& reader) {
  constexpr int kAll = 1'000'000;
  const auto points = reader.Metrics(job.id, {}, kAll);
  if (!points.ok()) return Fail("metrics", points.status().ToString());
  // Those of the epochs before are of the attempts that it goes on from.
  const auto wanted = static_cast<size_t>(FirstPoint(job) + job.row.points);
  if (points->size() != wanted) {
    Fail("metrics",
         absl::StrCat(Name(job), " has ", points->size(), " durable points; expected ", wanted));
  }
  for (const v1::MetricPoint& point : *points) {
    const bool before = point.step() < job.from_epoch;
    if (before ? point.unix_ms() < job.row.attempt : point.unix_ms() == job.row.attempt) continue;
    return Fail("metrics", absl::StrCat(Name(job), ": ", point.series(), " at ", point.step(),
                                        " is of attempt ", point.unix_ms()));
  }
}

void Oracle::Do(const core::SweepCreated& r) {
  sweeps_[r.key] = {r.fixed.name, r.fixed.jobs, 0, r.row};
}

void Oracle::Do(const core::SweepChanged& r) {
  Sweep& sweep = sweeps_.at(r.key);
  if (r.before != sweep.row) Fail("memory", sweep.name + ": memory and store differ");
  if (sweep.row.state == SweepState::kCancelled && r.after.state != SweepState::kCancelled) {
    Fail("mutation", sweep.name + " was cancelled and lives again");
  }
  if (sweep.row.state == SweepState::kExpanding && r.after.state == SweepState::kActive &&
      sweep.members != sweep.jobs) {
    Fail("expansion",
         absl::StrCat(sweep.name, " is active with ", sweep.members, " of ", sweep.jobs, " jobs"));
  }
  if (sweep.row.state != r.after.state) {
    world_.Note("sweep", sweep.name, static_cast<int64_t>(r.after.state));
  }
  sweep.row = r.after;
}

void Oracle::Do(const core::MemberAdded& r) {
  Sweep& sweep = sweeps_.at(r.sweep);
  if (r.position != sweep.members++) Fail("expansion", sweep.name + ": members not in order");
  auto& sweeps = jobs_.at(r.job).sweeps;
  if (std::find(sweeps.begin(), sweeps.end(), r.sweep) != sweeps.end()) {
    Fail("expansion", sweep.name + " has a job twice");
  }
  sweeps.push_back(r.sweep);
}

void Oracle::Do(const core::WorkerCreated& r) {
  workers_[r.key].row = r.row;
  worker_keys_[r.row.name] = r.key;
}

void Oracle::Do(const core::WorkerChanged& r) {
  Worker& worker = workers_.at(r.key);
  if (r.before != worker.row) Fail("memory", worker.row.name + ": memory and store differ");
  worker.row = r.after;
}

void Oracle::Do(const core::AttemptEnded& r) {
  Job& job = jobs_.at(r.job);
  if (r.end_ms == 0 || job.ended > r.number) {
    Fail("durable", absl::StrCat(Name(job), ": attempt ", r.number, " was written to have ended ",
                                 r.end_ms == 0 ? "at no time" : "after a later one"));
  }
  job.ended = r.number;
  if (r.cause != core::FailureCause::kLost) return;
  const Worker& worker = workers_.at(r.worker);
  world_.Note("lost", job.id.short_hex(), r.number);
  if (r.message.find("its lease expired") == 0) {
    const absl::Duration since = std::max(worker.heard, serving_since_);
    if (now_.monotonic - since < settings_.lease) {
      Fail("term", absl::StrCat(Name(job), ": its lease ended ",
                                absl::FormatDuration(now_.monotonic - since),
                                " after the last word of ", worker.row.name));
    }
  }
  // Promise 3: what the coordinator itself goes through is no reason to lose a job.
  const absl::Duration window = 2 * settings_.lease + absl::Seconds(15);
  const auto link = links_.find(worker.row.name);
  const absl::Duration disturbed =
      link == links_.end() ? -absl::InfiniteDuration() : link->second->disturbed();
  // Time in which the coordinator did nothing does not count.
  if (disturbed == -absl::InfiniteDuration() ||
      at_ - disturbed - link->second->coordinator().Off(disturbed) > window) {
    Fail("kept", absl::StrCat(Name(job), " was lost by ", worker.row.name,
                              ", to which nothing had happened: ", r.message));
  }
}

void Oracle::Do(const core::ResultAccepted& r) {
  Job& job = jobs_.at(r.job);
  if (job.result) Fail("result", Name(job) + " has two accepted results");
  if (r.attempt != job.row.attempt || r.result->kept_epoch() != r.attempt) {
    Fail("fencing", absl::StrCat(Name(job), ": result of attempt ", r.result->kept_epoch(),
                                 " accepted as of attempt ", r.attempt));
  }
  if (r.result->metric_points() != job.row.points) {
    Fail("metrics", absl::StrCat(Name(job), ": result names ", r.result->metric_points(),
                                 " points, ", job.row.points, " are durable"));
  }
  if (job.checkpoint) Fail("checkpoint", Name(job) + " succeeded and keeps a checkpoint");
  if (r.weights.hash != WeightsOf(job.number, r.attempt, settings_.attempts_differ)) {
    Fail("result", Name(job) + ": not the weights that its training gives");
  }
  job.result = job.last_result = r.attempt;
  job.weights = r.weights.hash;
}

void Oracle::Do(const core::ResultWithdrawn& r) {
  Job& job = jobs_.at(r.job);
  if (!job.result) Fail("result", Name(job) + ": withdrawn, but it had none");
  job.result.reset();
}

void Oracle::Do(const core::PointsAdded& r) {
  const Job& job = jobs_.at(r.job);
  if (r.batch->id().attempt() != job.row.attempt) {
    Fail("fencing", absl::StrCat(Name(job), ": points of attempt ", r.batch->id().attempt()));
  }
  // The row was written before: it counts these points already.
  const int64_t end = r.batch->first_seq() + r.batch->points_size();
  if (end > job.row.points) Fail("metrics", Name(job) + ": more points than its row says");
  for (int i = r.skip; i < r.batch->points_size(); ++i) {
    const v1::MetricPoint& point = r.batch->points(i);
    const v1::MetricPoint wanted =
        PointAt(job.number, job.row.attempt, FirstPoint(job) + r.batch->first_seq() + i);
    if (point.series() == wanted.series() && point.step() == wanted.step() &&
        point.value() == wanted.value() && point.unix_ms() == wanted.unix_ms()) {
      continue;
    }
    return Fail("metrics", absl::StrCat(Name(job), ": point ", r.batch->first_seq() + i, " is ",
                                        point.series(), " at ", point.step()));
  }
}

void Oracle::Do(const core::RequestAnswered& r) {
  const auto known = requests_.find(r.request_id);
  if (known != requests_.end()) {
    // Only one that takes several commits goes on, from where it was.
    if (known->second.next < 0) Fail("request", r.request_id + " was carried out twice");
    if (r.before != known->second) Fail("memory", r.request_id + ": memory and store differ");
  }
  requests_[r.request_id] = r.answer;
  const auto sweep = sweeps_.find(r.answer.sweep);
  if (sweep == sweeps_.end()) return;
  const SweepState state = sweep->second.row.state;
  // Done at once if nothing is left; stopped at once by a budget that was spent while it was
  // paused.
  const bool done = state == SweepState::kDone || sweep->second.row.budget_spent;
  if ((r.answer.method == "PauseSweep" && state != SweepState::kPaused && !done) ||
      (r.answer.method == "ResumeSweep" && state != SweepState::kActive && !done) ||
      (r.answer.method == "CancelSweep" && state != SweepState::kCancelled)) {
    Fail("mutation", sweep->second.name + ": " + r.answer.method + " had no effect");
  }
}

void Oracle::Do(const core::RequestForgotten& r) { requests_.erase(r.request_id); }

// ------------------------------------------------------------------------------ what is said

void Oracle::OnServe() {
  serving_since_ = now_.monotonic;
  for (auto& [key, worker] : workers_) worker.heard = -absl::InfiniteDuration();
}

void Oracle::EndBatch() {
  for (const Turn& turn : std::exchange(turns_, {})) Begin(turn);
}

void Oracle::Begin(const Turn& turn) {
  now_ = turn.now;
  at_ = turn.at;
  for (const std::string& worker : turn.heard) {
    const auto key = worker_keys_.find(worker);
    if (key != worker_keys_.end()) workers_.at(key->second).heard = now_.monotonic;
  }
}

bool Oracle::IsCurrent(const Job& job, int32_t attempt, const std::string& worker) const {
  return IsLive(job.row.state) && job.row.attempt == attempt &&
         workers_.at(job.row.worker).row.name == worker;
}

void Oracle::OnSyncReply(const std::string& worker, const core::SyncReply& reply) {
  for (const core::Grant& grant : reply.grants) {
    const Job* job = FindJob(grant.id.job);
    // It may have been cancelled, or lost, by what was decided since in the same commit.
    if (job == nullptr || job->row.attempt < grant.id.attempt) {
      Fail("durable", absl::StrCat(worker, " is granted attempt ", grant.id.attempt, " of ",
                                   job ? Name(*job) : "no job", ", which the store does not say"));
      continue;
    }
    if (!job->teacher) continue;
    const Job& teacher = jobs_.at(job->teacher);
    if (teacher.result &&
        (!grant.teacher_weights || grant.teacher_weights->hash != teacher.weights))
      Fail("needs", Name(*job) + ": not the weights of its teacher");
  }
  for (const core::AttemptName& id : reply.stop) {
    const Job* job = FindJob(id.job);
    if (job != nullptr && IsCurrent(*job, id.attempt, worker)) {
      Fail("kept", Name(*job) + " runs on " + worker + " and is told to stop");
    }
  }
  for (const core::AttemptName& id : reply.acknowledged) {
    const Job* job = FindJob(id.job);
    if (job == nullptr || job->row.attempt != id.attempt) continue;
    const bool waits = job->row.state == JobState::kQueued || job->row.state == JobState::kBlocked;
    const bool accepted = job->last_result && *job->last_result == id.attempt;
    if (IsCurrent(*job, id.attempt, worker) || (waits && !accepted && job->ended != id.attempt)) {
      Fail("durable", Name(*job) + ": its end was acknowledged to " + worker +
                          ", and the store does not know it");
    }
  }
}

void Oracle::OnMetricReply(const core::MetricReply& reply, const std::string& worker) {
  const Job* job = FindJob(reply.id.job);
  if (reply.refused) {
    if (job != nullptr && IsCurrent(*job, reply.id.attempt, worker)) {
      Fail("kept", Name(*job) + " runs on " + worker + " and its points are refused");
    }
    return;
  }
  if (job != nullptr && job->row.attempt > reply.id.attempt) return;  // leased again since
  if (job == nullptr || job->row.attempt < reply.id.attempt) {
    return Fail("fencing", absl::StrCat("points of attempt ", reply.id.attempt, " of ",
                                        job ? Name(*job) : "no job", " acknowledged"));
  }
  if (reply.durable_seq > job->row.points) {
    Fail("durable", absl::StrCat(Name(*job), ": ", reply.durable_seq, " points acknowledged, ",
                                 job->row.points, " are durable"));
  }
}

void Oracle::OnRequestReply(const std::string& request_id, const Answer& answer) {
  if (!requests_.contains(request_id)) {
    Fail("durable", "request " + request_id + " was acknowledged and is not in the store");
  }
  const auto* sweep = std::get_if<core::SweepReply>(&answer);
  if (sweep == nullptr) return;
  const auto known = sweeps_.find(sweep->sweep);
  if (known == sweeps_.end() || known->second.name != sweep->name) {
    Fail("durable", "sweep " + sweep->name + " was acknowledged and is not in the store");
  }
}

void Oracle::OnClientHeard(const std::string& request_id, const std::string& answer) {
  const auto [first, fresh] = heard_.emplace(request_id, answer);
  if (!fresh && first->second != answer) {
    Fail("request",
         absl::StrCat(request_id, " was answered '", first->second, "' and then '", answer, "'"));
  }
}

void Oracle::OnStopped(const std::string& worker, const std::string& id, int32_t attempt) {
  const auto hex = JobId::FromHex(id);
  const Job* job = hex.ok() ? FindJob(*hex) : nullptr;
  if (job != nullptr && IsCurrent(*job, attempt, worker)) {
    Fail("kept", Name(*job) + " is stopped by " + worker + " though it has its lease");
  }
}

// ------------------------------------------------------------------------------ everything

void Oracle::CheckAll(const core::State& state, store::Store& store, const core::Options& options) {
  const absl::Status broken = state.CheckInvariants();
  if (!broken.ok()) Fail("state", broken.ToString());
  core::State fresh(options);
  const absl::Status loaded =
      store.Load([&fresh](const core::Record& record) { fresh.Load(record); });
  if (!loaded.ok()) Fail("state", loaded.ToString());
  fresh.Recover(now_);
  if (fresh.Dump() != state.Dump()) {
    Fail("reload", absl::StrCat("memory:\n", state.Dump(), "\nloaded again:\n", fresh.Dump()));
  }
  const absl::Status other = fresh.CheckInvariants();
  if (!other.ok()) Fail("reload", other.ToString());
}

bool Oracle::AllEnded() const {
  for (const auto& [key, sweep] : sweeps_) {
    if (sweep.row.state == SweepState::kExpanding || sweep.row.state == SweepState::kActive) {
      return false;
    }
  }
  for (const auto& [key, job] : jobs_) {
    if (HasEnded(job.row.state)) continue;
    const bool paused = std::any_of(job.sweeps.begin(), job.sweeps.end(), [&](core::SweepKey s) {
      return sweeps_.at(s).row.state == SweepState::kPaused;
    });
    if (!paused) return false;
  }
  return true;
}

std::string Oracle::Open() const {
  std::string text;
  int left = 8;
  for (const auto& [key, sweep] : sweeps_) {
    if (sweep.row.state != SweepState::kExpanding && sweep.row.state != SweepState::kActive)
      continue;
    if (left-- > 0) {
      absl::StrAppend(&text, "; sweep ", sweep.name, " in state ",
                      static_cast<int>(sweep.row.state), " with ", sweep.members, " of ",
                      sweep.jobs, " jobs");
    }
  }
  for (const auto& [key, job] : jobs_) {
    if (!HasEnded(job.row.state) && left-- > 0) absl::StrAppend(&text, "; ", Name(job));
  }
  return text;
}

}  // namespace retort::sim
