// Random inputs, every invariant after each; undone, reloaded and in memory it is the same.
#include <random>

#include "fixture.h"

namespace retort::core {
namespace {

// Agents that may forget, repeat and lie about what they have.
class Chaos {
 public:
  explicit Chaos(uint64_t seed) : random_(seed), loop_(SmallOptions()) {}

  void Run(int steps) {
    for (int i = 0; i < steps && !::testing::Test::HasFailure(); ++i) {
      const Input input = Any();
      SCOPED_TRACE(absl::StrCat("step ", i, " input ", input.index()));
      TryUndo(input);
      // Errors are allowed, half-done inputs are not: Carry checks the invariants.
      (void)loop_.Do(input);
      const absl::Duration time = absl::Milliseconds(Draw(3) == 0 ? Draw(20'000) : Draw(200));
      Draw(20) == 0 ? loop_.Jump(time) : loop_.Pass(time);
      loop_.WakeUp();
      if (i % 50 == 0) {
        ASSERT_EQ(loop_.Reloaded().Dump(), loop_.state().Dump());
      }
      if (Draw(200) == 0) loop_.Restart();
    }
  }

  // Faults stop: two honest workers take what there is. Every job must end.
  void Drain() {
    FakeWorker honest;
    honest.name = "honest";
    honest.slots = 4;
    for (int i = 0; i < 20'000; ++i) {
      if (AllEnded()) return;
      ResumeAll();
      honest.wanted = 1;
      const Token token = loop_.Send(honest);
      honest.wanted = 0;
      if (!loop_.replies().contains(token)) {
        loop_.Pass(absl::Seconds(10));
        loop_.WakeUp();
        continue;
      }
      const auto grants = std::get<SyncReply>(loop_.replies().at(token)).grants;
      for (const Grant& grant : grants) loop_.Succeed(honest, grant.id);
    }
    FAIL() << "some job never ends:\n" << loop_.state().Dump();
  }

 private:
  static Options SmallOptions() {
    Options options;
    options.chore_size = 4;
    return options;
  }

  uint64_t Draw(uint64_t below) { return random_() % below; }

  // Applying and undoing leaves the durable content as it was.
  void TryUndo(const Input& input) {
    State& state = loop_.state();
    const auto decision = Decide(state, input, loop_.now());
    if (!decision.ok() || Draw(4) != 0) return;
    const std::string before = state.Dump();
    state.Apply(*decision);
    state.Undo(*decision);
    ASSERT_EQ(state.Dump(), before);
    const absl::Status broken = state.CheckInvariants();
    ASSERT_TRUE(broken.ok()) << "after undo: " << broken;
  }

  std::string AnyJob() { return absl::StrCat("j", Draw(30)); }

  Input Any() {
    switch (Draw(12)) {
      case 0:
        return AnyBegin();
      case 1:
        return AnyChunk();
      case 2: {
        const auto what = static_cast<ChangeSweep::What>(Draw(3));
        return ChangeSweep{0, loop_.NextRequest(), what, absl::StrCat("s-", Draw(6) + 2)};
      }
      case 3: {
        ChangeJobs change;
        change.request_id = loop_.NextRequest();
        change.what = Draw(4) == 0 ? ChangeJobs::What::kCancel : ChangeJobs::What::kRetry;
        if (Draw(3) == 0) {
          change.sweep = absl::StrCat("s-", Draw(6) + 2);  // may be gone through in parts
        } else {
          change.jobs = {IdOf(AnyJob()), IdOf(AnyJob())};
        }
        return change;
      }
      case 4: {
        const auto what = Draw(3) == 0 ? ChangeWorker::What::kDrain : ChangeWorker::What::kRelease;
        return ChangeWorker{0, loop_.NextRequest(), what, absl::StrCat("w", Draw(3))};
      }
      case 5:
        return Draw(5) == 0 ? Input(ArtifactLost{HashOf("weights of " + IdOf(AnyJob()).hex())})
                            : AnyMetrics();
      case 6:
        return AnyMetrics();
      default:
        return AnySync();
    }
  }

  Input AnyBegin() {
    auto spec = std::make_shared<v1::SweepSpec>();
    spec->set_name("s");
    spec->set_priority(static_cast<int>(Draw(3)));
    if (Draw(4) == 0) spec->mutable_budget()->set_device_hours(0.01);
    if (Draw(4) == 0) spec->mutable_budget()->mutable_wall()->set_seconds(60);
    if (Draw(2) == 0) spec->mutable_budget()->set_then(v1::BUDGET_ACTION_CANCEL);
    const std::string id = Draw(5) == 0 ? "same" : loop_.NextRequest();
    return BeginSweep{0, id, spec, static_cast<int64_t>(Draw(8) + 1)};
  }

  // Jobs j0..j5 are teachers of the others, which one is fixed.
  Input AnyChunk() {
    const State& state = loop_.state();
    if (state.sweeps() == 0) return AnyBegin();
    const SweepKey key{static_cast<int64_t>(Draw(static_cast<uint64_t>(state.sweeps()))) + 1};
    auto jobs = std::make_shared<std::vector<NewJob>>();
    const auto left =
        state.sweep(key).fixed.jobs - static_cast<int64_t>(state.sweep(key).jobs.size());
    std::vector<uint64_t> numbers;
    const auto& have = state.sweep(key).jobs;
    for (uint64_t n = Draw(3); static_cast<int64_t>(jobs->size()) < left && n < 30;
         n += 1 + Draw(4)) {
      const std::string name = absl::StrCat("j", n);
      const JobKey known = state.FindJob(IdOf(name));
      if (std::find(have.begin(), have.end(), known) != have.end() && known) continue;
      const std::string teacher = absl::StrCat("j", n % 6);
      if (n >= 12 && !state.FindJob(IdOf(teacher))) continue;
      jobs->push_back(n < 12 ? TeacherJob(name, static_cast<double>(n))
                             : StudentJob(name, teacher, static_cast<double>(n)));
      jobs->back().memory_bytes = static_cast<int64_t>(Draw(5));
      jobs->back().memory_hinted = Draw(3) == 0;
    }
    return SweepChunk{0, key, static_cast<int64_t>(have.size()), jobs};
  }

  AttemptName AnyAttempt() {
    const std::string name = AnyJob();
    const JobKey key = loop_.state().FindJob(IdOf(name));
    const int32_t latest = key ? loop_.state().job(key).row.attempt : 1;
    return {IdOf(name), latest - static_cast<int32_t>(Draw(5) == 0)};
  }

  Input AnyMetrics() {
    auto batch = std::make_shared<v1::MetricBatch>();
    batch->set_first_seq(static_cast<int64_t>(Draw(4)));
    for (uint64_t i = 0; i < Draw(4); ++i) {
      batch->add_points()->set_series("train.loss");
    }
    return Metrics{loop_.NextToken(), AnyAttempt(), batch};
  }

  Input AnySync() {
    core::Sync sync;
    sync.token = Draw(10) == 0 ? 0 : loop_.NextToken();
    sync.worker = absl::StrCat("w", Draw(3));
    const WorkerKey key = loop_.state().FindWorker(sync.worker);
    sync.incarnation = 1;
    sync.number = 1;
    if (key) {
      const Worker& worker = loop_.state().worker(key);
      sync.incarnation = worker.row.incarnation + static_cast<int64_t>(Draw(40) == 0);
      sync.number = worker.number + static_cast<int64_t>(Draw(3));
      for (const JobKey job : worker.leases) {
        const AttemptName id{loop_.state().job(job).id, loop_.state().job(job).row.attempt};
        if (Draw(10) == 0) continue;  // forgets it
        if (Draw(3) == 0) {
          sync.finished.push_back(AnyFinish(id));
        } else {
          sync.live.push_back({id, Draw(3) != 0, static_cast<int32_t>(Draw(3))});
        }
      }
    }
    if (Draw(4) == 0) sync.live.push_back({AnyAttempt(), true, 1});
    if (Draw(4) == 0) sync.finished.push_back(AnyFinish(AnyAttempt()));
    // 0: not known.
    for (int i = 0; i < 3; ++i) sync.slots.push_back({i, "cpu", (sync.worker.back() + i) % 4});
    sync.wanted = static_cast<int32_t>(Draw(5));
    sync.draining = Draw(20) == 0;
    if (Draw(2) == 0) sync.cached.push_back(HashOf("weights of " + IdOf("j1").hex()));
    return sync;
  }

  FinishedReport AnyFinish(const AttemptName& id) {
    FinishedReport report;
    report.id = id;
    report.device_s = static_cast<double>(Draw(20));
    if (Draw(3) != 0) {
      auto result = std::make_shared<v1::JobResult>();
      result->set_metric_points(static_cast<int64_t>(Draw(2)));
      report.result = result;
      report.weights_held = Draw(5) != 0;
      report.weights = {HashOf("weights of " + id.job.hex()), 10};
    } else {
      report.cause = static_cast<FailureCause>(1 + Draw(8));
    }
    return report;
  }

  bool AllEnded() {
    const State& state = loop_.state();
    for (int64_t i = 1; i <= state.jobs(); ++i) {
      const Job& job = state.job({i});
      const bool wanted = std::any_of(job.sweeps.begin(), job.sweeps.end(), [&](SweepKey s) {
        const SweepState sweep = state.sweep(s).row.state;
        return sweep == SweepState::kActive || sweep == SweepState::kPaused;
      });
      if (wanted && !HasEnded(job.row.state)) return false;
    }
    return true;
  }

  void ResumeAll() {
    for (int64_t i = 1; i <= loop_.state().sweeps(); ++i) {
      const Sweep& sweep = loop_.state().sweep({i});
      if (sweep.row.state != SweepState::kPaused) continue;
      EXPECT_TRUE(
          loop_
              .Do(ChangeSweep{0, loop_.NextRequest(), ChangeSweep::What::kResume, sweep.fixed.name})
              .ok());
    }
  }

  std::mt19937_64 random_;
  Loop loop_;
};

TEST(PropertyTest, RandomInputsBreakNothingAndEveryJobEnds) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    Chaos chaos(seed);
    chaos.Run(400);
    if (HasFailure()) return;
    chaos.Drain();
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace retort::core
