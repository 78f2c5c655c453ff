// What must always hold of a State, and its content as text.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/core/state.h"

namespace retort::core {
namespace {

absl::Status Broken(const std::string& what) {
  return absl::InternalError(absl::StrCat("invariant broken: ", what));
}

std::string Word(JobState state) { return std::string(WordFor(state)); }

}  // namespace

absl::Status State::CheckJob(JobKey key) const {
  const Job& job = this->job(key);
  const std::string name = absl::StrCat("job ", key.value, " (", Word(job.row.state), "): ");
  if (FindJob(job.id) != key) return Broken(name + "its id leads elsewhere");
  if (IsLive(job.row.state) != leases_.contains(key))
    return Broken(name + "lease and state differ");
  if (IsLive(job.row.state) &&
      (!job.row.worker || job.row.attempt < 1 || !worker(job.row.worker).leases.contains(key))) {
    return Broken(name + "is live without a worker that has it");
  }
  if ((job.row.state == JobState::kSucceeded) != (weights(key) != nullptr)) {
    return Broken(name + "result and state differ");
  }
  if (HasEnded(job.row.state) != (job.row.end_ms != 0))
    return Broken(name + "end time and state differ");
  for (const SweepKey sweep : job.sweeps) {
    if (this->sweep(sweep).queue.Contains(EntryOf(key), QueueNeed(job)) !=
        (job.row.state == JobState::kQueued)) {
      return Broken(name + "queue and state differ");
    }
  }
  if (!job.teacher) {
    return job.row.state == JobState::kBlocked || job.row.state == JobState::kSkipped
               ? Broken(name + "waits for nothing")
               : absl::OkStatus();
  }
  if (job.teacher >= key) return Broken(name + "comes before its teacher");
  // A chore that has not come to this child explains a difference for a while.
  if (chores_.contains({job.teacher, SweepKey{}})) return absl::OkStatus();
  const JobState teacher = this->job(job.teacher).row.state;
  const bool ready = teacher == JobState::kSucceeded;
  const bool wanted = std::any_of(job.sweeps.begin(), job.sweeps.end(), [this](SweepKey s) {
    return this->sweep(s).row.state != SweepState::kCancelled;
  });
  const bool fits = job.row.state == JobState::kQueued    ? ready
                    : job.row.state == JobState::kBlocked ? !HasEnded(teacher)
                    : job.row.state == JobState::kSkipped ? (HasEnded(teacher) && !ready) || !wanted
                                                          : true;
  return fits ? absl::OkStatus() : Broken(absl::StrCat(name, "its teacher is ", Word(teacher)));
}

absl::Status State::CheckSweep(SweepKey key) const {
  const Sweep& sweep = this->sweep(key);
  const std::string name = absl::StrCat("sweep ", sweep.fixed.name, ": ");
  JobCounts counts{};
  int64_t queued = 0;
  for (const JobKey job_key : sweep.jobs) {
    const Job& job = this->job(job_key);
    ++counts[IndexOf(job.row.state)];
    queued += job.row.state == JobState::kQueued;
    if (!std::binary_search(job.sweeps.begin(), job.sweeps.end(), key)) {
      return Broken(absl::StrCat(name, "job ", job_key.value, " does not know it"));
    }
  }
  if (counts != sweep.row.counts) return Broken(name + "counts are wrong");
  if (queued != sweep.queue.size()) return Broken(name + "queue is wrong");
  const bool placeable = sweep.row.state == SweepState::kActive && queued > 0;
  if (placeable != placeable_.contains({-sweep.fixed.priority, key})) {
    return Broken(name + "is or is not among those that can be placed");
  }
  int64_t open = 0;
  for (int i = 0; i < IndexOf(JobState::kSucceeded); ++i) open += counts[i];
  if (sweep.row.state == SweepState::kDone && open > 0) return Broken(name + "done with open jobs");
  const bool runs =
      sweep.row.state == SweepState::kActive || sweep.row.state == SweepState::kPaused;
  if (runs && open == 0) return Broken(name + "not done without open jobs");
  if (sweep.row.state != SweepState::kExpanding && sweep.row.state != SweepState::kCancelled &&
      static_cast<int64_t>(sweep.jobs.size()) != sweep.fixed.jobs) {
    return Broken(name + "is not complete");
  }
  // Jobs that nobody wants have ended, but for those that a chore has still to visit.
  if (sweep.row.state == SweepState::kCancelled && !chores_.contains({JobKey{}, key})) {
    for (const JobKey job_key : sweep.jobs) {
      const Job& job = this->job(job_key);
      // Wanted, or a chore of another of its sweeps is still to come.
      const bool wanted = std::any_of(job.sweeps.begin(), job.sweeps.end(), [this](SweepKey s) {
        return this->sweep(s).row.state != SweepState::kCancelled ||
               chores_.contains({JobKey{}, s});
      });
      if (!wanted && !HasEnded(job.row.state)) {
        return Broken(
            absl::StrCat(name, "cancelled, but job ", job_key.value, " is ", Word(job.row.state)));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status State::CheckWorker(WorkerKey key) const {
  const Worker& worker = this->worker(key);
  const std::string name = absl::StrCat("worker ", worker.row.name, ": ");
  for (const JobKey job : worker.leases) {
    if (!IsLive(this->job(job).row.state) || this->job(job).row.worker != key) {
      return Broken(absl::StrCat(name, "has job ", job.value, " which is not leased to it"));
    }
  }
  std::vector<int16_t> slots;
  for (const JobKey job : worker.leases) {
    const int16_t slot = this->job(job).row.slot;
    if (slot >= 0 && std::find(slots.begin(), slots.end(), slot) != slots.end()) {
      return Broken(absl::StrCat(name, "two leases on slot ", slot));
    }
    slots.push_back(slot);
  }
  if (worker.leases.size() > worker.row.slots.size())
    return Broken(name + "more leases than slots");
  if (!worker.leases.empty() && worker.deadline == absl::InfiniteDuration()) {
    return Broken(name + "leases that never expire");
  }
  if (worker.parked != 0 && !parks_.contains({worker.parked_until, key})) {
    return Broken(name + "a parked Sync that is never answered");
  }
  return absl::OkStatus();
}

absl::Status State::CheckInvariants() const {
  for (int64_t i = 1; i <= jobs(); ++i) {
    if (const absl::Status status = CheckJob({i}); !status.ok()) return status;
  }
  for (int64_t i = 1; i <= sweeps(); ++i) {
    if (const absl::Status status = CheckSweep({i}); !status.ok()) return status;
  }
  size_t leases = 0;
  for (int64_t i = 1; i <= workers(); ++i) {
    if (const absl::Status status = CheckWorker({i}); !status.ok()) return status;
    leases += worker({i}).leases.size();
  }
  if (leases != leases_.size()) return Broken("a job is leased to two workers");
  if (requests_.size() != requests_by_time_.size())
    return Broken("requests and their times differ");
  return absl::OkStatus();
}

std::string State::Dump() const {
  std::string out;
  for (int64_t i = 1; i <= jobs(); ++i) {
    const Job& job = this->job({i});
    const JobRow& row = job.row;
    absl::StrAppend(&out, "job ", i, " ", job.id.hex(), " teacher ", job.teacher.value, " kind ",
                    static_cast<int>(job.kind), " cost ", job.expected_cost, " created ",
                    job.create_ms, " ", Word(row.state), " cause ",
                    static_cast<int>(row.last_cause), " lost ", static_cast<int>(row.lost));
    absl::StrAppend(&out, " crashed ", static_cast<int>(row.crashed), " artifact ",
                    static_cast<int>(row.artifact), " attempt ", row.attempt, " worker ",
                    row.worker.value, " points ", row.points, " times ", row.lease_ms, " ",
                    row.start_ms, " ", row.end_ms, " lost on");
    for (const WorkerKey worker : row.lost_on) absl::StrAppend(&out, " ", worker.value);
    absl::StrAppend(&out, " memory ", row.memory_bytes, " ", row.memory_hinted, " slot ", row.slot);
    absl::StrAppend(&out, " sweeps");
    for (const SweepKey sweep : job.sweeps) absl::StrAppend(&out, " ", sweep.value);
    if (weights({i}) != nullptr) {
      absl::StrAppend(&out, " weights ", weights({i})->hash.hex(), " ", weights({i})->size_bytes);
    }
    if (const TrainingCheckpoint* at = checkpoint({i})) {
      absl::StrAppend(&out, " checkpoint ", at->file.hash.hex(), " ", at->file.size_bytes, " ",
                      at->epochs_done, " ", at->steps_done);
    }
    absl::StrAppend(&out, "\n");
  }
  for (int64_t i = 1; i <= sweeps(); ++i) {
    const Sweep& sweep = this->sweep({i});
    const SweepRow& row = sweep.row;
    absl::StrAppend(&out, "sweep ", i, " ", sweep.fixed.name, " priority ", sweep.fixed.priority,
                    " of ", sweep.fixed.jobs, " created ", sweep.fixed.create_ms, " state ",
                    static_cast<int>(row.state), " '", row.reason, "' end ", row.end_ms);
    absl::StrAppend(&out, " budget ", sweep.fixed.budget.device_s, " ", sweep.fixed.budget.wall_ms,
                    " ", sweep.fixed.budget.cancel, " known ", row.known, " cost ", row.cost_open,
                    " ", row.cost_done, " ", row.done_s, " ", row.device_s, " spent ",
                    row.budget_spent);
    absl::StrAppend(&out, " counts");
    for (const int64_t count : row.counts) absl::StrAppend(&out, " ", count);
    absl::StrAppend(&out, " jobs");
    for (const JobKey job : sweep.jobs) absl::StrAppend(&out, " ", job.value);
    absl::StrAppend(&out, "\n");
  }
  for (int64_t i = 1; i <= workers(); ++i) {
    const WorkerRow& row = worker({i}).row;
    absl::StrAppend(&out, "worker ", i, " ", row.name, " ", row.host, " ", row.version, " inc ",
                    row.incarnation, " state ", static_cast<int>(row.state), " '", row.reason,
                    "' away ", row.away, " seen ", row.seen_ms);
    absl::StrAppend(&out, " succeeded ", row.succeeded, " failed ", row.failed, " streak ",
                    row.streak_ms, " last ", row.last_success_ms);
    for (const Mishap& mishap : row.streak) {
      absl::StrAppend(&out, " ", mishap.job.value, ":", static_cast<int>(mishap.cause));
    }
    for (const Slot& slot : row.slots) {
      absl::StrAppend(&out, " slot ", slot.index, " ", slot.device, " ", slot.memory_bytes);
    }
    absl::StrAppend(&out, "\n");
  }
  for (const auto& [time_ms, id] : requests_by_time_) {
    const RequestAnswer& answer = requests_.at(id);
    absl::StrAppend(&out, "request ", id, " ", time_ms, " ", answer.method, " ", answer.sweep.value,
                    " ", answer.worker.value, " ", answer.changed, " next ", answer.next, " of ",
                    answer.states, " ", answer.causes, " ", answer.arguments, " ",
                    answer.answer.size(), "\n");
  }
  return out;
}

}  // namespace retort::core
