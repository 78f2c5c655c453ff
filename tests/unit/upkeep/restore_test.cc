#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "server/core/restored.h"
#include "tests/unit/upkeep/home.h"

namespace retort {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class RestoreTest : public ::testing::Test {
 protected:
  RestoreTest() : backup_(home_.base + "/backup"), target_(home_.base + "/new") {
    EXPECT_TRUE(home_.upkeep->Backup(backup_).ok());
  }

  absl::StatusOr<RestoreReport> Restore(absl::Duration later = absl::Hours(1)) {
    Now now = home_.clock.now;
    now.wall += later;
    return RestoreBackup(backup_, target_, now);
  }
  core::State Loaded(const std::string& folder) {
    auto store = *store::OpenSqliteStore(folder);
    core::State state;
    EXPECT_TRUE(store->Load([&](const core::Record& record) { state.Load(record); }).ok());
    state.Recover(home_.clock.now);
    EXPECT_TRUE(state.CheckInvariants().ok()) << state.CheckInvariants();
    return state;
  }
  void ExpectRefused(absl::StatusCode code, const std::string& says) {
    const auto report = Restore();
    EXPECT_EQ(report.status().code(), code) << report.status();
    EXPECT_THAT(std::string(report.status().message()), HasSubstr(says));
    EXPECT_FALSE(std::filesystem::exists(target_ + ".partial"));
  }

  Home home_;
  const std::string backup_, target_;
};

TEST_F(RestoreTest, EverythingComesBackAndWhatRanWaits) {
  const auto report = Restore();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->requeued, 1);
  EXPECT_EQ(report->raised, 1000 + 3600);
  const core::State state = Loaded(target_);
  EXPECT_EQ(state.jobs(), 3);
  EXPECT_EQ(state.job({1}).row.state, core::JobState::kSucceeded);
  EXPECT_EQ(state.job({2}).row.state, core::JobState::kQueued);
  for (int64_t key = 1; key <= 3; ++key) {
    EXPECT_EQ(state.job({key}).row.attempt, (key == 3 ? 0 : 1) + report->raised);
  }
  EXPECT_EQ(state.job({2}).row.lost, 0) << "no budget is spent";
  EXPECT_NE(state.FindRequest("request"), nullptr) << "a repeat gets its first answer";
  auto store = *store::OpenSqliteStore(target_);
  const auto job = store->reader().Job(JobId(Sha256Of("a")).hex());
  ASSERT_THAT(job->attempts(), SizeIs(1));
  EXPECT_THAT(job->attempts(0).failure().message(), HasSubstr("restored from a backup"));
  EXPECT_EQ(LogStore(target_ + "/logs").Read(JobId(Sha256Of("a")), 1, 0, 100).value(), "epoch 1\n");
  EXPECT_EQ(*ReadFile(target_ + home_.PathOf(home_.weights).substr(home_.folder.size())),
            "weights");
}

// The timeline that was lost went on: a worker holds attempt 1 of `a` and was even given attempt 2,
// which it reports, with points and a result, to the coordinator that was restored.
TEST_F(RestoreTest, AttemptsOfTheLostTimelineAreRefused) {
  ASSERT_TRUE(Restore().ok());
  core::State state = Loaded(target_);
  const JobId a(Sha256Of("a"));
  const Now now = home_.clock.now;
  const auto decide = [&](const core::Input& input) {
    auto decision = core::Decide(state, input, now);
    EXPECT_TRUE(decision.ok()) << decision.status();
    state.Apply(*decision);
    return *std::move(decision);
  };
  for (const int32_t attempt : {1, 2}) {
    core::Sync sync;
    sync.token = 10 + static_cast<core::Token>(attempt);
    sync.worker = "w";
    sync.host = "here";
    sync.incarnation = 1;
    sync.number = 10 * attempt;
    sync.slots = {{0, "cpu", 1 << 30}};
    sync.live = {{{a, attempt}, true, 3}};
    const auto live = decide(sync);
    ASSERT_THAT(live.replies, SizeIs(1));
    EXPECT_THAT(std::get<core::SyncReply>(live.replies[0].body).stop,
                ::testing::ElementsAre(core::AttemptName{a, attempt}));

    auto batch = std::make_shared<v1::MetricBatch>();
    batch->add_points()->set_series("train.loss");
    const auto metrics = decide(core::Metrics{20, {a, attempt}, batch});
    EXPECT_TRUE(std::get<core::MetricReply>(metrics.replies[0].body).refused);

    core::FinishedReport finished;
    finished.id = {a, attempt};
    finished.result = std::make_shared<v1::JobResult>();
    finished.weights_held = true;
    finished.weights = {home_.weights, 7};
    sync.live.clear();
    sync.finished = {finished};
    sync.number = 10 * attempt + 1;
    const auto end = decide(sync);
    EXPECT_THAT(std::get<core::SyncReply>(end.replies[0].body).acknowledged, SizeIs(1))
        << "so that the worker forgets it";
    EXPECT_EQ(state.job({2}).row.state, core::JobState::kQueued);
  }
  // A new attempt gets a number that nobody has seen.
  core::Sync sync;
  sync.token = 30;
  sync.worker = "w";
  sync.host = "here";
  sync.incarnation = 2;
  sync.slots = {{0, "cpu", 1 << 30}};
  sync.wanted = 1;
  const auto grant = decide(sync);
  const auto& grants = std::get<core::SyncReply>(grant.replies[0].body).grants;
  ASSERT_THAT(grants, SizeIs(1));
  EXPECT_GT(grants[0].id.attempt, 4600);
  EXPECT_TRUE(state.CheckInvariants().ok()) << state.CheckInvariants();
}

