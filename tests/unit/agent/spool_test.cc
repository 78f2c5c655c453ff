#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "common/files.h"
#include "common/hash.h"
#include "worker/agent/disk_spool.h"

namespace retort {
namespace {

const AttemptKey kKey{std::string(64, 'a'), 1};
const AttemptKey kOther{std::string(64, 'b'), 2};

class DiskSpoolTest : public ::testing::Test {
 protected:
  DiskSpoolTest() {
    char folder[] = "/tmp/retort-spool-XXXXXX";
    folder_ = mkdtemp(folder);
  }
  ~DiskSpoolTest() override { std::filesystem::remove_all(folder_); }

  DiskSpool Make(SpoolLimits limits = {}) {
    auto spool = DiskSpool::Create(folder_ + "/attempts", limits);
    EXPECT_TRUE(spool.ok()) << spool.status();
    return *std::move(spool);
  }
  static std::vector<v1::MetricPoint> Points(int first, int count) {
    std::vector<v1::MetricPoint> points(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
      points[i].set_series("train.loss");
      points[i].set_step(first + i);
    }
    return points;
  }

  std::string folder_;
};

TEST_F(DiskSpoolTest, PointsComeBackFromAnyNumberAcrossBatches) {
  DiskSpool spool = Make();
  ASSERT_TRUE(spool.Open(kKey).ok());
  ASSERT_TRUE(spool.Append(kKey, Points(0, 3)).ok());
  ASSERT_TRUE(spool.Append(kKey, Points(3, 3)).ok());
  const auto points = spool.Read(kKey, 2, 3);
  ASSERT_TRUE(points.ok());
  ASSERT_EQ(points->size(), 3u);
  EXPECT_EQ((*points)[0].step(), 2);
  EXPECT_EQ((*points)[2].step(), 4);
  EXPECT_FALSE(spool.Read(kKey, 6, 1).ok());
}

TEST_F(DiskSpoolTest, FullSpoolTakesNothingUntilPointsAreDurable) {
  DiskSpool spool = Make({.points_bytes = 100});
  ASSERT_TRUE(spool.Open(kKey).ok());
  ASSERT_TRUE(spool.Open(kOther).ok());
  ASSERT_TRUE(spool.Append(kKey, Points(0, 50)).ok()) << "an empty spool takes any batch";
  EXPECT_GT(spool.points_bytes(), 100);
  EXPECT_EQ(spool.Append(kOther, Points(0, 1)).code(), absl::StatusCode::kResourceExhausted);
  spool.Trim(kKey, 49);
  EXPECT_EQ(spool.Append(kOther, Points(0, 1)).code(), absl::StatusCode::kResourceExhausted);
  spool.Trim(kKey, 50);
  EXPECT_EQ(spool.points_bytes(), 0);
  ASSERT_TRUE(spool.Append(kOther, Points(0, 1)).ok());
  // Numbers go on after the file was emptied.
  ASSERT_TRUE(spool.Append(kKey, Points(50, 1)).ok());
  const auto points = spool.Read(kKey, 50, 10);
  ASSERT_TRUE(points.ok());
  EXPECT_EQ(points->at(0).step(), 50);
}

TEST_F(DiskSpoolTest, DroppedAttemptGivesItsSpaceBack) {
  DiskSpool spool = Make();
  const auto work = spool.Open(kKey);
  ASSERT_TRUE(work.ok());
  EXPECT_TRUE(std::filesystem::is_empty(*work));
  ASSERT_TRUE(spool.Append(kKey, Points(0, 5)).ok());
  spool.Drop(kKey);
  EXPECT_EQ(spool.points_bytes(), 0);
  EXPECT_FALSE(std::filesystem::exists(*work));
}

TEST_F(DiskSpoolTest, DamagedPointsAreAnErrorAndNotOtherPoints) {
  DiskSpool spool = Make();
  ASSERT_TRUE(spool.Open(kKey).ok());
  ASSERT_TRUE(spool.Append(kKey, Points(0, 5)).ok());
  const std::string path = folder_ + "/attempts/" + kKey.job + "-1/points";
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 1);
  EXPECT_EQ(spool.Read(kKey, 0, 5).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(DiskSpoolTest, LogIsBoundedAndSaysSo) {
  DiskSpool spool = Make({.log_bytes = 100});
  ASSERT_TRUE(spool.Open(kKey).ok());
  ASSERT_EQ(*spool.AppendLog(kKey, "begin "), 6);
  const auto size = spool.AppendLog(kKey, std::string(1000, 'x'));
  ASSERT_TRUE(size.ok());
  EXPECT_EQ(*size, 100);
  EXPECT_EQ(*spool.AppendLog(kKey, "more"), 100);
  const auto log = spool.ReadLog(kKey, 0, 1000);
  ASSERT_TRUE(log.ok());
  EXPECT_TRUE(log->starts_with("begin xxx"));
  EXPECT_THAT(*log, ::testing::HasSubstr("not kept"));
}

TEST_F(DiskSpoolTest, NewStartRemovesWhatHadNotEnded) {
  {
    DiskSpool spool = Make();
    ASSERT_TRUE(spool.Open(kKey).ok());
    ASSERT_TRUE(spool.Append(kKey, Points(0, 5)).ok());
  }
  DiskSpool spool = Make();
  EXPECT_THAT(spool.Recover(), ::testing::IsEmpty());
  EXPECT_EQ(spool.points_bytes(), 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/attempts"));
  EXPECT_FALSE(spool.Read(kKey, 0, 5).ok());
}

// A start of the agent that ended with an attempt's end on disk.
class RecoveredSpoolTest : public DiskSpoolTest {
 protected:
  static v1::FinishedAttempt ResultOf(int64_t points) {
    v1::FinishedAttempt outcome;
    outcome.mutable_result()->set_epochs(3);
    outcome.mutable_result()->set_metric_points(points);
    return outcome;
  }
  // Leaves an attempt with 6 points in 2 records, the first 3 acknowledged, and a result.
  void Leave() {
    DiskSpool spool = Make();
    const auto work = spool.Open(kKey);
    ASSERT_TRUE(work.ok());
    weights_ = *work + "/weights";
    std::ofstream(weights_) << "numbers";
    ASSERT_TRUE(spool.Append(kKey, Points(0, 3)).ok());
    spool.Trim(kKey, 3);
    ASSERT_TRUE(spool.Append(kKey, Points(3, 3)).ok());
    ASSERT_TRUE(spool.Append(kKey, Points(6, 2)).ok());
    ASSERT_TRUE(spool.AppendLog(kKey, "log").ok());
    ASSERT_TRUE(spool.KeepResult(kKey, ResultOf(8), weights_).ok());
  }
  std::string points_path() const { return folder_ + "/attempts/" + kKey.job + "-1/points"; }

  std::string weights_;
};

TEST_F(RecoveredSpoolTest, ResultComesBackWithTheHashOfItsWeightsAndItsPoints) {
  Leave();
  DiskSpool spool = Make();
  auto left = spool.Recover();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].key, kKey);
  EXPECT_EQ(left[0].weights_path, weights_);
  EXPECT_EQ(left[0].outcome.result().epochs(), 3);
  EXPECT_EQ(left[0].outcome.result().weights().sha256(), HashFile(weights_)->hex());
  EXPECT_EQ(left[0].outcome.result().weights().size_bytes(), 7);
  EXPECT_EQ(left[0].first, 3);
  EXPECT_EQ(left[0].end, 8);
  EXPECT_EQ(left[0].log_bytes, 3);
  EXPECT_GT(spool.points_bytes(), 0);
  const auto points = spool.Read(kKey, 3, 10);
  ASSERT_TRUE(points.ok());
  EXPECT_EQ(points->size(), 5u);
  EXPECT_EQ(points->front().step(), 3);
  EXPECT_EQ(*spool.ReadLog(kKey, 0, 10), "log");
  spool.Trim(kKey, 8);
  EXPECT_EQ(spool.points_bytes(), 0);
}

TEST_F(RecoveredSpoolTest, OutcomeNeedsNoWeights) {
  Leave();
  {
    DiskSpool spool = Make();
    ASSERT_EQ(spool.Recover().size(), 1u);
    v1::FinishedAttempt outcome = ResultOf(8);
    outcome.mutable_result()->mutable_weights()->set_sha256(std::string(64, 'f'));
    ASSERT_TRUE(spool.KeepOutcome(kKey, outcome).ok());
  }
  std::filesystem::remove(weights_);
  DiskSpool spool = Make();
  const auto left = spool.Recover();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].weights_path, "");
  EXPECT_EQ(left[0].outcome.result().weights().sha256(), std::string(64, 'f'));
}

