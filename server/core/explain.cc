#include "server/core/explain.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "common/names.h"
#include "server/core/draft.h"
#include "server/core/placement.h"
#include "server/core/retry.h"

namespace retort::core {
namespace {

constexpr size_t kMostRelated = 16;
constexpr size_t kMostNamed = 4;  // in a sentence

std::string Word(std::string_view word) { return std::string(word); }

// `workers/a, workers/b and 3 more`.
std::string Names(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kMostNamed);
  std::string text = absl::StrJoin(names.begin(), names.begin() + static_cast<long>(shown), ", ");
  if (names.size() > shown) absl::StrAppend(&text, " and ", names.size() - shown, " more");
  return text;
}

std::string Seconds(double seconds) {
  return absl::FormatDuration(absl::Seconds(static_cast<int64_t>(std::max(0.0, seconds) + 0.5)));
}

// Workers as places for a job, by what keeps it from each.
struct Places {
  std::vector<std::string> free, busy, small, avoided, quarantined, draining, away, forbidding;
  std::vector<std::string> quarantine_reasons;
  int64_t largest_room = 0;  // of active workers
  std::string largest_on;
  double next_free_s = -1;  // of a slot that could take it; negative if not known
};

class Explainer {
 public:
  Explainer(const State& state, JobKey key, const Now& now)
      : state_(state), key_(key), job_(state.job(key)), now_(now), draft_(state, now) {}

  Explanation Run();

 private:
  void Add(ReasonCode code, std::string message, std::vector<std::string> related = {}) {
    if (related.size() > kMostRelated) related.resize(kMostRelated);
    out_.reasons.push_back({code, std::move(message), std::move(related)});
  }
  std::string Worker(WorkerKey worker) const { return WorkerName(state_.worker(worker).row.name); }
  void Live();
  void Waiting();  // for its teacher
  void Failed();
  void Budgets();
  // False if no sweep lets it be placed.
  bool Sweeps();
  void Queued();
  Places LookAtWorkers() const;
  double ExpectedEnd(WorkerKey worker) const;
  // True if a worker with a free slot leaves it to a faster one, and says so.
  bool LeftToFaster();
  void SayWhoCannot(const Places& places);
  // How many queued jobs come before it: of higher priority, and in the order of its own.
  void Ahead();

