// Submission: the head of a sweep, then its jobs in chunks. What is known is not run again.
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/names.h"
#include "server/core/concerns.h"
#include "server/core/draft.h"
#include "server/core/requests.h"
#include "server/core/retry.h"

namespace retort::core {
namespace {

constexpr const char* kMethod = "CreateSweep";
constexpr size_t kLongestName = 63;

SweepReply ReplyOf(const State& state, SweepKey key) {
  const Sweep& sweep = state.sweep(key);
  return {key, sweep.fixed.name, sweep.fixed.jobs, sweep.row.known};
}

// `ieee`, or `ieee-2` and so on if it is taken.
std::string FreeName(const State& state, const std::string& wanted) {
  std::string name = wanted;
  for (int64_t n = 2; state.FindSweep(name); ++n) {
    const std::string suffix = absl::StrCat("-", n);
    name = wanted.substr(0, kLongestName - suffix.size()) + suffix;
  }
  return name;
}

// Some hundred kilobytes a minute cost nothing, and jobs shorter than that need none.
constexpr double kCheckpointEveryS = 60;

double Seconds(const google::protobuf::Duration& duration) {
  return static_cast<double>(duration.seconds()) + 1e-9 * duration.nanos();
}

RunBudget BudgetOf(const v1::SweepSpec& spec) {
  RunBudget budget;
  budget.device_s = spec.budget().device_hours() * 3600;
  budget.wall_ms = spec.budget().wall().seconds() * 1000 + spec.budget().wall().nanos() / 1000000;
  budget.cancel = spec.budget().then() == v1::BUDGET_ACTION_CANCEL;
  return budget;
}

// Of several sweeps the one that asks for most counts, and what a sweep asks for more than an
// estimate. A job that nobody wanted begins anew.
void RaiseMemory(Draft& draft, JobKey key, const NewJob& job, bool anew) {
  const JobRow& known = draft.job(key);
  const bool replace = anew || (job.memory_hinted && !known.memory_hinted);
  const bool raise =
      job.memory_hinted == known.memory_hinted && job.memory_bytes > known.memory_bytes;
  if (!replace && !raise) return;
  JobRow& row = draft.EditJob(key);
  row.memory_bytes = job.memory_bytes;
  row.memory_hinted = job.memory_hinted;
}

// The job of the state that is the same, revived if nobody wanted it, or a new one.
absl::StatusOr<JobKey> AddJob(Draft& draft, const SweepChunk& chunk, size_t index,
                              absl::flat_hash_map<JobId, JobKey>& created) {
  const State& state = draft.state();
  const NewJob& job = (*chunk.jobs)[index];
  if (const JobKey known = state.FindJob(job.id)) {
    const bool anew = draft.job(known).state == JobState::kCancelled;
    RaiseMemory(draft, known, job, anew);
    if (anew) {
      ResetBudgets(draft.EditJob(known));
      draft.Requeue(known);
    } else if (draft.job(known).state == JobState::kSkipped) {
      // Its teacher may have been revived while nobody wanted this one.
      draft.AddChore(state.job(known).teacher, {});
    }
    return known;
  }
  JobKey teacher;
  if (job.teacher) {
    const auto here = created.find(*job.teacher);
    teacher = here != created.end() ? here->second : state.FindJob(*job.teacher);
    if (!teacher) {
      return absl::InternalError(absl::StrCat("job ", job.id.short_hex(), ": its teacher ",
                                              job.teacher->short_hex(), " must come before it"));
    }
  }
  // Shares ownership of the whole chunk.
  const std::shared_ptr<const NewJob> details(chunk.jobs, &job);
  const JobKey key = draft.CreateJob(job, details, teacher);
  created[job.id] = key;
  return key;
}

}  // namespace

absl::StatusOr<std::optional<SweepReply>> FindCreatedSweep(const State& state,
                                                           const std::string& request_id,
                                                           const std::string& arguments) {
  const auto repeated = FindRepeated(state, request_id, kMethod, arguments);
  if (!repeated.ok()) return repeated.status();
  if (*repeated == nullptr) return std::optional<SweepReply>();
  const SweepKey key = (*repeated)->sweep;
  if (state.sweep(key).row.state == SweepState::kExpanding) return std::optional<SweepReply>();
  return std::optional<SweepReply>(ReplyOf(state, key));
}

absl::StatusOr<Decision> DecideBeginSweep(const State& state, const BeginSweep& begin,
                                          const Now& now) {
  Draft draft(state, now);
  auto repeated = FindRepeated(state, begin.request_id, kMethod, begin.arguments);
  if (!repeated.ok()) return repeated.status();
  if (*repeated != nullptr) {
    const SweepKey key = (*repeated)->sweep;
    if (state.sweep(key).row.state == SweepState::kExpanding) {
      return absl::UnavailableError(
          absl::StrCat("sweeps/", state.sweep(key).fixed.name, " is being expanded; ask again"));
    }
    draft.Say(begin.token, ReplyOf(state, key));
    return draft.Finish();
  }
  const absl::Status name_ok = CheckSweepName(begin.spec->name());
  if (!name_ok.ok()) return name_ok;
  if (begin.jobs <= 0) {
    return absl::InvalidArgumentError("the sweep has no jobs; must have at least one");
  }
  SweepFixed fixed;
  fixed.name = FreeName(state, begin.spec->name());
  fixed.priority = begin.spec->priority();
  fixed.jobs = begin.jobs;
  fixed.create_ms = draft.now_ms();
  fixed.budget = BudgetOf(*begin.spec);
  fixed.checkpoint_every_s = begin.spec->has_checkpoint_every()
                                 ? Seconds(begin.spec->checkpoint_every())
                                 : kCheckpointEveryS;
  fixed.wall_limit_s = Seconds(begin.spec->wall_limit());
  const SweepKey key = draft.CreateSweep(fixed, begin.spec);
  RequestAnswer answer;
  answer.sweep = key;
  Remember(draft, begin.request_id, kMethod, begin.arguments, answer);
  ForgetOld(draft);
  draft.Say(begin.token, SweepReply{key, fixed.name, fixed.jobs, 0, true});
  return draft.Finish();
}

absl::StatusOr<Decision> DecideSweepChunk(const State& state, const SweepChunk& chunk,
                                          const Now& now) {
  Draft draft(state, now);
  // Its head was taken back meanwhile.
  if (chunk.sweep.value > state.sweeps()) return absl::UnavailableError("the sweep is not there");
  const Sweep& sweep = state.sweep(chunk.sweep);
  if (sweep.row.state == SweepState::kCancelled) {
    return absl::AbortedError(
        absl::StrCat("sweeps/", sweep.fixed.name, " was cancelled while it was being expanded"));
  }
  const auto have = static_cast<int64_t>(sweep.jobs.size());
  const int64_t end = chunk.first_position + static_cast<int64_t>(chunk.jobs->size());
  const std::string name = absl::StrCat("sweeps/", sweep.fixed.name);
  if (end > sweep.fixed.jobs) {
    return absl::InternalError(absl::StrCat(name, ": has ", sweep.fixed.jobs, " jobs, not ", end));
  }
  // The one before it was taken back.
  if (chunk.first_position > have) {
    return absl::UnavailableError(absl::StrCat(name, ": jobs from ", chunk.first_position,
                                               " on do not follow the ", have, " that are there"));
  }
  absl::flat_hash_map<JobId, JobKey> created;
  for (int64_t position = have; position < end; ++position) {
    const auto index = static_cast<size_t>(position - chunk.first_position);
    const auto key = AddJob(draft, chunk, index, created);
    if (!key.ok()) return key.status();
    draft.AddMember(chunk.sweep, *key);
  }
  if (end == sweep.fixed.jobs) {
    if (sweep.row.state == SweepState::kExpanding) {
      draft.EditSweep(chunk.sweep).state = SweepState::kActive;
    }
    SweepReply reply = ReplyOf(state, chunk.sweep);
    reply.known = draft.sweep(chunk.sweep).known;
    draft.Say(chunk.token, reply);
  }
  return draft.Finish();
}

}  // namespace retort::core
