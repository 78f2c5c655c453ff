// Retrying and cancelling jobs: by cause, through teachers, and of sweeps that are gone through a
// part at a time.
#include "absl/strings/str_cat.h"
#include "fixture.h"

namespace retort::core {
namespace {

JobsReply Ask(Loop& loop, ChangeJobs change) {
  change.token = loop.NextToken();
  const absl::Status status = loop.Do(change);
  EXPECT_TRUE(status.ok()) << status;
  return std::get<JobsReply>(loop.replies().at(change.token));
}

ChangeJobs Of(Loop& loop, ChangeJobs::What what, const std::string& sweep,
              std::vector<JobState> states = {}, std::vector<FailureCause> causes = {}) {
  ChangeJobs change;
  change.request_id = loop.NextRequest();
  change.what = what;
  change.sweep = sweep;
  change.states = std::move(states);
  change.causes = std::move(causes);
  return change;
}

// Fails the job that the worker gets next.
void FailNext(Loop& loop, FakeWorker& worker, FailureCause cause) {
  loop.Fail(worker, loop.Take(worker).id, cause);
}

TEST(JobsTest, RetryByCauseLeavesOtherFailuresAlone) {
  Loop loop;
  loop.Submit("s", {StudentJob("nan", "", 3), StudentJob("slow", "", 2), StudentJob("bad", "", 1)});
  FakeWorker worker;
  FailNext(loop, worker, FailureCause::kNumeric);
  FailNext(loop, worker, FailureCause::kTimeout);
  FailNext(loop, worker, FailureCause::kInvalid);
  const auto change = Of(loop, ChangeJobs::What::kRetry, "s", {JobState::kFailed},
                         {FailureCause::kTimeout, FailureCause::kCrashed});
  EXPECT_EQ(Ask(loop, change).changed, 1);
  EXPECT_EQ(loop.StateOf("nan"), JobState::kFailed);
  EXPECT_EQ(loop.StateOf("slow"), JobState::kQueued);
  EXPECT_EQ(loop.StateOf("bad"), JobState::kFailed);
}

TEST(JobsTest, SkippedJobsOfSeveralSweepsReviveWithTheirTeacherButNotCancelledOnes) {
  Loop loop;
  loop.Submit("s", {TeacherJob("t"), StudentJob("a", "t"), StudentJob("c", "t")});
  loop.Submit("r", {TeacherJob("t"), StudentJob("a", "t"), StudentJob("b", "t")});
  ChangeJobs cancel = Of(loop, ChangeJobs::What::kCancel, "");
  cancel.jobs = {IdOf("c")};
  EXPECT_EQ(Ask(loop, cancel).changed, 1);
  FakeWorker worker;
  FailNext(loop, worker, FailureCause::kNumeric);
  EXPECT_EQ(loop.StateOf("a"), JobState::kSkipped);
  EXPECT_EQ(loop.StateOf("b"), JobState::kSkipped);
  EXPECT_EQ(loop.state().sweep({2}).row.state, SweepState::kDone);
  ChangeJobs retry = Of(loop, ChangeJobs::What::kRetry, "");
  retry.jobs = {IdOf("t")};
  EXPECT_EQ(Ask(loop, retry).changed, 1);
  EXPECT_EQ(loop.StateOf("t"), JobState::kQueued);
  EXPECT_EQ(loop.StateOf("a"), JobState::kBlocked);
  EXPECT_EQ(loop.StateOf("b"), JobState::kBlocked);
  EXPECT_EQ(loop.StateOf("c"), JobState::kCancelled);
  EXPECT_EQ(loop.state().sweep({2}).row.state, SweepState::kActive);
  loop.Succeed(worker, loop.Take(worker).id);
  EXPECT_EQ(loop.StateOf("a"), JobState::kQueued);
  EXPECT_EQ(loop.StateOf("c"), JobState::kCancelled);
}

// A sweep of teachers, each with students, in which some teachers failed.
std::vector<NewJob> Families(int teachers, int students) {
  std::vector<NewJob> jobs;
  for (int t = 0; t < teachers; ++t) jobs.push_back(TeacherJob(absl::StrCat("t", t), 1 + t));
  for (int t = 0; t < teachers; ++t) {
    for (int s = 0; s < students; ++s) {
      jobs.push_back(StudentJob(absl::StrCat("t", t, "s", s), absl::StrCat("t", t)));
    }
  }
  return jobs;
}

void FailTeachers(Loop& loop, int teachers) {
  FakeWorker worker;
  for (int t = 0; t < teachers; ++t) {
    if (t % 2 == 0) {
      FailNext(loop, worker, FailureCause::kNumeric);
    } else {
      loop.Succeed(worker, loop.Take(worker).id);
    }
  }
}

std::string States(Loop& loop) {
  std::string out;
  for (int64_t i = 1; i <= loop.state().jobs(); ++i) {
    absl::StrAppend(&out, static_cast<int>(loop.state().job({i}).row.state));
  }
  return out;
}

// One change after another, with restarts between parts, ends as if done in one go, with the same
// count.
TEST(JobsTest, AChangeInPartsIsTheSameAsInOneGoWhereverARestartComes) {
  const int teachers = 5;
  const int students = 7;
  for (const auto what : {ChangeJobs::What::kRetry, ChangeJobs::What::kCancel}) {
    for (const std::vector<JobState>& states : {std::vector<JobState>{},
                                                {JobState::kFailed},
                                                {JobState::kSkipped},
                                                {JobState::kFailed, JobState::kSkipped},
                                                {JobState::kQueued, JobState::kBlocked}}) {
      Loop whole;
      whole.Submit("s", Families(teachers, students));
      FailTeachers(whole, teachers);
      const JobsReply expected = Ask(whole, Of(whole, what, "s", states));
      EXPECT_FALSE(expected.pending);
      for (int restart_after = 0; restart_after < 16; ++restart_after) {
        Loop parts(Options{.chore_size = 3});
        parts.Submit("s", Families(teachers, students));
        FailTeachers(parts, teachers);
        ChangeJobs change = Of(parts, what, "s", states);
        change.token = parts.NextToken();
        // Nothing of it is done yet; then part after part, until the machine fails.
        parts.DoOnly(change);
        EXPECT_TRUE(std::get<JobsReply>(parts.replies().at(change.token)).pending);
        for (int i = 0; i < restart_after; ++i) parts.WakeOnce();
        parts.Restart();
        const JobsReply reply = Ask(parts, change);
        EXPECT_FALSE(reply.pending);
        EXPECT_EQ(reply.changed, expected.changed) << restart_after;
        EXPECT_EQ(States(parts), States(whole)) << restart_after;
        EXPECT_EQ(Ask(parts, change).changed, expected.changed) << "again";
      }
    }
  }
}

TEST(JobsTest, NoPartIsLargerThanAllowedAndWorkersAreServedBetween) {
  Loop loop(Options{.chore_size = 10});
  std::vector<NewJob> jobs;
  for (int i = 0; i < 200; ++i) jobs.push_back(StudentJob(absl::StrCat("j", i)));
  loop.Submit("s", std::move(jobs));
  loop.Submit("other", {StudentJob("x")});
  ChangeJobs cancel = Of(loop, ChangeJobs::What::kCancel, "s");
  cancel.token = loop.NextToken();
  loop.DoOnly(cancel);
  const auto cancelled = [&] {
    return loop.state().sweep({1}).row.counts[IndexOf(JobState::kCancelled)];
  };
  FakeWorker worker;
  worker.wanted = 1;
  for (int64_t before = 0; before < 200; before = cancelled()) {
    loop.WakeOnce();
    EXPECT_LE(cancelled() - before, 10);
    EXPECT_GT(cancelled(), before);
    if (before != 100) continue;
    const Sync sync = loop.SyncOf(worker);
    loop.DoOnly(sync);
    EXPECT_THAT(std::get<SyncReply>(loop.replies().at(sync.token)).grants, ::testing::SizeIs(1));
  }
  EXPECT_EQ(Ask(loop, cancel).changed, 200);
}

}  // namespace
}  // namespace retort::core
