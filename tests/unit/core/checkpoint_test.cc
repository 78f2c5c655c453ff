// Where training goes on after an attempt that was lost.
#include "fixture.h"

namespace retort::core {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

CheckpointReport Report(const AttemptName& id, int epochs, int64_t points = 0) {
  CheckpointReport report;
  report.id = id;
  report.checkpoint.file = {HashOf("checkpoint " + std::to_string(epochs)), 100};
  report.checkpoint.epochs_done = epochs;
  report.checkpoint.steps_done = 10 * epochs;
  report.points = points;
  report.held = true;
  return report;
}

void AddPoints(Loop& loop, const AttemptName& id, int count) {
  auto batch = std::make_shared<v1::MetricBatch>();
  for (int i = 0; i < count; ++i) {
    auto* point = batch->add_points();
    point->set_series("train.loss");
    point->set_step(i);
  }
  ASSERT_TRUE(loop.Do(Metrics{0, id, batch}).ok());
}

FakeWorker Named(const std::string& name) {
  FakeWorker worker;
  worker.name = name;
  return worker;
}

class CheckpointTest : public ::testing::Test {
 protected:
  CheckpointTest() { loop_.Submit("s", {StudentJob("a")}); }
  void Say(FakeWorker& worker, const CheckpointReport& report) {
    worker.checkpoints = {report};
    loop_.Send(worker);
  }
  const TrainingCheckpoint* Known() {
    return loop_.state().checkpoint(loop_.state().FindJob(IdOf("a")));
  }
  // The worker is silent until its lease is over.
  void Lose() { loop_.Pass(absl::Minutes(3)); }

  Loop loop_;
  FakeWorker worker_;
};

TEST_F(CheckpointTest, TheNextAttemptGetsTheFarthestOne) {
  const Grant first = loop_.Take(worker_);
  EXPECT_FALSE(first.checkpoint);
  Say(worker_, Report(first.id, 3));
  Say(worker_, Report(first.id, 2));
  Lose();
  FakeWorker other = Named("w2");
  const Grant second = loop_.Take(other);
  EXPECT_EQ(second.id.attempt, 2);
  ASSERT_TRUE(second.checkpoint);
  EXPECT_EQ(second.checkpoint->epochs_done, 3);
  EXPECT_EQ(second.checkpoint->file.hash, HashOf("checkpoint 3"));
}

TEST_F(CheckpointTest, SurvivesARestartAndAnUndoneCommit) {
  const Grant first = loop_.Take(worker_);
  Say(worker_, Report(first.id, 3));
  loop_.Restart();
  ASSERT_NE(Known(), nullptr);
  worker_.checkpoints = {Report(first.id, 4)};
  auto decision = Decide(loop_.state(), loop_.SyncOf(worker_), loop_.now());
  ASSERT_TRUE(decision.ok()) << decision.status();
  const std::string before = loop_.state().Dump();
  loop_.state().Apply(*decision);
  EXPECT_EQ(Known()->epochs_done, 4);
  loop_.state().Undo(*decision);
  EXPECT_EQ(Known()->epochs_done, 3);
  EXPECT_EQ(loop_.state().Dump(), before);
}

TEST_F(CheckpointTest, CountsOnlyOnceItsPointsAreDurableAndItsFileIsHeld) {
  const Grant first = loop_.Take(worker_);
  Say(worker_, Report(first.id, 1, 2));
  EXPECT_EQ(Known(), nullptr) << "two points are not durable";
  AddPoints(loop_, first.id, 2);
  CheckpointReport lost = Report(first.id, 1, 2);
  lost.held = false;
  Say(worker_, lost);
  EXPECT_EQ(Known(), nullptr) << "the file is not there";
  Say(worker_, Report(first.id, 1, 2));
  EXPECT_NE(Known(), nullptr);
}

TEST_F(CheckpointTest, OfAnOlderAttemptIsPassedOver) {
  const Grant first = loop_.Take(worker_);
  Lose();
  FakeWorker other = Named("w2");
  loop_.Take(other);
  Say(worker_, Report(first.id, 3));
  EXPECT_EQ(Known(), nullptr);
}

TEST_F(CheckpointTest, ThatComesLateCountsWhileNobodyElseHasTheJob) {
  const Grant first = loop_.Take(worker_);
  Lose();
  ASSERT_EQ(loop_.StateOf("a"), JobState::kQueued);
  worker_.live.clear();
  Say(worker_, Report(first.id, 3));
  EXPECT_NE(Known(), nullptr);
}

TEST_F(CheckpointTest, PointsOfTheEpochsBeforeItAreKept) {
  const Grant first = loop_.Take(worker_);
  AddPoints(loop_, first.id, 4);  // of epochs 0..3
  Say(worker_, Report(first.id, 2, 3));
  Lose();
  FakeWorker other = Named("w2");
  loop_.Take(other);
  const auto series = loop_.store().reader().Metrics(IdOf("a"), {"train.loss"}, 100);
  ASSERT_TRUE(series.ok()) << series.status();
  ASSERT_THAT(*series, SizeIs(2));
  EXPECT_EQ((*series)[1].step(), 1);
}

TEST_F(CheckpointTest, AJobThatAdvancesMayBeLostAsOftenAsItTakes) {
  for (int i = 1; i <= 20; ++i) {
    FakeWorker worker = Named(absl::StrCat("worker-", i));
    const Grant grant = loop_.Take(worker);
    ASSERT_EQ(grant.id.attempt, i) << "given up";
    Say(worker, Report(grant.id, i));
    Lose();
  }
  EXPECT_EQ(loop_.StateOf("a"), JobState::kQueued);
}

TEST_F(CheckpointTest, AJobThatStandsStillIsGivenUp) {
  for (int i = 1; i <= 20 && loop_.StateOf("a") == JobState::kQueued; ++i) {
    FakeWorker worker = Named(absl::StrCat("worker-", i));
    const Grant grant = loop_.Take(worker);
    Say(worker, Report(grant.id, 1));
    Lose();
  }
  EXPECT_EQ(loop_.StateOf("a"), JobState::kFailed);
}

TEST_F(CheckpointTest, GoesWhenTheJobHasItsResultOrNobodyWantsIt) {
  const Grant first = loop_.Take(worker_);
  Say(worker_, Report(first.id, 3));
  worker_.checkpoints.clear();
  loop_.Succeed(worker_, first.id);
  EXPECT_EQ(Known(), nullptr);
  EXPECT_THAT(loop_.Reloaded().checkpoints(), IsEmpty());
}

TEST_F(CheckpointTest, WhoseFileIsLostIsForgotten) {
  const Grant first = loop_.Take(worker_);
  Say(worker_, Report(first.id, 3));
  ASSERT_TRUE(loop_.Do(ArtifactLost{HashOf("checkpoint 3")}).ok());
  EXPECT_EQ(Known(), nullptr);
}

// The second attempt is leased, has not begun, and the file that it was given is lost.
class LostBeforeItBeginsTest : public CheckpointTest {
 protected:
  LostBeforeItBeginsTest() {
    const Grant first = loop_.Take(worker_);
    AddPoints(loop_, first.id, 3);
    Say(worker_, Report(first.id, 2, 2));
    Lose();
    other_.wanted = 1;
    const SyncReply reply = loop_.Exchange(other_);
    EXPECT_THAT(reply.grants, SizeIs(1));
    second_ = reply.grants.at(0);
    EXPECT_TRUE(second_.checkpoint);
    EXPECT_TRUE(loop_.Do(ArtifactLost{HashOf("checkpoint 2")}).ok());
    other_.wanted = 0;
  }

