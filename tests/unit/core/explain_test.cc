#include "server/core/explain.h"

#include "absl/strings/str_cat.h"
#include "fixture.h"
#include "retort/v1/sweep_service.pb.h"
#include "server/core/retry.h"

namespace retort::core {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ExplainTest : public ::testing::Test {
 protected:
  Explanation Why(const std::string& job) {
    return Explain(loop_.state(), loop_.state().FindJob(IdOf(job)), loop_.now());
  }
  std::vector<ReasonCode> Codes(const std::string& job) {
    std::vector<ReasonCode> codes;
    for (const Reason& reason : Why(job).reasons) codes.push_back(reason.code);
    return codes;
  }
  std::string First(const std::string& job) { return Why(job).reasons.at(0).message; }
  absl::Status Do(ChangeSweep::What what, const std::string& sweep) {
    return loop_.Do(ChangeSweep{0, loop_.NextRequest(), what, sweep});
  }

  Loop loop_;
  FakeWorker worker_;
};

TEST_F(ExplainTest, CodesAreThoseOfTheWire) {
  EXPECT_EQ(static_cast<int>(ReasonCode::kSucceeded), v1::REASON_CODE_SUCCEEDED);
  EXPECT_EQ(static_cast<int>(ReasonCode::kBudgetSpent), v1::REASON_CODE_BUDGET_SPENT);
  EXPECT_EQ(static_cast<int>(ReasonCode::kNotEnoughMemory), v1::REASON_CODE_NOT_ENOUGH_MEMORY);
  EXPECT_EQ(static_cast<int>(ReasonCode::kReady), v1::REASON_CODE_READY);
}

TEST_F(ExplainTest, AJobsWayFromItsTeacherToItsResult) {
  loop_.Submit("s", {TeacherJob("t"), StudentJob("a", "t")});
  EXPECT_THAT(Codes("t"), ElementsAre(ReasonCode::kNoWorkers));
  EXPECT_THAT(Codes("a"), ElementsAre(ReasonCode::kTeacherNotDone));
  EXPECT_THAT(First("a"), HasSubstr("is queued"));
  const Grant teacher = loop_.Take(worker_);
  EXPECT_THAT(First("a"), HasSubstr("is running on workers/w1"));
  EXPECT_THAT(Codes("t"), ElementsAre(ReasonCode::kRunning));
  loop_.Pass(absl::Seconds(20));
  EXPECT_THAT(First("t"), AllOf(HasSubstr("attempt 1"), HasSubstr("slot 0 since 20s"),
                                HasSubstr("lease ends in 40s")));
  loop_.Succeed(worker_, teacher.id);
  EXPECT_THAT(Codes("t"), ElementsAre(ReasonCode::kSucceeded));
  EXPECT_THAT(Codes("a"), ElementsAre(ReasonCode::kReady));
  worker_.wanted = 1;
  loop_.Exchange(worker_);
  EXPECT_THAT(Codes("a"), ElementsAre(ReasonCode::kLeased));
}

TEST_F(ExplainTest, TeachersThatEndedAndHowToReviveThem) {
  loop_.Submit("s", {TeacherJob("t"), StudentJob("a", "t")});
  loop_.Fail(worker_, loop_.Take(worker_).id, FailureCause::kNumeric);
  EXPECT_THAT(Codes("a"), ElementsAre(ReasonCode::kTeacherEnded));
  EXPECT_THAT(First("a"), AllOf(HasSubstr("failed (NUMERIC)"), HasSubstr("retort job retry")));
  EXPECT_THAT(Codes("t"), ElementsAre(ReasonCode::kPermanentFailure));
  EXPECT_THAT(First("t"), AllOf(HasSubstr("workers/w1"), HasSubstr("fresh budgets")));
}

TEST_F(ExplainTest, SweepsThatHoldAJobBack) {
  loop_.Submit("s", {StudentJob("a")});
  ASSERT_TRUE(Do(ChangeSweep::What::kPause, "s").ok());
  EXPECT_THAT(Codes("a"), ElementsAre(ReasonCode::kSweepPaused));
  EXPECT_THAT(First("a"), HasSubstr("sweeps/s is paused (paused on request)"));
  ASSERT_TRUE(Do(ChangeSweep::What::kCancel, "s").ok());
  EXPECT_THAT(Codes("a"), ElementsAre(ReasonCode::kCancelled));
}

TEST_F(ExplainTest, WhichWorkersTakeNothingAndWhy) {
  loop_.Submit("s", {StudentJob("a")});
  loop_.Send(worker_);
  ASSERT_TRUE(loop_.Do(ChangeWorker{0, "r", ChangeWorker::What::kDrain, "w1"}).ok());
  EXPECT_THAT(Codes("a"), ElementsAre(ReasonCode::kNoWorkers, ReasonCode::kWorkerDraining));
  loop_.Pass(absl::Seconds(61));
  EXPECT_THAT(Codes("a"), ElementsAre(ReasonCode::kNoWorkers, ReasonCode::kWorkerAway));
  EXPECT_THAT(Why("a").reasons[1].related, ElementsAre("workers/w1"));
}

TEST_F(ExplainTest, BusySlotsWhoIsBeforeAndWhenASlotIsFree) {
  std::vector<NewJob> jobs;
  for (int i = 0; i < 6; ++i) jobs.push_back(StudentJob(absl::StrCat("j", i), "", 10 - i));
  loop_.Submit("s", std::move(jobs));
  loop_.Submit("urgent", {StudentJob("u")}, /*priority=*/5);
  worker_.slots = 1;
  loop_.Succeed(worker_, loop_.Take(worker_).id);  // u, which says nothing of the rate of s
  loop_.Succeed(worker_, loop_.Take(worker_).id);  // j0: cost 10 in 10 s
  loop_.Take(worker_);                             // j1: cost 9
  loop_.Pass(absl::Seconds(4));
  EXPECT_THAT(Codes("j4"), ElementsAre(ReasonCode::kNoFreeSlot, ReasonCode::kBehindOthers));
  EXPECT_THAT(First("j4"), HasSubstr("free in 5s"));
  EXPECT_THAT(Why("j4").reasons[1].message, HasSubstr("2 queued jobs come before it"));
  EXPECT_THAT(Codes("j2"), ElementsAre(ReasonCode::kNoFreeSlot));
}

TEST_F(ExplainTest, BudgetsAndTheWorkerThatItAvoids) {
  loop_.Submit("s", {StudentJob("a")});
  FakeWorker other;
  other.name = "w2";
  other.slots = 1;
  loop_.Send(other);
  loop_.Fail(worker_, loop_.Take(worker_).id, FailureCause::kCrashed);
  EXPECT_THAT(Codes("a"), ElementsAre(ReasonCode::kReady, ReasonCode::kAvoidsWorker));
  EXPECT_THAT(Why("a").reasons[1].message, HasSubstr("failed on workers/w1 (CRASHED)"));
  const Explanation why = Why("a");
  EXPECT_EQ(why.attempt, 1);
  ASSERT_THAT(why.budgets, SizeIs(3));
  EXPECT_EQ(why.budgets[1].cause, FailureCause::kCrashed);
  EXPECT_EQ(why.budgets[1].spent, 1);
  EXPECT_EQ(why.budgets[1].limit, kMostCrashed);
  loop_.Fail(other, loop_.Take(other).id, FailureCause::kCrashed);
  loop_.Fail(worker_, loop_.Take(worker_).id, FailureCause::kCrashed);
  EXPECT_THAT(Codes("a"), ElementsAre(ReasonCode::kBudgetSpent));
}

TEST_F(ExplainTest, StudentsOfModulesGoOnlyToWorkersThatAllowThem) {
  // More than a request looks at, before one that any worker may take.
  std::vector<NewJob> jobs;
  for (int i = 0; i < 100; ++i) {
    jobs.push_back(StudentJob(absl::StrCat("m", i), "", 10));
    jobs.back().kind = JobKind::kScripted;
  }
  jobs.push_back(StudentJob("plain", "", 1));
  loop_.Submit("s", jobs);
  EXPECT_EQ(loop_.Take(worker_).id.job, IdOf("plain"));
  EXPECT_THAT(Codes("m0"), ElementsAre(ReasonCode::kTorchscriptNotAllowed));
  EXPECT_THAT(First("m0"), AllOf(HasSubstr("workers/w1"), HasSubstr("--allow-torchscript")));
  worker_.wanted = 1;
  const Token parked = loop_.Send(worker_);
  EXPECT_FALSE(loop_.replies().contains(parked)) << "it was given a module";

  FakeWorker allows;
  allows.name = "w2";
  allows.allows_torchscript = true;
  const Grant grant = loop_.Take(allows);
  EXPECT_EQ(grant.id.job, IdOf("m0"));
  // Left to others after a crash only if these may take it.
  loop_.Fail(allows, grant.id, FailureCause::kCrashed);
  EXPECT_EQ(loop_.Take(allows).id.job, IdOf("m0"));
  const State restarted = loop_.Reloaded();
  EXPECT_EQ(restarted.job(restarted.FindJob(IdOf("m1"))).kind, JobKind::kScripted);
}

}  // namespace
}  // namespace retort::core