TEST_F(RestoreTest, TwoRestoresOfOneBackupGiveDifferentNumbers) {
  const auto first = Restore(absl::Hours(1));
  ASSERT_TRUE(first.ok());
  std::filesystem::remove_all(target_);
  const auto second = Restore(absl::Hours(1) + absl::Seconds(30));
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->raised - first->raised, 30);
  EXPECT_EQ(core::AttemptsToSkip(-absl::Hours(5)), 1000) << "a clock that went back";
}

TEST_F(RestoreTest, AFolderWithContentIsRefusedAndAnEmptyOneTaken) {
  std::filesystem::create_directory(target_);
  std::ofstream(target_ + "/something") << "x";
  ExpectRefused(absl::StatusCode::kAlreadyExists, "not an empty folder");
  EXPECT_TRUE(std::filesystem::exists(target_ + "/something"));
  std::filesystem::remove(target_ + "/something");
  EXPECT_TRUE(Restore().ok());
}

TEST_F(RestoreTest, WhatIsNoCompleteBackupIsRefused) {
  std::filesystem::rename(backup_ + "/manifest.json", backup_ + "/manifest");
  ExpectRefused(absl::StatusCode::kFailedPrecondition, "no manifest.json");
  std::ofstream(backup_ + "/manifest.json") << "{";
  ExpectRefused(absl::StatusCode::kFailedPrecondition, "manifest.json");
}

TEST_F(RestoreTest, ABackupOfANewerVersionIsRefused) {
  std::string text = *ReadFile(backup_ + "/manifest.json");
  const size_t at = text.find("\"schema_version\": ");
  text.insert(at + 18, "9");
  std::ofstream(backup_ + "/manifest.json") << text;
  ExpectRefused(absl::StatusCode::kFailedPrecondition, "schema version 9");
}

TEST_F(RestoreTest, DamageAnywhereInTheBackupIsFound) {
  const std::string weights = backup_ + home_.PathOf(home_.weights).substr(home_.folder.size());
  {
    std::filesystem::remove(weights);  // was a link
    std::ofstream(weights) << "Weights";
    ExpectRefused(absl::StatusCode::kDataLoss, home_.weights.hex());
    std::filesystem::remove(weights);
    ExpectRefused(absl::StatusCode::kDataLoss, "artifacts: 1");
    std::ofstream(weights) << "weights";
  }
  const std::string log = backup_ + "/logs/" + JobId(Sha256Of("a")).hex() + "/1.log";
  std::filesystem::rename(log, log + "2");
  std::filesystem::remove(log + "2");
  ExpectRefused(absl::StatusCode::kDataLoss, "logs: 0");
  std::ofstream(log) << "epoch 1\n";
  {
    std::fstream file(backup_ + "/retort.db", std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(5000);
    file.put('\x7f');
  }
  ExpectRefused(absl::StatusCode::kDataLoss, "retort.db has the SHA-256");
  std::filesystem::resize_file(backup_ + "/retort.db", 4096);
  ExpectRefused(absl::StatusCode::kDataLoss, "bytes of retort.db");
}

}  // namespace
}  // namespace retort
