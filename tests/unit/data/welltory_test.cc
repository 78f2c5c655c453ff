#include "client/data/welltory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "client/data/describe.h"
#include "common/status.h"
#include "tests/unit/data/mat_test_files.h"

namespace retort {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kRecordings[] = RETORT_SOURCE_DIR "/../shared/data/welltory";

// 20 s of about 30 frames a second at 75 BPM, without those of second 9 to 9.3 if `gap`.
void WriteRecording(const std::string& folder, bool gap = false) {
  std::filesystem::create_directories(folder);
  std::string rows = "time,R,G,B\n", intervals;
  for (int i = 0; i < 601; ++i) {
    const int ms = static_cast<int>(i * 1000 / 30.0 + 5 * std::sin(i * 1.7));
    if (gap && ms > 9000 && ms < 9300) continue;
    absl::StrAppend(&rows, ms, ",", 100 + std::sin(ms * 2 * M_PI * 1.25 / 1000), ",0.0,", i, "\n");
  }
  for (int i = 0; i < 26; ++i) absl::StrAppend(&intervals, "800 ");
  WriteBytes(folder + "/PPG.csv", rows);
  WriteBytes(folder + "/RR.txt", intervals);
}

TEST(HeartRatesOfIntervals, CountsPartsOfBeats) {
  EXPECT_THAT(HeartRatesOfIntervals(std::vector<double>(10, 1.0)), ElementsAre(60, 60));
  // 8 s of 0.5 s intervals, then 2 s: the second window has 12 beats of 0.5 s and 1 of 2 s.
  std::vector<double> intervals(16, 0.5);
  intervals.push_back(2);
  EXPECT_THAT(HeartRatesOfIntervals(intervals), ElementsAre(120, 60 * 13 / 8.0));
  EXPECT_TRUE(HeartRatesOfIntervals(std::vector<double>(9, 0.8)).empty());
  EXPECT_TRUE(std::isnan(HeartRatesOfIntervals({9.0})[0]));  // 6.7 BPM is none
}

TEST(PrepareWelltory, LeavesOutWindowsWithGapsAndForbidsToSplit) {
  const std::string folder = EmptyTestFolder();
  WriteRecording(folder + "/data/subject_01");
  WriteRecording(folder + "/data/subject_02", true);
  WriteRecording(folder + "/data/subject_20");
  auto d = PrepareWelltory(folder, {});
  ASSERT_TRUE(d.ok()) << d.status();
  EXPECT_THAT(d->subjects, ElementsAre("subject_01", "subject_02"));
  EXPECT_EQ(d->metadata.at("split"), "never");
  // Seconds 9 to 9.3 lie in windows 1 to 4.
  EXPECT_EQ(d->windows_count, 7 + 3);
  EXPECT_EQ(d->metadata.at("windows_left_out"), R"({"subject_02":"4 with missing samples"})");
  for (int64_t w = 0; w < d->windows_count; ++w) {
    EXPECT_NEAR(d->bpm_W[w], 75, 1e-4);
    EXPECT_NEAR(d->fft_bpm_WC[w * 3], 75, 2) << w;
  }
  PrepareOptions wide;
  wide.max_gap_s = 0.5;
  EXPECT_EQ(PrepareWelltory(folder, wide)->windows_count, 14);
}

TEST(ReadWelltory, SaysWhichFileIsWrong) {
  const std::string folder = EmptyTestFolder(), one = folder + "/subject_01";
  const auto error = [&] { return MessageOf(ReadWelltory(folder, {}).status()); };
  EXPECT_THAT(error(), HasSubstr("expected files such as subject_01/PPG.csv"));
  WriteRecording(one);
  WriteBytes(one + "/RR.txt", "800 -3 800");
  EXPECT_THAT(error(), HasSubstr("subject_01/RR.txt: interval 2 is '-3'"));
  WriteBytes(one + "/RR.txt", "800 800");
  EXPECT_THAT(error(), HasSubstr("less than one window"));
  std::filesystem::remove(one + "/RR.txt");
  EXPECT_THAT(error(), HasSubstr("RR.txt"));
  WriteRecording(one);
  WriteBytes(one + "/PPG.csv", "time,R,G\n0,1,2\n33,1,2\n");
  EXPECT_THAT(error(), HasSubstr("no column 'B'"));
}

TEST(PrepareWelltory, ReadsTheRealRecordings) {
  if (!std::filesystem::exists(kRecordings)) {
    GTEST_SKIP() << "SKIPPED: no real recordings at " << kRecordings;
  }
  const auto d = PrepareWelltory(kRecordings, {});
  ASSERT_TRUE(d.ok()) << d.status();
  const auto facts = Summarize(*d).all;
  std::cout << DescribeDataset(*d);
  EXPECT_EQ(d->subjects.size(), 20u);
  EXPECT_EQ(facts.windows, 743);
  EXPECT_LT(facts.fft_all_channels_floor_bpm, 4.5);
}

}  // namespace
}  // namespace retort
