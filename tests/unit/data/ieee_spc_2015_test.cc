#include "client/data/ieee_spc_2015.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <iostream>

#include "client/data/describe.h"
#include "common/status.h"
#include "tests/unit/data/mat_test_files.h"

namespace retort {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr char kRecordings[] = RETORT_SOURCE_DIR "/../shared/data/ieee_spc_2015";

// `rows` rows of N samples; row r is a sine of r + 1 times the amplitude.
std::vector<double> Signals(int rows, int samples) {
  std::vector<double> values(static_cast<size_t>(rows) * samples);
  for (int i = 0; i < samples; ++i) {
    for (int r = 0; r < rows; ++r) values[i * rows + r] = (r + 1) * std::sin(i * 0.08);
  }
  return values;
}

// 20 s: 7 windows.
void WriteRecording(const std::string& folder, const std::string& name, const std::string& labels,
                    int rows = 6) {
  WriteMat(folder + "/" + name, "sig", rows, 2500, Signals(rows, 2500));
  WriteMat(folder + "/" + labels, "BPM0", 7, 1, {90, 91, 92, 93, 94, 95, 250});
}

std::string ErrorOf(const std::string& folder) {
  return MessageOf(ReadIeeeSpc2015(folder).status());
}

TEST(ReadIeeeSpc2015, FindsRecordingsAndLabelsUnderAllTheirNames) {
  const std::string folder = EmptyTestFolder();
  std::filesystem::create_directories(folder + "/Training_data");
  std::filesystem::create_directories(folder + "/TestData/TrueBPM");
  WriteRecording(folder + "/Training_data", "DATA_01_TYPE01.mat", "DATA_01_TYPE01_BPMtrace.mat");
  WriteRecording(folder + "/Training_data", "DATA_02_TYPE02.mat", "REF_02_TYPE02.mat");
  WriteRecording(folder + "/TestData", "TEST_S03_T01.mat", "TrueBPM/True_S03_T01.mat", 5);
  WriteRecording(folder + "/TestData", "TEST_S03_T02.mat", "TrueBPM/True_S03_T02.mat", 5);
  const auto recordings = ReadIeeeSpc2015(folder);
  ASSERT_TRUE(recordings.ok()) << recordings.status();
  ASSERT_EQ(recordings->size(), 4u);
  EXPECT_EQ((*recordings)[0].name, "DATA_01_TYPE01");
  EXPECT_EQ((*recordings)[0].subject, "train01");
  EXPECT_EQ((*recordings)[1].subject, "train02");
  EXPECT_EQ((*recordings)[2].subject, "test03");
  EXPECT_EQ((*recordings)[3].subject, "test03");
  // PPG lies behind the ECG where there is one.
  EXPECT_DOUBLE_EQ((*recordings)[0].channels[0][10], 2 * std::sin(0.8));
  EXPECT_DOUBLE_EQ((*recordings)[0].channels[1][10], 3 * std::sin(0.8));
  EXPECT_DOUBLE_EQ((*recordings)[2].channels[0][10], 1 * std::sin(0.8));
  EXPECT_EQ((*recordings)[0].bpm.size(), 7u);
}

TEST(ReadIeeeSpc2015, SaysThatThereIsNoFolderOrRecording) {
  const std::string folder = EmptyTestFolder();
  EXPECT_THAT(ErrorOf(folder + "/none"), HasSubstr(folder + "/none: no such folder"));
  EXPECT_THAT(ErrorOf(folder), HasSubstr("expected files such as DATA_01_TYPE01.mat"));
  WriteBytes(folder + "/file", "x");
  EXPECT_THAT(ErrorOf(folder + "/file"), HasSubstr("not a folder"));
}

TEST(ReadIeeeSpc2015, SaysWhichFileIsWrongAndHow) {
  const std::string folder = EmptyTestFolder();
  const std::string data = folder + "/DATA_01_TYPE01.mat", labels = folder + "/REF_01_TYPE01.mat";
  const std::vector<double> bpm(7, 90);
  const auto refused = [&](auto change) {
    WriteRecording(folder, "DATA_01_TYPE01.mat", "REF_01_TYPE01.mat");
    change();
    return ErrorOf(folder);
  };
  EXPECT_THAT(
      refused([&] { std::filesystem::remove(labels); }),
      AllOf(HasSubstr(data), HasSubstr("DATA_01_TYPE01_BPMtrace.mat or REF_01_TYPE01.mat")));
  EXPECT_THAT(refused([&] { WriteMat(data, "signal", 6, 2500, Signals(6, 2500)); }),
              HasSubstr(data + ": no variable 'sig'; it holds: signal"));
  EXPECT_THAT(refused([&] { WriteMat(data, "sig", 5, 2500, Signals(5, 2500)); }),
              HasSubstr(data + ": variable 'sig' has 5 rows and 2500 columns; must have 6 rows"));
  EXPECT_THAT(refused([&] { WriteMat(data, "sig", 6, 999, Signals(6, 999)); }),
              HasSubstr("has 999 samples; one window takes 1000"));
  EXPECT_THAT(refused([&] {
                auto values = Signals(6, 2500);
                values[6 * 41 + 2] = std::nan("");
                WriteMat(data, "sig", 6, 2500, values);
              }),
              HasSubstr(data + ": variable 'sig' is nan in row 3 (PPG 2), column 42"));
  EXPECT_THAT(refused([&] { WriteMat(labels, "BPM", 7, 1, bpm); }),
              HasSubstr(labels + ": no variable 'BPM0'"));
  EXPECT_THAT(refused([&] { WriteMat(labels, "BPM0", 6, 1, std::vector<double>(6, 90)); }),
              AllOf(HasSubstr(labels + ": variable 'BPM0' has 6 rows"), HasSubstr("have 7 rows")));
  for (const double bad : {19.9, 250.1, std::nan("")}) {
    EXPECT_THAT(refused([&] {
                  auto values = bpm;
                  values[4] = bad;
                  WriteMat(labels, "BPM0", 7, 1, values);
                }),
                AllOf(HasSubstr(labels), HasSubstr("at label 5; must be from 20 to 250 BPM")));
  }
  EXPECT_THAT(refused([&] { WriteBytes(data, ReadBytes(data).substr(0, 5000)); }),
              HasSubstr(data + ": damaged or cut short"));
  EXPECT_EQ(refused([] {}), "");
}

TEST(ReadIeeeSpc2015, RefusesTheSameRecordingTwice) {
  const std::string folder = EmptyTestFolder();
  std::filesystem::create_directories(folder + "/copy");
  WriteRecording(folder, "DATA_01_TYPE01.mat", "REF_01_TYPE01.mat");
  WriteRecording(folder + "/copy", "DATA_01_TYPE01.mat", "REF_01_TYPE01.mat");
  EXPECT_THAT(ErrorOf(folder), AllOf(HasSubstr("more than once"), HasSubstr("/copy/DATA_01")));
}

TEST(PrepareIeeeSpc2015, TakesLabelsBeyondTheClasses) {
  const std::string folder = EmptyTestFolder();
  WriteRecording(folder, "DATA_01_TYPE01.mat", "REF_01_TYPE01.mat");
  const auto d = PrepareIeeeSpc2015(folder, {});
  ASSERT_TRUE(d.ok()) << d.status();
  EXPECT_EQ(d->bpm_W.back(), 250);
  EXPECT_EQ(d->metadata.at("name"), "ieee-spc-2015");
  EXPECT_THAT(d->metadata.at("citation"), HasSubstr("62(2)"));
}

TEST(PrepareIeeeSpc2015, HasTheKnownFloorsOnTheRealRecordings) {
  if (!std::filesystem::exists(kRecordings)) {
    GTEST_SKIP() << "SKIPPED: no real recordings at " << kRecordings;
  }
  const auto start = std::chrono::steady_clock::now();
  const auto d = PrepareIeeeSpc2015(kRecordings, {});
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(d.ok()) << d.status();
  const auto facts = Summarize(*d).all;
  std::cout << DescribeDataset(*d) << "prepared in " << took.count() << " s\n";
  EXPECT_EQ(d->subjects.size(), 12u);
  EXPECT_EQ(facts.windows, 1768);
  // Known from computations with NumPy and SciPy: 19.9, 14.5, and 19.0 for single channels.
  EXPECT_NEAR(facts.mean_floor_bpm, 19.9, 0.1);
  EXPECT_NEAR(facts.fft_all_channels_floor_bpm, 14.5, 0.2);
  EXPECT_NEAR(facts.fft_floor_bpm, 19.0, 0.2);
}

TEST(PrepareIeeeSpc2015, RefusesARealRecordingCutShort) {
  const std::string original = std::string(kRecordings) + "/Training_data/DATA_01_TYPE01.mat";
  if (!std::filesystem::exists(original))
    GTEST_SKIP() << "SKIPPED: no real recordings at " << original;
  const std::string folder = EmptyTestFolder();
  const std::string whole = ReadBytes(original);
  for (size_t size = 0; size < whole.size(); size += 1 + whole.size() / 60) {
    WriteBytes(folder + "/DATA_01_TYPE01.mat", std::string_view(whole).substr(0, size));
    WriteMat(folder + "/REF_01_TYPE01.mat", "BPM0", 1, 1, {80});
    EXPECT_THAT(ErrorOf(folder), HasSubstr("DATA_01_TYPE01.mat: damaged or cut short")) << size;
  }
}

}  // namespace
}  // namespace retort