  const State& state_;
  const JobKey key_;
  const Job& job_;
  const Now& now_;
  const Draft draft_;
  Explanation out_;
};

void Explainer::Live() {
  const JobRow& row = job_.row;
  const LeaseInfo& lease = state_.lease(key_);
  const core::Worker& worker = state_.worker(row.worker);
  const double age_s = draft_.LeasedFor(key_);
  const double left_s = absl::ToDoubleSeconds(worker.deadline - now_.monotonic);
  const std::string where =
      absl::StrCat(Worker(row.worker), row.slot >= 0 ? absl::StrCat(" slot ", row.slot) : "");
  const std::string term =
      absl::StrCat("; its lease ends in ", Seconds(left_s), " unless the worker is heard of");
  if (row.state == JobState::kRunning) {
    Add(ReasonCode::kRunning,
        absl::StrCat("attempt ", row.attempt, " runs on ", where, " since ", Seconds(age_s), ", ",
                     lease.epochs_done, " epochs done", term),
        {Worker(row.worker)});
  } else {
    Add(ReasonCode::kLeased,
        absl::StrCat(
            "attempt ", row.attempt, " was given to ", where, " ", Seconds(age_s), " ago, ",
            lease.confirmed ? "which fetches its inputs" : "which has not confirmed it yet", term),
        {Worker(row.worker)});
  }
}

void Explainer::Waiting() {
  const Job& teacher = state_.job(job_.teacher);
  const std::string name = JobName(teacher.id);
  const JobState state = teacher.row.state;
  if (!HasEnded(state) || state == JobState::kSucceeded) {
    const bool live = IsLive(state);
    Add(ReasonCode::kTeacherNotDone,
        absl::StrCat("its teacher ", name, " is ", Word(WordFor(state)),
                     live ? absl::StrCat(" on ", Worker(teacher.row.worker)) : ""),
        {name});
    return;
  }
  const bool failed = state == JobState::kFailed;
  Add(ReasonCode::kTeacherEnded,
      absl::StrCat("its teacher ", name, failed ? " failed (" : " was ",
                   failed ? Word(WordFor(teacher.row.last_cause)) + ")" : Word(WordFor(state)),
                   "; `retort job retry ", teacher.id.short_hex(),
                   "` queues the teacher again, and this job follows by itself"),
      {name});
}

void Explainer::Failed() {
  const JobRow& row = job_.row;
  const std::string cause = Word(WordFor(row.last_cause));
  const std::string worker = row.worker ? Worker(row.worker) : "";
  const std::string retry = absl::StrCat("; `retort job retry ", job_.id.short_hex(),
                                         "` queues it again with fresh budgets");
  const std::vector<std::string> related =
      worker.empty() ? std::vector<std::string>{} : std::vector<std::string>{worker};
  switch (row.last_cause) {
    case FailureCause::kLost:
    case FailureCause::kPreempted: {
      std::vector<std::string> names;
      for (const WorkerKey lost : row.lost_on) {
        if (lost) names.push_back(Worker(lost));
      }
      Add(ReasonCode::kBudgetSpent,
          absl::StrCat("it was lost ", row.lost, " times, on ", Names(names),
                       ": it may be what takes machines down", retry),
          related);
      return;
    }
    case FailureCause::kCrashed:
    case FailureCause::kArtifact:
      Add(ReasonCode::kBudgetSpent,
          absl::StrCat("attempt ", row.attempt, " failed on ", worker, " (", cause,
                       "), and no further try of that cause is left", retry),
          related);
      return;
    case FailureCause::kOutOfMemory: {
      const MoreMemory memory = LookForMemory(draft_, row);
      Add(ReasonCode::kPermanentFailure,
          absl::StrCat(
              "attempt ", row.attempt, " ran out of memory on ", worker,
              memory.had > 0 ? absl::StrCat(", in a slot of ", MemoryText(memory.had)) : "",
              memory.enough()
                  ? "; a worker with a larger slot is known now"
                  : "; no known worker has a larger slot: one, a smaller "
                    "train.batch, train.microbatch: auto or a smaller network would help",
              retry),
          related);
      return;
    }
    case FailureCause::kNumeric:
    case FailureCause::kTimeout:
    case FailureCause::kInvalid:
    case FailureCause::kNone:
      Add(ReasonCode::kPermanentFailure,
          absl::StrCat("attempt ", row.attempt, " failed on ", worker, " (", cause,
                       "), which another try would only repeat", retry),
          related);
      return;
  }
}

void Explainer::Budgets() {
  const JobRow& row = job_.row;
  out_.budgets = {{FailureCause::kLost, row.lost, kMostLost - 1},
                  {FailureCause::kCrashed, row.crashed, kMostCrashed},
                  {FailureCause::kArtifact, row.artifact, kMostArtifact}};
}

bool Explainer::Sweeps() {
  std::vector<std::string> paused, expanding;
  std::string reason;
  for (const SweepKey key : job_.sweeps) {
    const Sweep& sweep = state_.sweep(key);
    if (sweep.row.state == SweepState::kActive) return true;
    if (sweep.row.state == SweepState::kPaused) {
      paused.push_back(SweepName(sweep.fixed.name));
      reason = sweep.row.reason;
    }
    if (sweep.row.state == SweepState::kExpanding) expanding.push_back(SweepName(sweep.fixed.name));
  }
  if (!expanding.empty()) {
    Add(ReasonCode::kSweepExpanding,
        absl::StrCat(Names(expanding),
                     ": its jobs are still being written; none is placed before all are"),
        expanding);
  }
  if (!paused.empty()) {
    Add(ReasonCode::kSweepPaused,
        absl::StrCat(Names(paused), paused.size() == 1 ? " is paused (" : " are paused (", reason,
                     "); `retort sweep resume` goes on"),
        paused);
  }
  return false;
}

// When the job with the least to do on that worker should end, from how fast the sweeps' jobs ran.
double Explainer::ExpectedEnd(WorkerKey worker) const {
  double soonest = -1;
  for (const JobKey key : state_.worker(worker).leases) {
    const Job& job = state_.job(key);
    if (job.row.slot >= 0 &&
        static_cast<size_t>(job.row.slot) < state_.worker(worker).row.slots.size() &&
        RoomOf(state_.worker(worker).row.slots[static_cast<size_t>(job.row.slot)]) <
            job_.row.memory_bytes) {
      continue;
    }
    for (const SweepKey sweep : job.sweeps) {
      const SweepRow& row = state_.sweep(sweep).row;
      if (row.cost_done <= 0 || row.done_s <= 0) continue;
      const double all_s = job.expected_cost * row.done_s / row.cost_done;
      const double left_s = std::max(0.0, all_s - draft_.LeasedFor(key));
      if (soonest < 0 || left_s < soonest) soonest = left_s;
      break;
    }
  }
  return soonest;
}

Places Explainer::LookAtWorkers() const {
  Places places;
  const int64_t need = job_.row.memory_bytes;
  for (int64_t i = 1; i <= state_.workers(); ++i) {
    const WorkerKey key{i};
    const core::Worker& worker = state_.worker(key);
    const std::string name = Worker(key);
    if (worker.row.away) {
      places.away.push_back(name);
    } else if (worker.row.state == WorkerState::kQuarantined) {
      places.quarantined.push_back(name);
      places.quarantine_reasons.push_back(absl::StrCat(name, ": ", worker.row.reason));
    } else if (worker.row.state == WorkerState::kDraining || worker.draining) {
      places.draining.push_back(name);
    } else if (job_.kind == JobKind::kScripted && !worker.allows_torchscript) {
      places.forbidding.push_back(name);
    } else {
      const int64_t room = LargestRoom(worker.row.slots);
      if (room > places.largest_room) {
        places.largest_room = room;
        places.largest_on = name;
      }
      const std::vector<FreeSlot> free = FreeSlotsOf(draft_, key, worker.free_slots);
      if (room < need || room == 0) {
        places.small.push_back(name);
      } else if (FailedOn(job_.row, key) &&
                 RoomOfOthers(draft_, key, job_.kind == JobKind::kScripted) >=
                     std::max<int64_t>(1, need)) {
        places.avoided.push_back(name);
      } else if (free.empty() || free.back().room < need) {
        places.busy.push_back(name);
        const double end_s = ExpectedEnd(key);
        if (end_s >= 0 && (places.next_free_s < 0 || end_s < places.next_free_s)) {
          places.next_free_s = end_s;
        }
      } else {
        places.free.push_back(name);
      }
    }
  }
  return places;
}

bool Explainer::LeftToFaster() {
  Outlook outlook(draft_);
  for (int64_t i = 1; i <= state_.workers(); ++i) {
    const WorkerKey key{i};
    const core::Worker& worker = state_.worker(key);
    if (worker.row.away || worker.row.state != WorkerState::kActive || worker.draining) continue;
    const double speed = outlook.SpeedOf(key);
    if (!outlook.HasFaster(speed)) continue;
    Placement placement(draft_, outlook, key, worker.allows_torchscript, worker.cached,
                        FreeSlotsOf(draft_, key, worker.free_slots));
    (void)placement.Next();
    for (const Placement::Deferred& deferred : placement.deferred()) {
      if (deferred.job != key_) continue;
      Add(ReasonCode::kFasterWorker,
          absl::StrCat("it would finish sooner on ", Worker(deferred.worker), ": expected in ",
                       Seconds(deferred.end_s), ", against ",
                       Seconds(outlook.Seconds(job_.expected_cost, speed)), " on ", Worker(key),
                       ", which has a free slot"),
          {Worker(deferred.worker), Worker(key)});
      return true;
    }
  }
  return false;
}

void Explainer::SayWhoCannot(const Places& places) {
  if (!places.forbidding.empty()) {
    Add(ReasonCode::kTorchscriptNotAllowed,
        absl::StrCat("its teacher is a TorchScript module, which runs code; not allowed by ",
                     Names(places.forbidding), " (retort-worker --allow-torchscript)"),
        places.forbidding);
  }
  if (!places.avoided.empty()) {
    Add(ReasonCode::kAvoidsWorker,
        absl::StrCat("it failed on ", Names(places.avoided), " (",
                     Word(WordFor(job_.row.last_cause)), "), so it is left to others"),
        places.avoided);
  }
  if (!places.quarantined.empty()) {
    Add(ReasonCode::kWorkerQuarantined,
        absl::StrCat("quarantined: ", Names(places.quarantine_reasons),
                     "; `retort worker release` lets one take jobs again"),
        places.quarantined);
  }
  if (!places.draining.empty()) {
    Add(ReasonCode::kWorkerDraining, absl::StrCat("draining: ", Names(places.draining)),
        places.draining);
  }
  if (!places.away.empty()) {
    Add(ReasonCode::kWorkerAway,
        absl::StrCat("not heard of for longer than a lease: ", Names(places.away)), places.away);
  }
}

void Explainer::Ahead() {
  int32_t priority = INT32_MIN;
  for (const SweepKey sweep : job_.sweeps) {
    if (state_.sweep(sweep).row.state == SweepState::kActive) {
      priority = std::max(priority, state_.sweep(sweep).fixed.priority);
    }
  }
  const Candidate self{priority, false, state_.EntryOf(key_)};
  int64_t ahead = 0;
  int64_t looked = 0;
  for (const auto& [level, key] : state_.placeable()) {
    if (-level < priority || looked >= kMostAhead) break;
    const JobQueue& queue = state_.sweep(key).queue;
    if (-level > priority) {
      ahead += queue.size();
      ++looked;
      continue;
    }
    queue.ForEachNeed({}, 0, kAnyMemory, [&](auto first, auto last) {
      for (; first != last && looked < kMostAhead; ++first, ++looked) {
        if (!Before({-level, false, first->entry}, self)) break;
        ++ahead;
      }
      return looked < kMostAhead;
    });
  }
  if (ahead == 0) return;
  Add(ReasonCode::kBehindOthers,
      absl::StrCat(looked >= kMostAhead ? "at least " : "", ahead,
                   ahead == 1 ? " queued job comes" : " queued jobs come",
                   " before it: higher priority, then what unblocks most, then longest first"));
}

void Explainer::Queued() {
  if (!Sweeps()) return;
  if (job_.teacher && state_.job(job_.teacher).row.state != JobState::kSucceeded) return Waiting();
  const Places places = LookAtWorkers();
  const bool active = !places.free.empty() || !places.busy.empty() || !places.avoided.empty();
  if (!places.free.empty() && LeftToFaster()) {
    Ahead();
  } else if (!places.free.empty()) {
    Add(ReasonCode::kReady,
        absl::StrCat("a slot is free on ", Names(places.free),
                     "; a worker gets the first job of the order when it asks"),
        places.free);
    Ahead();
  } else if (!places.busy.empty()) {
    Add(ReasonCode::kNoFreeSlot,
        absl::StrCat("all slots that could take it are busy, on ", Names(places.busy),
                     places.next_free_s >= 0 ? absl::StrCat("; the next is expected to be free in ",
                                                            Seconds(places.next_free_s))
                                             : ""),
        places.busy);
    Ahead();
  } else if (!places.small.empty()) {
    Add(ReasonCode::kNotEnoughMemory,
        absl::StrCat("it needs ", MemoryText(job_.row.memory_bytes), " of a slot",
                     job_.row.memory_hinted ? " (memory_gib of a sweep)" : "", "; the largest has ",
                     MemoryText(places.largest_room), ", on ", places.largest_on,
                     ". A worker with larger slots would take it"),
        places.small);
  } else if (!active && places.forbidding.empty()) {
    Add(ReasonCode::kNoWorkers,
        state_.workers() == 0
            ? "no worker has ever called; start one: retort-worker"
            : "no worker takes jobs now; start one (retort-worker) or release one");
  }
  if (active && !places.small.empty()) {
    Add(ReasonCode::kNotEnoughMemory,
        absl::StrCat("it needs ", MemoryText(job_.row.memory_bytes),
                     " of a slot, more than any has on ", Names(places.small)),
        places.small);
  }
  SayWhoCannot(places);
}

Explanation Explainer::Run() {
  out_.job = job_.id;
  out_.state = job_.row.state;
  out_.attempt = job_.row.attempt;
  Budgets();
  switch (job_.row.state) {
    case JobState::kBlocked:
    case JobState::kSkipped:
      Waiting();
      Sweeps();
      break;
    case JobState::kQueued:
      Queued();
      break;
    case JobState::kLeased:
    case JobState::kRunning:
      Live();
      break;
    case JobState::kSucceeded:
      Add(ReasonCode::kSucceeded,
          absl::StrCat("attempt ", job_.row.attempt, " succeeded on ", Worker(job_.row.worker)),
          {Worker(job_.row.worker)});
      break;
    case JobState::kFailed:
      Failed();
      break;
    case JobState::kCancelled:
      Add(ReasonCode::kCancelled,
          draft_.Wanted(key_) ? "it was cancelled; `retort job retry` does not revive it, "
                                "submitting its sweep again does"
                              : "every sweep that wanted it was cancelled; submitting one again "
                                "revives it");
      break;
  }
  return std::move(out_);
}

}  // namespace

Explanation Explain(const State& state, JobKey job, const Now& now) {
  return Explainer(state, job, now).Run();
}

}  // namespace retort::core
