#include "client/launch/autoscale.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace retort {
namespace {

constexpr int kMostWorkers = 10000;
constexpr absl::Duration kFirstHold = absl::Seconds(30);
constexpr absl::Duration kLongestHold = absl::Minutes(10);

bool Digits(absl::string_view text, int64_t* number) {
  const bool digits = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
  return digits && absl::SimpleAtoi(text, number);
}

using Workers = std::map<SlurmTaskId, const ScaleWorker*>;

// Workers that are tasks: of several runs of one task the latest.
Workers OurWorkers(const ScaleView::Coordinator& coordinator, const std::string& name) {
  std::map<SlurmTaskId, int64_t> latest;
  Workers ours;
  for (const ScaleWorker& worker : coordinator.workers) {
    const auto run = RunOf(worker.name, name);
    if (!run) continue;
    const auto known = latest.find(run->task);
    if (known != latest.end() && known->second > run->restarts) continue;
    latest[run->task] = run->restarts;
    ours[run->task] = &worker;
  }
  return ours;
}

bool IsAlive(const SlurmTask& task) { return task.phase != SlurmPhase::kEnded; }

bool IsDrained(const ScaleWorker& worker) { return worker.state == ScaleWorker::State::kDraining; }

// Newest first: those have waited, or worked, for the shortest time.
std::vector<SlurmTask> NewestFirst(std::vector<SlurmTask> tasks) {
  std::sort(tasks.begin(), tasks.end(),
            [](const SlurmTask& a, const SlurmTask& b) { return a.id > b.id; });
  return tasks;
}

}  // namespace

absl::StatusOr<std::pair<int, int>> ParseScale(std::string_view text) {
  const std::vector<absl::string_view> parts =
      absl::StrSplit(absl::string_view(text.data(), text.size()), ':');
  int64_t least = 0, most = 0;
  if (parts.size() == 2 && Digits(parts[0], &least) && Digits(parts[1], &most) && least <= most &&
      most >= 1 && most <= kMostWorkers) {
    return std::pair(static_cast<int>(least), static_cast<int>(most));
  }
  return absl::InvalidArgumentError(absl::StrCat("'", absl::string_view(text.data(), text.size()),
                                                 "'; expected MIN:MAX, such as 0:16, with at most ",
                                                 kMostWorkers, " workers"));
}

std::optional<SlurmRun> RunOf(const std::string& worker, const std::string& name) {
  if (!absl::StartsWith(worker, name + "-")) return std::nullopt;
  const std::vector<absl::string_view> parts =
      absl::StrSplit(absl::string_view(worker).substr(name.size() + 1), '-');
  SlurmRun run;
  const bool restarted = parts.size() == 3 && absl::StartsWith(parts[2], "r") &&
                         Digits(parts[2].substr(1), &run.restarts);
  if (parts.size() != 2 && !restarted) return std::nullopt;
  if (!Digits(parts[0], &run.task.job) || !Digits(parts[1], &run.task.index)) return std::nullopt;
  return run;
}

ScaleActions Autoscaler::Decide(const ScaleView& view, absl::Time now) {
  ScaleActions actions;
  if (!view.tasks || !view.coordinator) return actions;
  FollowSubmissions(view, now, actions);
  NoteIdle(view, now);
  EndDrained(view, now, actions);
  const Count count = CountTasks(view);
  const int wanted = Wanted(*view.coordinator);
  if (wanted > count.capacity) Grow(wanted - count.capacity, count, now, actions);
  if (wanted < count.capacity) Shrink(count.capacity - wanted, view, now, actions);
  return actions;
}

void Autoscaler::OnSubmitted(const absl::StatusOr<int64_t>& job, int tasks, absl::Time now) {
  // Where sbatch gave no answer there may be a job all the same: it counts until squeue would have
  // listed it.
  submissions_.push_back({job.value_or(0), tasks, now});
  if (!job.ok()) Fail(now);
}

void Autoscaler::Fail(absl::Time now) {
  const absl::Duration hold = kFirstHold * static_cast<double>(1 << std::min(failures_, 10));
  hold_until_ = std::max(hold_until_, now + std::min(hold, kLongestHold));
  ++failures_;
}

