#include "client/data/bami.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <iostream>

#include "client/data/describe.h"
#include "common/status.h"
#include "tests/unit/data/mat_test_files.h"

namespace retort {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr char kRecordings[] = RETORT_SOURCE_DIR "/../shared/data/bami-1";

// 20 s at 50 Hz: 7 windows. The first channel is a pulse of 90 BPM until second 9, then of 120.
void WriteRecording(const std::string& path, int rows = 3, int labels = 7) {
  constexpr int kSamples = 1000;
  std::vector<double> ppg(static_cast<size_t>(rows) * kSamples);
  for (int i = 0; i < kSamples; ++i) {
    for (int r = 0; r < rows; ++r) {
      ppg[i * rows + r] = std::sin(i * 2 * M_PI / 50 * (i < 450 ? 1.5 : 2)) + r;
    }
  }
  WriteMat(path, {{"rawPPG", rows, kSamples, ppg},
                  {"bpm_proposed", labels, 1, std::vector<double>(labels, 44)},
                  {"bpm_ecg", labels, 1, std::vector<double>(labels, 90)}});
}

TEST(ReadBami, TakesTheReferenceAndKnowsTheLag) {
  const std::string folder = EmptyTestFolder();
  for (const char* name : {"BAMI1_10", "BAMI1_5", "BAMI1_2"}) {
    WriteRecording(folder + "/" + name + ".mat");
  }
  const auto recordings = ReadBami(folder);
  ASSERT_TRUE(recordings.ok()) << recordings.status();
  ASSERT_EQ(recordings->size(), 3u);
  EXPECT_EQ((*recordings)[0].name, "BAMI1_2");
  EXPECT_EQ((*recordings)[2].name, "BAMI1_10");
  EXPECT_EQ((*recordings)[0].subject, "BAMI1_2");
  EXPECT_EQ((*recordings)[0].lag_s, -1);
  EXPECT_EQ((*recordings)[0].bpm, std::vector<double>(7, 90));
  EXPECT_EQ((*recordings)[0].known_bad, "");
  EXPECT_NE((*recordings)[1].known_bad, "");
  EXPECT_DOUBLE_EQ((*recordings)[0].channels[2][0], 2);
}

TEST(PrepareBami, LeavesOutWhatLiesBeforeTheStartAndWhatIsKnownToBeWrong) {
  const std::string folder = EmptyTestFolder();
  WriteRecording(folder + "/BAMI1_1.mat");
  WriteRecording(folder + "/BAMI1_25.mat");
  const auto d = PrepareBami(folder, {});
  ASSERT_TRUE(d.ok()) << d.status();
  EXPECT_EQ(d->subjects, std::vector<std::string>{"BAMI1_1"});
  EXPECT_EQ(d->windows_count, 6);
  EXPECT_EQ(d->start_s_W, (std::vector<float>{1, 3, 5, 7, 9, 11}));
  EXPECT_EQ(d->metadata.at("lag_s"), R"({"BAMI1_1":"-1"})");
  EXPECT_THAT(d->metadata.at("windows_left_out"), HasSubstr("1 beyond the recording's ends"));
  EXPECT_THAT(d->metadata.at("recordings_left_out"), HasSubstr("BAMI1_25"));

  PrepareOptions all;
  all.leave_out.emplace();
  all.lag_s = 0;
  all.channels = {"3", "ppg1"};
  const auto whole = PrepareBami(folder, all);
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->windows_count, 14);
  EXPECT_EQ(whole->channels, (std::vector<std::string>{"ppg3", "ppg1"}));
  EXPECT_EQ(whole->metadata.count("lag_s"), 0u);
}

TEST(ReadBami, SaysWhichFileIsWrongAndHow) {
  const std::string folder = EmptyTestFolder();
  const auto error = [&] { return MessageOf(ReadBami(folder).status()); };
  EXPECT_THAT(error(), HasSubstr("expected files such as BAMI1_1.mat"));
  const std::string path = folder + "/BAMI1_1.mat";
  WriteRecording(path, 2);
  EXPECT_THAT(error(), AllOf(HasSubstr(path), HasSubstr("'rawPPG' has 2 rows")));
  WriteRecording(path, 3, 5);
  EXPECT_THAT(error(), AllOf(HasSubstr(path), HasSubstr("'bpm_ecg' has 5 rows"),
                             HasSubstr("each of the 7 windows")));
  WriteMat(path, "rawPPG", 3, 1000, std::vector<double>(3000, 1));
  EXPECT_THAT(error(), HasSubstr(path + ": no variable 'bpm_ecg'; it holds: rawPPG"));
  WriteRecording(path);
  WriteBytes(path, ReadBytes(path).substr(0, 900));
  EXPECT_THAT(error(), HasSubstr(path + ": damaged or cut short"));
}

TEST(PrepareBami, HasTheKnownFloorsOnTheRealRecordings) {
  if (!std::filesystem::exists(kRecordings)) {
    GTEST_SKIP() << "SKIPPED: no real recordings at " << kRecordings;
  }
  const auto d = PrepareBami(kRecordings, {});
  ASSERT_TRUE(d.ok()) << d.status();
  const auto facts = Summarize(*d).all;
  std::cout << DescribeDataset(*d);
  EXPECT_EQ(d->subjects.size(), 22u);
  // 8124 labels of 22 recordings, without the first of each, whose window begins before the signal.
  EXPECT_EQ(facts.windows, 8102);
  EXPECT_NEAR(facts.mean_floor_bpm, 20.3, 0.1);
  // Known from computations with NumPy and SciPy.
  EXPECT_NEAR(facts.fft_all_channels_floor_bpm, 29.6, 0.2);
}

}  // namespace
}  // namespace retort
