#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

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

TEST_F(DiskSpoolTest, NewStartRemovesWhatAnEarlierOneLeft) {
  {
    DiskSpool spool = Make();
    ASSERT_TRUE(spool.Open(kKey).ok());
    ASSERT_TRUE(spool.Append(kKey, Points(0, 5)).ok());
    ASSERT_TRUE(spool.KeepOutcome(kKey, {}).ok());
    EXPECT_TRUE(std::filesystem::exists(folder_ + "/attempts/" + kKey.job + "-1/outcome"));
  }
  DiskSpool spool = Make();
  EXPECT_EQ(spool.points_bytes(), 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/attempts"));
  EXPECT_FALSE(spool.Read(kKey, 0, 5).ok());
}

}  // namespace
}  // namespace retort
