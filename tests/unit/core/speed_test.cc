// Placement by measured speeds: who waits for whom, and that nobody waits for ever.
#include <cmath>
#include <random>

#include "fixture.h"
#include "server/core/explain.h"
#include "server/core/pace.h"

namespace retort::core {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(PaceTest, KeepsApartHowFastWorkersAreAndWhatJobsOfAKindTake) {
  Pace pace;
  Speed slow, fast;
  // Small jobs take a second for reasons of their own: that says nothing of who did them.
  for (int i = 0; i < 50; ++i) {
    pace.Learn(1, 1.0, slow);
    pace.Learn(1000, 20.0, fast);
  }
  EXPECT_FALSE(std::abs(slow.log - fast.log) > 0.01) << "nothing of like cost was compared";
  for (int i = 0; i < 50; ++i) {
    pace.Learn(1000, 80.0, slow);
    pace.Learn(1000, 20.0, fast);
  }
  EXPECT_NEAR(fast.factor() / slow.factor(), 4, 0.5);
  EXPECT_NEAR(pace.Seconds(1000) / fast.factor(), 20, 3);
}

TEST(PaceTest, NothingIsLearntFromNonsenseAndLittleFromOneSurprise) {
  Pace pace;
  Speed speed, other;
  pace.Learn(10, 0, speed);
  pace.Learn(0, 10, speed);
  pace.Learn(10, std::nan(""), speed);
  pace.Learn(INFINITY, 10, speed);
  EXPECT_LT(pace.Seconds(10), 0);
  EXPECT_FALSE(speed.known());
  pace.Learn(10, 10, other);
  for (int i = 0; i < 20; ++i) pace.Learn(10, 10, speed);
  pace.Learn(10, 1e9, speed);
  EXPECT_GT(speed.factor(), 0.8);
}

// One worker of one slot that takes `fast_s` for a job of cost 10, another that takes `slow_s`.
class SpeedTest : public ::testing::Test {
 protected:
  SpeedTest() {
    fast_.name = "fast";
    slow_.name = "slow";
    fast_.slots = slow_.slots = 1;
  }

  void Measure(double fast_s, double slow_s) {
    std::vector<NewJob> jobs;
    for (int i = 0; i < 8; ++i) jobs.push_back(StudentJob(absl::StrCat("before", i), "", 10));
    loop_.Submit("before", std::move(jobs));
    for (int i = 0; i < 4; ++i) {
      Succeed(fast_, loop_.Take(fast_).id, fast_s);
      Succeed(slow_, loop_.Take(slow_).id, slow_s);
      loop_.Pass(absl::Seconds(2));
    }
    loop_.Send(fast_);
    loop_.Send(slow_);
  }
  void Succeed(FakeWorker& worker, const AttemptName& id, double seconds) {
    FinishedReport report;
    report.id = id;
    report.result = std::make_shared<v1::JobResult>();
    report.weights_held = true;
    report.weights = {HashOf("weights of " + id.job.hex()), 100};
    report.device_s = seconds;
    loop_.Finish(worker, report);
  }
  // The name of what the worker is given; empty if its Sync is parked.
  bool Gets(FakeWorker& worker, const std::string& job) {
    worker.wanted = 1;
    const Token token = loop_.Send(worker);
    worker.wanted = 0;
    if (!loop_.replies().contains(token)) return false;
    const auto& grants = std::get<SyncReply>(loop_.replies().at(token)).grants;
    if (grants.size() != 1 || grants[0].id.job != IdOf(job)) return false;
    worker.live.push_back({grants[0].id, true, 0, grants[0].slot});
    loop_.Send(worker);
    return true;
  }
  // Time in which both workers keep telling that they are there.
  void PassAlive(FakeWorker& asking, absl::Duration time) {
    for (; time > absl::ZeroDuration(); time -= absl::Seconds(5)) {
      loop_.Pass(absl::Seconds(5));
      loop_.Send(&asking == &fast_ ? slow_ : fast_);
    }
  }
  Explanation Why(const std::string& job) {
    return Explain(loop_.state(), loop_.state().FindJob(IdOf(job)), loop_.now());
  }

