#include "server/core/placement.h"

#include "fixture.h"

namespace retort::core {
namespace {

// The order in which one worker takes everything.
std::vector<std::string> Order(Loop& loop, FakeWorker worker,
                               const std::vector<std::string>& names) {
  worker.slots = worker.wanted = 100;
  std::vector<std::string> order;
  for (const Grant& grant : loop.Exchange(worker).grants) {
    for (const std::string& name : names) {
      if (IdOf(name) == grant.id.job) order.push_back(name);
    }
  }
  return order;
}

TEST(PlacementTest, EachCriterionBeatsThoseBehindIt) {
  const Candidate low{0, true, {9, 9, {1}}};
  EXPECT_TRUE(Before({1, false, {0, 0, {9}}}, low)) << "priority";
  EXPECT_TRUE(Before({0, false, {10, 0, {9}}}, low)) << "unblocks";
  EXPECT_TRUE(Before(low, {0, false, {9, 99, {0}}})) << "affinity";
  EXPECT_TRUE(Before({0, true, {9, 10, {9}}}, low)) << "longest";
  EXPECT_TRUE(Before(low, {0, true, {9, 9, {2}}})) << "oldest";
  EXPECT_FALSE(Before(low, low));
}

TEST(PlacementTest, PriorityThenTeachersThenLongestThenOldest) {
  Loop loop;
  loop.Submit("s", {TeacherJob("t", 1), StudentJob("short", "", 2), StudentJob("long", "", 9),
                    StudentJob("short2", "", 2), StudentJob("x", "t", 5)});
  loop.Submit("urgent", {StudentJob("urgent", "", 1)}, 5);
  EXPECT_EQ(Order(loop, {}, {"t", "short", "long", "short2", "x", "urgent"}),
            (std::vector<std::string>{"urgent", "t", "long", "short", "short2"}));
}

TEST(PlacementTest, AWorkerPrefersStudentsOfATeacherThatItHolds) {
  Loop loop;
  std::vector<NewJob> jobs = {TeacherJob("t1"), TeacherJob("t2")};
  std::vector<std::string> names;
  for (int i = 0; i < 200; ++i) {
    names.push_back(absl::StrCat("j", i));
    // Those of t2 are shorter, and would come last.
    jobs.push_back(StudentJob(names.back(), i < 197 ? "t1" : "t2", i < 197 ? 10 : 1));
  }
  loop.Submit("s", jobs);
  FakeWorker trainer;
  loop.Succeed(trainer, loop.Take(trainer).id);
  loop.Succeed(trainer, loop.Take(trainer).id);
  FakeWorker worker;
  worker.name = "w2";
  worker.cached = {HashOf("weights of " + IdOf("t2").hex())};
  const auto order = Order(loop, worker, names);
  ASSERT_GE(order.size(), 4u);
  EXPECT_EQ(std::vector<std::string>(order.begin(), order.begin() + 4),
            (std::vector<std::string>{"j197", "j198", "j199", "j0"}));
}

TEST(PlacementTest, AJobThatCrashedHereIsLeftToOthersWhileThereAreOthers) {
  Loop loop;
  loop.Submit("s", {StudentJob("a")});
  FakeWorker worker, other;
  other.name = "w2";
  loop.Send(other);
  loop.Fail(worker, loop.Take(worker).id, FailureCause::kCrashed);
  worker.wanted = 1;
  const Token parked = loop.Send(worker);
  EXPECT_FALSE(loop.replies().contains(parked));
  // The other goes away: then here is better than nowhere.
  for (int i = 0; i < 5; ++i) {
    loop.Pass(absl::Seconds(14));
    loop.Send(worker);
    loop.WakeUp();
  }
  EXPECT_EQ(loop.StateOf("a"), JobState::kLeased);
}

}  // namespace
}  // namespace retort::core