TEST_F(RecoveredSpoolTest, ResultWhosePointsWereLostIsNotRecovered) {
  Leave();
  std::filesystem::resize_file(points_path(), std::filesystem::file_size(points_path()) - 1);
  DiskSpool spool = Make();
  EXPECT_THAT(spool.Recover(), ::testing::IsEmpty());
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/attempts"));
}

TEST_F(RecoveredSpoolTest, ResultWhoseWeightsAreGoneIsNotRecovered) {
  Leave();
  std::filesystem::remove(weights_);
  DiskSpool spool = Make();
  EXPECT_THAT(spool.Recover(), ::testing::IsEmpty());
}

TEST_F(RecoveredSpoolTest, ResultOfAnEarlierBootIsNotRecoveredForItsWeightsWereNotFlushed) {
  Leave();
  const std::string path = folder_ + "/attempts/" + kKey.job + "-1/result";
  std::string text = *ReadFile(path);
  text[0] = text[0] == '0' ? '1' : '0';
  ASSERT_TRUE(WriteFileAtomically(path, text).ok());
  DiskSpool spool = Make();
  EXPECT_THAT(spool.Recover(), ::testing::IsEmpty());
}

TEST_F(RecoveredSpoolTest, BadTailOfAFailuresPointsIsDroppedAndTheRestIsKept) {
  {
    DiskSpool spool = Make();
    ASSERT_TRUE(spool.Open(kKey).ok());
    ASSERT_TRUE(spool.Append(kKey, Points(0, 3)).ok());
    ASSERT_TRUE(spool.Append(kKey, Points(3, 3)).ok());
    v1::FinishedAttempt failure;
    failure.mutable_failure()->set_cause(v1::FAILURE_CAUSE_NUMERIC);
    ASSERT_TRUE(spool.KeepOutcome(kKey, failure).ok());
  }
  // A byte in the last record that was never written, and rubbish behind it.
  std::fstream file(points_path(), std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-2, std::ios::end);
  file << '\xff';
  file.seekp(0, std::ios::end);
  file << "rubbish that is no record";
  file.close();
  DiskSpool spool = Make();
  const auto left = spool.Recover();
  ASSERT_EQ(left.size(), 1u);
  EXPECT_EQ(left[0].end, 3);
  const auto points = spool.Read(kKey, 0, 10);
  ASSERT_TRUE(points.ok());
  EXPECT_EQ(points->size(), 3u);
}

TEST_F(RecoveredSpoolTest, WhatIsNoAttemptIsRemoved) {
  Make();
  std::filesystem::create_directories(folder_ + "/attempts/lost+found/x");
  std::ofstream(folder_ + "/attempts/notes") << "rubbish";
  std::filesystem::create_directories(folder_ + "/attempts/" + kKey.job + "-1");
  std::ofstream(folder_ + "/attempts/" + kKey.job + "-1/outcome") << "\xff\xff rubbish";
  DiskSpool spool = Make();
  EXPECT_THAT(spool.Recover(), ::testing::IsEmpty());
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/attempts"));
}

}  // namespace
}  // namespace retort