  Loop loop_;
  FakeWorker fast_, slow_;
};

TEST_F(SpeedTest, ALongJobWaitsForTheFastWorkerAndTheSlowOneGetsWhatItEndsInTime) {
  Measure(10, 100);
  loop_.Submit("s", {StudentJob("first", "", 40), StudentJob("long", "", 30)});
  ASSERT_TRUE(Gets(fast_, "first"));  // 40 s
  EXPECT_FALSE(Gets(slow_, "long")) << "300 s here, 70 s there";
  // A teacher's jobs wait for it: it is not for the slow either, whoever else waits.
  loop_.Submit("t", {TeacherJob("teacher", 30), StudentJob("child", "teacher", 10)});
  EXPECT_FALSE(Gets(slow_, "teacher"));
  // A short one goes at once.
  loop_.Submit("u", {StudentJob("short", "", 2)});
  EXPECT_TRUE(Gets(slow_, "short"));
}

TEST_F(SpeedTest, WhileThereIsMuchToDoTheSlowWorkerTakesTheLongest) {
  Measure(10, 20);
  std::vector<NewJob> jobs;
  for (int i = 0; i < 20; ++i) jobs.push_back(StudentJob(absl::StrCat("j", i), "", 40 - i));
  loop_.Submit("s", std::move(jobs));
  EXPECT_TRUE(Gets(slow_, "j0"));
  EXPECT_TRUE(Gets(fast_, "j1"));
}

TEST_F(SpeedTest, EqualAndUnknownWorkersNeverWait) {
  Measure(10, 10.5);
  loop_.Submit("s", {StudentJob("a", "", 40), StudentJob("b", "", 30), StudentJob("c", "", 30)});
  ASSERT_TRUE(Gets(fast_, "a"));
  EXPECT_TRUE(Gets(slow_, "b"));
  FakeWorker stranger;
  stranger.name = "stranger";
  EXPECT_TRUE(Gets(stranger, "c"));
}

TEST_F(SpeedTest, NobodyWaitsForAWorkerThatHasGoneOrIsDrained) {
  Measure(10, 100);
  loop_.Submit("s", {StudentJob("first", "", 40), StudentJob("long", "", 30)});
  ASSERT_TRUE(Gets(fast_, "first"));
  ASSERT_FALSE(Gets(slow_, "long"));
  ASSERT_TRUE(loop_.Do(ChangeWorker{0, "r", ChangeWorker::What::kDrain, "fast"}).ok());
  EXPECT_TRUE(IsLive(loop_.StateOf("long"))) << "the parked Sync is answered at once";
}

TEST_F(SpeedTest, NobodyWaitsForAWorkerThatIsSilent) {
  Measure(10, 100);
  loop_.Submit("s", {StudentJob("first", "", 40), StudentJob("long", "", 30)});
  ASSERT_TRUE(Gets(fast_, "first"));
  for (int i = 0; i < 5; ++i) {
    Gets(slow_, "long");
    loop_.Pass(absl::Seconds(14));
  }
  EXPECT_TRUE(IsLive(loop_.StateOf("long")) || IsLive(loop_.StateOf("first")));
}

TEST_F(SpeedTest, NobodyWaitsForAWorkerWhoseAgentSaysThatItGoesAway) {
  Measure(10, 100);
  loop_.Submit("s", {StudentJob("first", "", 40), StudentJob("long", "", 30)});
  ASSERT_TRUE(Gets(fast_, "first"));
  ASSERT_FALSE(Gets(slow_, "long"));
  fast_.draining = true;
  loop_.Send(fast_);
  EXPECT_TRUE(IsLive(loop_.StateOf("long"))) << "the parked Sync is answered at once";
}

TEST_F(SpeedTest, AParkedWorkerIsLookedAtAgainWithoutAnyNews) {
  loop_ = Loop(Options{.lease = absl::Hours(4)});  // parked for an hour
  Measure(10, 100);
  loop_.Submit("s", {StudentJob("first", "", 40), StudentJob("long", "", 30)});
  ASSERT_TRUE(Gets(fast_, "first"));
  ASSERT_FALSE(Gets(slow_, "long"));
  // Expected: in 70 s on the fast one, in 300 s here. The fast one hangs.
  loop_.Pass(absl::Seconds(200));
  EXPECT_EQ(loop_.StateOf("long"), JobState::kQueued);
  loop_.Pass(absl::Seconds(150));
  EXPECT_TRUE(IsLive(loop_.StateOf("long")));
  EXPECT_EQ(loop_.state().look_again(), absl::InfiniteDuration()) << "nothing is left to anybody";
}

TEST_F(SpeedTest, AJobThatRunsOverItsTimeIsNotWaitedForForEver) {
  Measure(10, 100);
  loop_.Submit("s", {StudentJob("first", "", 40), StudentJob("long", "", 30)});
  ASSERT_TRUE(Gets(fast_, "first"));
  ASSERT_FALSE(Gets(slow_, "long"));
  bool got = false;
  int asked = 0;
  for (; !got && asked < 100; ++asked) {
    PassAlive(slow_, absl::Seconds(10));
    got = Gets(slow_, "long");
  }
  EXPECT_TRUE(got);
  EXPECT_GT(asked, 10);
}

TEST_F(SpeedTest, AJobThatCrashedOnTheFastWorkerDoesNotWaitForIt) {
  Measure(10, 100);
  loop_.Submit("s", {StudentJob("a", "", 40), StudentJob("b", "", 30)});
  loop_.Fail(fast_, loop_.Take(fast_).id, FailureCause::kCrashed);
  ASSERT_TRUE(Gets(fast_, "b"));
  EXPECT_TRUE(Gets(slow_, "a"));
}

TEST_F(SpeedTest, PriorityIsNotHeldUpByTheWorkOfLowerOnes) {
  Measure(10, 100);
  std::vector<NewJob> jobs;
  for (int i = 0; i < 50; ++i) jobs.push_back(StudentJob(absl::StrCat("j", i), "", 10));
  loop_.Submit("low", std::move(jobs));
  ASSERT_TRUE(Gets(fast_, "j0"));
  loop_.Submit("high", {StudentJob("urgent", "", 30)}, 5);
  EXPECT_TRUE(Gets(slow_, "j1")) << "urgent ends in 40 s there, in 300 s here";
  Succeed(fast_, fast_.live.at(0).id, 10);
  EXPECT_TRUE(Gets(fast_, "urgent"));
}

TEST_F(SpeedTest, ExplainTellsWhichWorkerAJobWaitsFor) {
  Measure(10, 100);
  loop_.Submit("s", {StudentJob("first", "", 40), StudentJob("long", "", 30)});
  ASSERT_TRUE(Gets(fast_, "first"));
  ASSERT_FALSE(Gets(slow_, "long"));
  const Explanation why = Why("long");
  ASSERT_EQ(why.reasons.at(0).code, ReasonCode::kFasterWorker);
  EXPECT_THAT(why.reasons[0].message,
              HasSubstr("would finish sooner on workers/fast: expected in"));
  EXPECT_THAT(why.reasons[0].related, ElementsAre("workers/fast", "workers/slow"));
}

TEST_F(SpeedTest, SpeedsAreLearntAgainFromWhatIsDurable) {
  std::vector<NewJob> jobs;
  for (int i = 0; i < 8; ++i) jobs.push_back(StudentJob(absl::StrCat("before", i), "", 10));
  loop_.Submit("before", std::move(jobs));
  for (int i = 0; i < 4; ++i) {
    const Grant quick = loop_.Take(fast_);
    loop_.Pass(absl::Seconds(5));
    Succeed(fast_, quick.id, 5);
    const Grant late = loop_.Take(slow_);
    loop_.Pass(absl::Seconds(30));
    Succeed(slow_, late.id, 30);
  }
  const State again = loop_.Reloaded();
  const auto factor = [](const State& state, const std::string& name) {
    return state.worker(state.FindWorker(name)).speed.factor();
  };
  EXPECT_NEAR(factor(again, "fast") / factor(again, "slow"), 6, 1.5);
  EXPECT_NEAR(factor(again, "fast"), factor(loop_.state(), "fast"), 0.1);
}

// Fleets of random speeds and memories, and some machines that vanish: every job ends, no slot
// stands idle for ever, and the fixture checks rooms, slots and every invariant.
TEST(RandomFleetTest, EveryJobEndsOnFleetsOfAnySpeeds) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937_64 random(seed);
    const auto draw = [&random](uint64_t below) { return static_cast<int>(random() % below); };
    Loop loop;
    std::vector<NewJob> jobs;
    std::map<JobId, double> costs;
    for (int i = 0; i < 40; ++i) {
      const double cost = std::pow(2.0, draw(10));
      const std::string name = absl::StrCat("j", i);
      jobs.push_back(i < 6 ? TeacherJob(name, cost)
                           : StudentJob(name, i % 2 ? absl::StrCat("j", i % 6) : "", cost));
      jobs.back().memory_bytes = draw(4);
      costs[jobs.back().id] = cost;
    }
    loop.Submit("s", std::move(jobs), draw(3));
    struct Machine {
      FakeWorker worker;
      double speed = 1;
      std::map<AttemptName, double> ends;  // by attempt
      bool gone = false;
    };
    std::vector<Machine> machines(static_cast<size_t>(2 + draw(5)));
    for (size_t m = 0; m < machines.size(); ++m) {
      FakeWorker& worker = machines[m].worker;
      worker.name = absl::StrCat("w", m);
      worker.slots = 1 + draw(3);
      for (int s = 0; s < worker.slots; ++s) worker.memory.push_back(m == 0 ? 8 : 1 + draw(6));
      machines[m].speed = std::pow(2.0, draw(6) - 2);
    }
    double now = 0;
    int steps = 0;
    const auto over = [&loop] { return loop.state().sweep({1}).row.state == SweepState::kDone; };
    for (; steps < 20'000 && !over(); ++steps, now += 10) {
      for (Machine& machine : machines) {
        // The first stays, or what needs its memory has no place.
        if (&machine != &machines[0] && draw(300) == 0) machine.gone = true;
        if (machine.gone) continue;
        FakeWorker& worker = machine.worker;
        std::erase_if(worker.live, [&](const LiveReport& live) {
          if (machine.ends.at(live.id) > now) return false;
          FinishedReport report;
          report.id = live.id;
          report.result = std::make_shared<v1::JobResult>();
          report.weights_held = true;
          report.weights = {HashOf("weights of " + live.id.job.hex()), 1};
          report.device_s = costs.at(live.id.job) / machine.speed;
          worker.finished.push_back(report);
          return true;
        });
        worker.wanted = worker.slots - static_cast<int>(worker.live.size());
        const Token token = loop.Send(worker);
        worker.finished.clear();
        if (!loop.replies().contains(token)) continue;
        const SyncReply& reply = std::get<SyncReply>(loop.replies().at(token));
        for (const AttemptName& stop : reply.stop) {
          std::erase_if(worker.live, [&](const LiveReport& live) { return live.id == stop; });
        }
        for (const Grant& grant : reply.grants) {
          worker.live.push_back({grant.id, true, 0, grant.slot});
          machine.ends[grant.id] = now + costs.at(grant.id.job) / machine.speed;
        }
      }
      loop.Pass(absl::Seconds(10));
      if (::testing::Test::HasFailure()) return;
    }
    EXPECT_TRUE(over()) << "some job never ends";
    EXPECT_EQ(loop.Reloaded().Dump(), loop.state().Dump());
  }
}

}  // namespace
}  // namespace retort::core
