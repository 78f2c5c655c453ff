// How long does a skewed sweep take from its first job to its last, in Retort's order and first in
// first out? Pure: the real core, simulated workers, virtual time. Prints one line of JSON for each
// sweep.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <map>
#include <queue>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/hash.h"
#include "server/core/decide.h"
#include "server/core/state.h"

namespace retort::core {
namespace {

constexpr int64_t kGiB = int64_t{1} << 30;

struct Machine {
  double speed = 1;            // cost per second
  std::vector<int64_t> slots;  // memory
};

struct Work {
  double cost = 1;   // expected, seconds at speed 1
  double real = 1;   // what it takes then
  int teacher = -1;  // index of the job that it needs
  int64_t memory = 0;
};

struct Sweep {
  std::string name;
  std::vector<Work> jobs;  // in the order of expansion: teachers, then students, small ones first
  std::vector<Machine> machines;
};

// A job that ends.
struct End {
  double time = 0;
  int machine = 0;
  int slot = 0;
  int job = 0;
  double took = 0;

  friend bool operator>(const End& a, const End& b) {
    return std::tie(a.time, a.job) > std::tie(b.time, b.job);
  }
};
using Ends = std::priority_queue<End, std::vector<End>, std::greater<>>;

// --------------------------------------------------------------------------- first in, first out

double RunFifo(const Sweep& sweep) {
  std::vector<bool> started(sweep.jobs.size()), done(sweep.jobs.size());
  std::vector<std::vector<bool>> busy;
  for (const Machine& machine : sweep.machines) busy.emplace_back(machine.slots.size());
  Ends ends;
  double now = 0;
  while (true) {
    // Each free slot gets the first job that is ready and fits.
    for (size_t m = 0; m < sweep.machines.size(); ++m) {
      for (size_t s = 0; s < busy[m].size(); ++s) {
        if (busy[m][s]) continue;
        for (size_t j = 0; j < sweep.jobs.size(); ++j) {
          const Work& work = sweep.jobs[j];
          const bool ready = work.teacher < 0 || done[static_cast<size_t>(work.teacher)];
          if (started[j] || !ready || work.memory > sweep.machines[m].slots[s]) continue;
          started[j] = busy[m][s] = true;
          const double took = work.real / sweep.machines[m].speed;
          ends.push(
              {now + took, static_cast<int>(m), static_cast<int>(s), static_cast<int>(j), took});
          break;
        }
      }
    }
    if (ends.empty()) return now;
    const End end = ends.top();
    ends.pop();
    now = end.time;
    done[static_cast<size_t>(end.job)] = true;
    busy[static_cast<size_t>(end.machine)][static_cast<size_t>(end.slot)] = false;
  }
}

// ---------------------------------------------------------------------------------- Retort's order

JobId IdOf(size_t job) { return JobId(Sha256Of(absl::StrCat("job ", job))); }

class Simulation {
 public:
  explicit Simulation(const Sweep& sweep)
      : sweep_(sweep), state_(Options{.lease = absl::Hours(1'000'000)}) {
    now_.monotonic = absl::Seconds(1);
    now_.wall = absl::FromUnixSeconds(1'700'000'000);
    running_.resize(sweep.machines.size());
    number_.resize(sweep.machines.size());
  }

  // Seconds from submission to the last result. `known`: the machines had done another sweep.
  double Run(bool known) {
    if (known) WarmUp();
    const double begin = time_;
    Submit("sweep", sweep_.jobs, 0);
    for (size_t m = 0; m < sweep_.machines.size(); ++m) Sync(static_cast<int>(m), nullptr);
    Settle();
    return time_ - begin;
  }
  int64_t succeeded() const {
    return state_.sweep({state_.sweeps()}).row.counts[IndexOf(JobState::kSucceeded)];
  }

 private:
  // A sweep of small jobs of one kind, a few for each slot.
  void WarmUp() {
    std::mt19937 random(1);
    std::normal_distribution<double> normal(0, 1);
    extra_.clear();
    for (int j = 0; j < 100; ++j) {
      extra_.push_back({10, 10 * std::exp(0.2 * normal(random)), -1, kGiB});
    }
    Submit("before", extra_, sweep_.jobs.size());
    for (size_t m = 0; m < sweep_.machines.size(); ++m) Sync(static_cast<int>(m), nullptr);
    Settle();
  }

  void Settle() {
    while (!ends_.empty()) {
      // Timers that are due before the next end may place a job that ends sooner.
      const double timer = absl::ToDoubleSeconds(state_.NextWake()) - 1;
      if (timer < ends_.top().time) {
        Advance(timer);
        Do(Wake{});
        continue;
      }
      const End end = ends_.top();
      ends_.pop();
      Advance(end.time);
      Sync(end.machine, &end);
    }
  }
  void Advance(double time) {
    time_ = std::max(time_, time);
    now_.monotonic = absl::Seconds(1) + absl::Seconds(time_);
    now_.wall = absl::FromUnixSeconds(1'700'000'000) + absl::Seconds(time_);
    // Seconds as a number are rounded.
    if (state_.NextWake() > now_.monotonic &&
        state_.NextWake() - now_.monotonic < absl::Microseconds(1)) {
      now_.monotonic = state_.NextWake();
    }
  }

  void Submit(const std::string& name, const std::vector<Work>& all, size_t first) {
    auto spec = std::make_shared<v1::SweepSpec>();
    spec->set_name(name);
    Do(BeginSweep{0, "request " + name, spec, static_cast<int64_t>(all.size()), {}});
    auto jobs = std::make_shared<std::vector<NewJob>>();
    for (size_t j = 0; j < all.size(); ++j) {
      const Work& work = all[j];
      NewJob job;
      job.id = IdOf(first + j);
      index_[job.id] = static_cast<int>(first + j);
      job.kind = work.teacher < 0 ? JobKind::kTeacher : JobKind::kStudent;
      if (work.teacher >= 0) job.teacher = IdOf(static_cast<size_t>(work.teacher));
      job.expected_cost = work.cost;
      job.memory_bytes = work.memory;
      jobs->push_back(std::move(job));
    }
    Do(SweepChunk{0, {state_.sweeps()}, 0, jobs});
  }

  void Sync(int m, const End* end) {
    const Machine& machine = sweep_.machines[static_cast<size_t>(m)];
    auto& running = running_[static_cast<size_t>(m)];
    core::Sync sync;
    sync.token = ++token_;
    sync.worker = absl::StrCat("w", m);
    sync.incarnation = 1;
    sync.number = ++number_[static_cast<size_t>(m)];
    for (size_t s = 0; s < machine.slots.size(); ++s) {
      sync.slots.push_back({static_cast<int32_t>(s), "cpu", machine.slots[s]});
    }
    if (end != nullptr) {
      FinishedReport report;
      report.id = running.at(end->slot);
      report.device_s = end->took;
      report.result = std::make_shared<v1::JobResult>();
      report.weights_held = true;
      report.weights = {ArtifactHash(Sha256Of(absl::StrCat("weights ", end->job))), 1};
      sync.finished.push_back(report);
      running.erase(end->slot);
    }
    for (const auto& [slot, id] : running) sync.live.push_back({id, true, 0, slot});
    sync.wanted = static_cast<int32_t>(machine.slots.size() - running.size());
    machine_of_[sync.token] = m;
    Do(sync);
  }

  void Do(const Input& input) {
    Carry(*Decide(state_, input, now_));
    while (state_.NextWake() <= now_.monotonic) Carry(*Decide(state_, Wake{}, now_));
    while (!again_.empty()) {
      const int m = again_.back();
      again_.pop_back();
      Sync(m, nullptr);
    }
  }

  void Carry(const Decision& decision) {
    state_.Apply(decision);
    for (const Reply& reply : decision.replies) {
      const auto* answer = std::get_if<SyncReply>(&reply.body);
      if (answer == nullptr || !machine_of_.contains(reply.token)) continue;
      const int m = machine_of_.at(reply.token);
      for (const Grant& grant : answer->grants) {
        const int job = index_.at(grant.id.job);
        running_[static_cast<size_t>(m)][grant.slot] = grant.id;
        const auto at = static_cast<size_t>(job);
        const Work& work =
            at < sweep_.jobs.size() ? sweep_.jobs[at] : extra_[at - sweep_.jobs.size()];
        const double took = work.real / sweep_.machines[static_cast<size_t>(m)].speed;
        ends_.push({time_ + took, m, grant.slot, job, took});
      }
      // A worker asks again as soon as it was answered, unless a later Sync was what answered.
      if (answer->number == number_[static_cast<size_t>(m)]) again_.push_back(m);
    }
  }

  const Sweep& sweep_;
  std::vector<Work> extra_;  // of the sweep before; numbered behind those of this one
  State state_;
  Now now_;
  double time_ = 0;
  Token token_ = 0;
  Ends ends_;
  absl::flat_hash_map<JobId, int> index_;
  std::vector<std::map<int, AttemptName>> running_;  // by slot
  std::vector<int64_t> number_;
  absl::flat_hash_map<Token, int> machine_of_;
  std::vector<int> again_;
};

// ------------------------------------------------------------------------------------------ sweeps

struct Shape {
  const char* name;
  int teachers = 4;
  double teacher_cost = 400;
  int students = 60;   // of each teacher
  double tail = 1.5;   // Pareto exponent of their cost; 0: all the same
  bool mixed = false;  // machines of three speeds and memories
  bool known = false;  // they did another sweep before: how fast they are is known
  double noise = 0.2;  // real cost: expected times exp(noise x normal)
};

Sweep Make(const Shape& shape, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(0, 1);
  std::normal_distribution<double> normal(0, 1);
  Sweep sweep;
  sweep.name = shape.name;
  const auto add = [&](double cost, int teacher) {
    Work work;
    work.cost = cost;
    work.real = cost * std::exp(shape.noise * normal(random));
    work.teacher = teacher;
    work.memory = cost > 100 ? 6 * kGiB : cost > 20 ? 3 * kGiB : kGiB;
    sweep.jobs.push_back(work);
  };
  for (int t = 0; t < shape.teachers; ++t) add(shape.teacher_cost * (0.5 + t), -1);
  std::vector<double> costs;
  for (int s = 0; s < shape.students; ++s) {
    costs.push_back(
        shape.tail == 0 ? 10 : std::min(300.0, 5 * std::pow(1 - uniform(random), -1 / shape.tail)));
  }
  // As people list them: small networks first; teachers vary fastest.
  std::sort(costs.begin(), costs.end());
  for (const double cost : costs) {
    for (int t = 0; t < shape.teachers; ++t) add(cost, t);
  }
  for (int m = 0; m < 8; ++m) {
    const int kind = shape.mixed ? m % 3 : 1;
    sweep.machines.push_back({kind == 0   ? 0.5
                              : kind == 1 ? 1.0
                                          : 3.0,
                              std::vector<int64_t>(2, kind == 0   ? 2 * kGiB
                                                      : kind == 1 ? 8 * kGiB
                                                                  : 32 * kGiB)});
  }
  // Who asks first is chance.
  std::shuffle(sweep.machines.begin(), sweep.machines.end(), random);
  return sweep;
}

// No order can be faster: the work over all slots, and the longest chain on the fastest machine.
double LowerBound(const Sweep& sweep) {
  double speed = 0, fastest = 0, work = 0, chain = 0;
  for (const Machine& machine : sweep.machines) {
    speed += machine.speed * static_cast<double>(machine.slots.size());
    fastest = std::max(fastest, machine.speed);
  }
  for (const Work& job : sweep.jobs) {
    work += job.real;
    const double before = job.teacher < 0 ? 0 : sweep.jobs[static_cast<size_t>(job.teacher)].real;
    chain = std::max(chain, before + job.real);
  }
  return std::max(work / speed, chain / fastest);
}

int Run() {
  const Shape shapes[] = {
      {.name = "even", .teacher_cost = 10, .tail = 0},
      {.name = "long-teachers"},
      {.name = "one-long-teacher", .teachers = 1, .teacher_cost = 800, .students = 200},
      {.name = "heavy-tail", .teacher_cost = 100, .tail = 1.05},
      {.name = "mixed-machines", .mixed = true, .known = true},
      {.name = "mixed-machines-heavy-tail",
       .teacher_cost = 100,
       .tail = 1.05,
       .mixed = true,
       .known = true},
      {.name = "mixed-strangers", .mixed = true},
      {.name = "mixed-strangers-heavy-tail", .teacher_cost = 100, .tail = 1.05, .mixed = true},
  };
  constexpr uint32_t kSeeds = 20;
  for (const Shape& shape : shapes) {
    double retort = 0, fifo = 0, bound = 0;
    std::vector<double> ratios;
    size_t jobs = 0;
    for (uint32_t seed = 1; seed <= kSeeds; ++seed) {
      const Sweep sweep = Make(shape, seed);
      jobs = sweep.jobs.size();
      Simulation simulation(sweep);
      const double mine = simulation.Run(shape.known);
      const double theirs = RunFifo(sweep);
      if (simulation.succeeded() != static_cast<int64_t>(jobs)) {
        std::fprintf(stderr, "%s: %ld of %zu jobs ended\n", shape.name,
                     static_cast<long>(simulation.succeeded()), jobs);
        return 1;
      }
      retort += mine / kSeeds;
      fifo += theirs / kSeeds;
      bound += LowerBound(sweep) / kSeeds;
      ratios.push_back(theirs / mine);
    }
    std::sort(ratios.begin(), ratios.end());
    std::printf(
        "{\"bench\":\"makespan\",\"sweep\":\"%s\",\"jobs\":%zu,\"seeds\":%u,\"retort_s\":%.1f,"
        "\"fifo_s\":%.1f,\"median_fifo_over_retort\":%.3f,\"worst_fifo_over_retort\":%.3f,"
        "\"lower_bound_s\":%.1f,\"retort_over_bound\":%.3f}\n",
        shape.name, jobs, kSeeds, retort, fifo, ratios[kSeeds / 2], ratios.front(), bound,
        retort / bound);
  }
  return 0;
}

}  // namespace
}  // namespace retort::core

int main() { return retort::core::Run(); }