  FakeWorker other_ = Named("w2");
  Grant second_;
};

TEST_F(LostBeforeItBeginsTest, WhoHasItGoesOnFromItAndThePointsBeforeStay) {
  other_.live.push_back({second_.id, true, 0, second_.slot});
  loop_.Send(other_);
  EXPECT_EQ(loop_.StateOf("a"), JobState::kRunning);
  const auto points = loop_.store().reader().Metrics(IdOf("a"), {}, 100);
  ASSERT_TRUE(points.ok()) << points.status();
  EXPECT_THAT(*points, SizeIs(2)) << "of the epochs that are not trained again";
}

TEST_F(LostBeforeItBeginsTest, WhoLacksItFailsAndTheNextDoesWithout) {
  loop_.Fail(other_, second_.id, FailureCause::kArtifact);
  EXPECT_EQ(Known(), nullptr);
  const Grant third = loop_.Take(other_);
  EXPECT_FALSE(third.checkpoint);
  const auto points = loop_.store().reader().Metrics(IdOf("a"), {}, 100);
  ASSERT_TRUE(points.ok()) << points.status();
  EXPECT_THAT(*points, IsEmpty()) << "it begins anew";
}

TEST_F(CheckpointTest, TheMostGenerousSweepSaysHowOftenAndHowLong) {
  const auto submit = [this](const char* name, int every_s, int limit_s) {
    auto spec = std::make_shared<v1::SweepSpec>();
    spec->set_name(name);
    spec->mutable_checkpoint_every()->set_seconds(every_s);
    if (limit_s > 0) spec->mutable_wall_limit()->set_seconds(limit_s);
    BeginSweep begin{loop_.NextToken(), loop_.NextRequest(), spec, 1};
    ASSERT_TRUE(loop_.Do(begin).ok());
    const SweepKey key = std::get<SweepReply>(loop_.replies().at(begin.token)).sweep;
    auto jobs = std::make_shared<std::vector<NewJob>>(std::vector<NewJob>{StudentJob("b")});
    ASSERT_TRUE(loop_.Do(SweepChunk{loop_.NextToken(), key, 0, jobs}).ok());
  };
  submit("slow", 600, 100);
  submit("never", 0, 300);
  FakeWorker worker = Named("w2");
  worker.wanted = 2;
  const SyncReply reply = loop_.Exchange(worker);
  ASSERT_THAT(reply.grants, SizeIs(2));
  EXPECT_EQ(reply.grants[0].checkpoint_every_s, 60) << "when nothing is said";
  EXPECT_EQ(reply.grants[0].wall_limit_s, 0);
  EXPECT_EQ(reply.grants[1].checkpoint_every_s, 600);
  EXPECT_EQ(reply.grants[1].wall_limit_s, 300);
}

}  // namespace
}  // namespace retort::core
