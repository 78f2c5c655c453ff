// Sweeps that share jobs; teachers and students; cancelling, pausing, retrying.
#include "fixture.h"

namespace retort::core {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

absl::Status Change(Loop& loop, ChangeSweep::What what, const std::string& name) {
  return loop.Do(ChangeSweep{0, loop.NextRequest(), what, name});
}

int64_t ChangeStates(Loop& loop, ChangeJobs::What what, const std::string& sweep,
                     std::vector<JobState> states) {
  ChangeJobs change;
  change.token = loop.NextToken();
  change.request_id = loop.NextRequest();
  change.what = what;
  change.sweep = sweep;
  change.states = std::move(states);
  EXPECT_TRUE(loop.Do(change).ok());
  return std::get<JobsReply>(loop.replies().at(change.token)).changed;
}

TEST(SubmitTest, StudentsWaitForTheirTeacherAndGetItsWeights) {
  Loop loop;
  loop.Submit("s", {TeacherJob("t"), StudentJob("a", "t"), StudentJob("b")});
  EXPECT_EQ(loop.StateOf("a"), JobState::kBlocked);
  FakeWorker worker;
  const Grant teacher = loop.Take(worker);
  EXPECT_EQ(teacher.id.job, IdOf("t"));
  loop.Succeed(worker, teacher.id);
  EXPECT_EQ(loop.StateOf("a"), JobState::kQueued);
  worker.wanted = 2;
  for (const Grant& grant : loop.Exchange(worker).grants) {
    EXPECT_EQ(grant.teacher_weights.has_value(), grant.id.job == IdOf("a"));
  }
}

TEST(SubmitTest, AFailedTeacherSkipsItsStudentsAndRetryingRevivesThem) {
  Loop loop;
  loop.Submit("s", {TeacherJob("t"), StudentJob("a", "t")});
  FakeWorker worker;
  loop.Fail(worker, loop.Take(worker).id, FailureCause::kNumeric);
  EXPECT_EQ(loop.StateOf("t"), JobState::kFailed);
  EXPECT_EQ(loop.StateOf("a"), JobState::kSkipped);
  EXPECT_EQ(loop.state().sweep({1}).row.state, SweepState::kDone);
  EXPECT_EQ(ChangeStates(loop, ChangeJobs::What::kRetry, "s", {JobState::kFailed}), 1);
  EXPECT_EQ(loop.StateOf("a"), JobState::kBlocked);
  EXPECT_EQ(loop.state().sweep({1}).row.state, SweepState::kActive);
  loop.Succeed(worker, loop.Take(worker).id);
  loop.Succeed(worker, loop.Take(worker).id);
  EXPECT_EQ(loop.StateOf("a"), JobState::kSucceeded);
}

TEST(SubmitTest, TwoSweepsShareTheirTeacher) {
  Loop loop;
  loop.Submit("one", {TeacherJob("t"), StudentJob("a", "t")});
  loop.Submit("two", {TeacherJob("t"), StudentJob("b", "t")});
  EXPECT_EQ(loop.state().jobs(), 3);
  ASSERT_TRUE(Change(loop, ChangeSweep::What::kCancel, "one").ok());
  EXPECT_EQ(loop.StateOf("t"), JobState::kQueued) << "the other sweep wants it";
  EXPECT_EQ(loop.StateOf("a"), JobState::kCancelled);
  FakeWorker worker;
  loop.Succeed(worker, loop.Take(worker).id);
  loop.Succeed(worker, loop.Take(worker).id);
  EXPECT_EQ(loop.StateOf("b"), JobState::kSucceeded);
  EXPECT_EQ(loop.state().sweep({2}).row.state, SweepState::kDone);
}

TEST(SubmitTest, TheSameSweepAgainRunsNothingAndALargerOneOnlyWhatIsNew) {
  Loop loop;
  loop.Submit("s", {StudentJob("a")});
  FakeWorker worker;
  loop.Succeed(worker, loop.Take(worker).id);
  const SweepKey again = loop.Submit("s", {StudentJob("a")});
  EXPECT_EQ(loop.state().sweep(again).fixed.name, "s-2");
  EXPECT_EQ(loop.state().sweep(again).row.state, SweepState::kDone);
  EXPECT_EQ(loop.state().sweep(again).row.known, 1);
  const SweepKey larger = loop.Submit("s", {StudentJob("a"), StudentJob("b")});
  EXPECT_EQ(loop.state().sweep(larger).row.known, 1);
  EXPECT_EQ(loop.Take(worker).id.job, IdOf("b"));
}

TEST(SubmitTest, CancellingStopsRunningJobsAndResubmittingRevivesThem) {
  Loop loop;
  loop.Submit("s", {StudentJob("a"), StudentJob("b")});
  FakeWorker worker;
  const Grant grant = loop.Take(worker);
  ASSERT_TRUE(Change(loop, ChangeSweep::What::kCancel, "s").ok());
  EXPECT_EQ(loop.StateOf("a"), JobState::kCancelled);
  EXPECT_EQ(loop.StateOf("b"), JobState::kCancelled);
  EXPECT_THAT(loop.Exchange(worker).stop, ElementsAre(grant.id));
  loop.Submit("again", {StudentJob("a"), StudentJob("b")});
  EXPECT_EQ(loop.StateOf("a"), JobState::kQueued);
  EXPECT_FALSE(Change(loop, ChangeSweep::What::kPause, "s").ok());
}

TEST(SubmitTest, APausedSweepPlacesNothingThatNoOtherWants) {
  Loop loop;
  loop.Submit("one", {StudentJob("a"), StudentJob("shared")});
  loop.Submit("two", {StudentJob("shared")});
  ASSERT_TRUE(Change(loop, ChangeSweep::What::kPause, "one").ok());
  FakeWorker worker;
  worker.wanted = 2;
  const SyncReply reply = loop.Exchange(worker);
  ASSERT_THAT(reply.grants, SizeIs(1));
  EXPECT_EQ(reply.grants[0].id.job, IdOf("shared"));
  worker.live = {{reply.grants[0].id, true, 0}};
  worker.wanted = 1;
  const Token parked = loop.Send(worker);
  ASSERT_TRUE(Change(loop, ChangeSweep::What::kResume, "one").ok());
  ASSERT_TRUE(loop.replies().contains(parked)) << "resuming wakes the parked worker";
  EXPECT_THAT(std::get<SyncReply>(loop.replies().at(parked)).grants, SizeIs(1));
}

TEST(SubmitTest, NothingIsPlacedUntilTheLastChunkAndChunksMayRepeat) {
  Loop loop;
  auto spec = std::make_shared<v1::SweepSpec>();
  spec->set_name("s");
  const BeginSweep begin{loop.NextToken(), "r", spec, 2};
  ASSERT_TRUE(loop.Do(begin).ok());
  EXPECT_TRUE(std::get<SweepReply>(loop.replies().at(begin.token)).expand);
  const auto chunk = [&](int64_t at, const char* name) {
    return SweepChunk{0, {1}, at, std::make_shared<std::vector<NewJob>>(1, StudentJob(name))};
  };
  ASSERT_TRUE(loop.Do(chunk(0, "a")).ok());
  EXPECT_FALSE(loop.Do(chunk(5, "a")).ok());
  FakeWorker worker;
  worker.wanted = 2;
  const Token parked = loop.Send(worker);
  EXPECT_FALSE(loop.replies().contains(parked));
  EXPECT_EQ(loop.Do(BeginSweep{0, "r", spec, 2}).code(), absl::StatusCode::kUnavailable);
  loop.Restart();
  ASSERT_TRUE(loop.Do(chunk(0, "a")).ok());
  ASSERT_TRUE(loop.Do(chunk(1, "b")).ok());
  EXPECT_EQ(loop.state().jobs(), 2);
  EXPECT_THAT(loop.Exchange(worker).grants, SizeIs(2));
  const BeginSweep repeated{loop.NextToken(), "r", spec, 2};
  ASSERT_TRUE(loop.Do(repeated).ok());
  EXPECT_EQ(loop.state().sweeps(), 1);
  EXPECT_FALSE(std::get<SweepReply>(loop.replies().at(repeated.token)).expand);
}

TEST(SubmitTest, ARepeatedRequestHasOneEffectAndAnotherMethodIsAnError) {
  Loop loop;
  loop.Submit("s", {StudentJob("a")});
  ChangeSweep pause{0, "x", ChangeSweep::What::kPause, "s"};
  ASSERT_TRUE(loop.Do(pause).ok());
  ASSERT_TRUE(Change(loop, ChangeSweep::What::kResume, "s").ok());
  ASSERT_TRUE(loop.Do(pause).ok());
  EXPECT_EQ(loop.state().sweep({1}).row.state, SweepState::kActive);
  pause.what = ChangeSweep::What::kCancel;
  EXPECT_EQ(loop.Do(pause).code(), absl::StatusCode::kAlreadyExists);
  pause.request_id = "";
  EXPECT_EQ(loop.Do(pause).code(), absl::StatusCode::kInvalidArgument);
}

TEST(SubmitTest, LostWeightsRequeueTheTeacherAndBlockItsStudents) {
  Loop loop;
  loop.Submit("s", {TeacherJob("t"), StudentJob("a", "t")});
  FakeWorker worker;
  loop.Succeed(worker, loop.Take(worker).id);
  ASSERT_EQ(loop.StateOf("a"), JobState::kQueued);
  ASSERT_TRUE(loop.Do(ArtifactLost{HashOf("weights of " + IdOf("t").hex())}).ok());
  EXPECT_EQ(loop.StateOf("t"), JobState::kQueued);
  EXPECT_EQ(loop.StateOf("a"), JobState::kBlocked);
  loop.Succeed(worker, loop.Take(worker).id);
  EXPECT_EQ(loop.StateOf("a"), JobState::kQueued);
}

TEST(SubmitTest, StudentWhoseWeightsAreLostAfterItsTeachersWaitsForTheTeacher) {
  Loop loop;
  loop.Submit("s", {TeacherJob("t"), StudentJob("a", "t")});
  FakeWorker worker;
  loop.Succeed(worker, loop.Take(worker).id);
  loop.Succeed(worker, loop.Take(worker).id);
  ASSERT_EQ(loop.StateOf("a"), JobState::kSucceeded);
  ASSERT_TRUE(loop.Do(ArtifactLost{HashOf("weights of " + IdOf("t").hex())}).ok());
  ASSERT_TRUE(loop.Do(ArtifactLost{HashOf("weights of " + IdOf("a").hex())}).ok());
  EXPECT_EQ(loop.StateOf("t"), JobState::kQueued);
  EXPECT_EQ(loop.StateOf("a"), JobState::kBlocked);
}

TEST(SubmitTest, CancelledJobsStayCancelledWhateverSweepsWantThem) {
  Loop loop;
  loop.Submit("s", {TeacherJob("t"), StudentJob("a", "t")});
  EXPECT_EQ(ChangeStates(loop, ChangeJobs::What::kCancel, "s", {JobState::kQueued}), 1);
  EXPECT_EQ(loop.StateOf("t"), JobState::kCancelled);
  EXPECT_EQ(loop.StateOf("a"), JobState::kSkipped);
  EXPECT_EQ(ChangeStates(loop, ChangeJobs::What::kRetry, "s", {JobState::kSkipped}), 1);
  EXPECT_EQ(loop.StateOf("t"), JobState::kQueued);
  EXPECT_EQ(loop.StateOf("a"), JobState::kBlocked);
}

}  // namespace
}  // namespace retort::core