// A submission is done with once a worker of it has come, or none can come any more. Where workers
// end before they say hello (no such program, no such folder), growing again at once would fill
// Slurm's books with failures.
void Autoscaler::FollowSubmissions(const ScaleView& view, absl::Time now, ScaleActions& actions) {
  std::set<int64_t> listed, alive, registered;
  for (const SlurmTask& task : *view.tasks) {
    listed.insert(task.id.job);
    if (IsAlive(task)) alive.insert(task.id.job);
  }
  for (const auto& [task, worker] : OurWorkers(*view.coordinator, policy_.name)) {
    registered.insert(task.job);
  }
  std::vector<Submission> left;
  for (Submission& submission : submissions_) {
    const bool settled = now >= submission.time + policy_.settle;
    submission.seen = submission.seen || listed.contains(submission.job);
    if (registered.contains(submission.job)) {
      failures_ = 0;
    } else if (submission.job == 0
                   ? !settled
                   : alive.contains(submission.job) || (!submission.seen && !settled)) {
      left.push_back(submission);
    } else if (submission.job != 0) {
      Fail(now);
      actions.notes.push_back(absl::StrCat(
          "job ", submission.job, " has ended before a worker of it was heard of; see its log. ",
          "Workers are started again in ", absl::FormatDuration(hold_until_ - now)));
    }
  }
  submissions_ = std::move(left);
}

Autoscaler::Count Autoscaler::CountTasks(const ScaleView& view) const {
  const Workers ours = OurWorkers(*view.coordinator, policy_.name);
  Count count;
  for (const SlurmTask& task : *view.tasks) {
    if (!IsAlive(task)) continue;
    ++count.alive;
    const auto worker = ours.find(task.id);
    const bool drained =
        worker != ours.end() && IsDrained(*worker->second) && task.phase != SlurmPhase::kWaiting;
    if (task.phase != SlurmPhase::kLeaving && !drained) ++count.capacity;
  }
  for (const Submission& submission : submissions_) {
    if (!submission.seen) count.unseen += submission.tasks;
  }
  count.capacity += count.unseen;
  return count;
}

int Autoscaler::Wanted(const ScaleView::Coordinator& coordinator) const {
  int64_t jobs = coordinator.jobs;
  for (const ScaleWorker& worker : coordinator.workers) {
    const bool ours = RunOf(worker.name, policy_.name).has_value();
    if (!ours && worker.state == ScaleWorker::State::kActive) jobs -= worker.slots;
  }
  const int64_t workers = (std::max<int64_t>(0, jobs) + policy_.slots - 1) / policy_.slots;
  return static_cast<int>(std::clamp<int64_t>(workers, policy_.least, policy_.most));
}

void Autoscaler::Grow(int missing, const Count& count, absl::Time now,
                      ScaleActions& actions) const {
  if (now < hold_until_) return;
  // Those that are leaving still hold their nodes.
  const int room = policy_.most - count.alive - count.unseen;
  actions.submit = std::max(0, std::min(missing, room));
}

void Autoscaler::NoteIdle(const ScaleView& view, absl::Time now) {
  std::map<std::string, absl::Time> idle;
  for (const ScaleWorker& worker : view.coordinator->workers) {
    // What one that is away has is not known.
    if (worker.jobs > 0 || worker.state == ScaleWorker::State::kAway) continue;
    const auto known = idle_since_.find(worker.name);
    idle[worker.name] = known == idle_since_.end() ? now : known->second;
  }
  idle_since_ = std::move(idle);
}

// First what costs nothing: tasks that wait. Then workers that have had nothing to do for a while;
// they are drained, and end in a later round, when it is sure that they have got nothing since.
void Autoscaler::Shrink(int surplus, const ScaleView& view, absl::Time now, ScaleActions& actions) {
  const Workers ours = OurWorkers(*view.coordinator, policy_.name);
  const std::vector<SlurmTask> tasks = NewestFirst(*view.tasks);
  for (const SlurmTask& task : tasks) {
    if (surplus == 0) return;
    if (task.phase != SlurmPhase::kWaiting) continue;
    actions.cancel.push_back(task.id);
    --surplus;
  }
  for (const SlurmTask& task : tasks) {
    if (surplus == 0) return;
    const auto worker = ours.find(task.id);
    if (task.phase != SlurmPhase::kRunning || worker == ours.end()) continue;
    if (IsDrained(*worker->second)) continue;
    const auto idle = idle_since_.find(worker->second->name);
    if (idle == idle_since_.end() || now < idle->second + policy_.idle) continue;
    actions.drain.push_back(worker->second->name);
    --surplus;
  }
}

void Autoscaler::EndDrained(const ScaleView& view, absl::Time now, ScaleActions& actions) {
  const Workers ours = OurWorkers(*view.coordinator, policy_.name);
  std::map<SlurmTaskId, absl::Time> terminated;
  for (const SlurmTask& task : *view.tasks) {
    const auto worker = ours.find(task.id);
    if (task.phase != SlurmPhase::kRunning || worker == ours.end()) continue;
    if (!IsDrained(*worker->second) || worker->second->jobs > 0) continue;
    const auto last = terminated_.find(task.id);
    const bool again = last == terminated_.end() || now >= last->second + policy_.settle;
    if (again) actions.terminate.push_back(task.id);
    terminated[task.id] = again ? now : last->second;
  }
  terminated_ = std::move(terminated);
}

}  // namespace retort
