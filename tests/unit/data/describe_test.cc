#include "client/data/describe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace retort {
namespace {

using testing::HasSubstr;

Dataset TwoSubjects() {
  Dataset d;
  d.windows_count = 4;
  d.channels_count = 2;
  d.samples = 200;
  d.windows_WCL.assign(4 * 2 * 200, 0);
  d.bpm_W = {60, 70, 100, 120};
  d.subject_W = {0, 0, 1, 1};
  d.fft_bpm_WC = {60, 64, 70, 70, 100, 90, 110, 120};
  d.start_s_W = {0, 2, 0, 2};
  d.recording_W = {0, 0, 1, 1};
  d.subjects = {"ann", "bob"};
  d.recordings = {"r1", "r2"};
  d.channels = {"ppg1", "ppg2"};
  d.metadata = {{"source", "a test"}};
  return d;
}

TEST(Summarize, HasFloorsBySubject) {
  const auto summary = Summarize(TwoSubjects());
  EXPECT_EQ(summary.all.windows, 4);
  EXPECT_DOUBLE_EQ(summary.all.mean_bpm, 87.5);
  EXPECT_DOUBLE_EQ(summary.all.fft_floor_bpm, (2 + 0 + 5 + 5) / 4.0);
  ASSERT_EQ(summary.subjects.size(), 2u);
  EXPECT_EQ(summary.subjects[0].subject, "ann");
  // Ann's windows are predicted by Bob's mean, 110, and his by hers, 65.
  EXPECT_DOUBLE_EQ(summary.subjects[0].facts.mean_floor_bpm, 45);
  EXPECT_DOUBLE_EQ(summary.subjects[1].facts.mean_floor_bpm, 45);
  EXPECT_DOUBLE_EQ(summary.subjects[1].facts.fft_floor_bpm, 5);
  EXPECT_DOUBLE_EQ(summary.subjects[1].facts.min_bpm, 100);
  EXPECT_DOUBLE_EQ(summary.subjects[1].facts.max_bpm, 120);
  // Flat windows peak at 30.
  EXPECT_DOUBLE_EQ(summary.subjects[0].facts.fft_all_channels_floor_bpm, 35);
}

TEST(Summarize, PredictsAnOnlySubjectByItself) {
  auto d = TwoSubjects();
  d.subject_W = {0, 0, 0, 0};
  d.subjects = {"ann"};
  EXPECT_DOUBLE_EQ(Summarize(d).all.mean_floor_bpm, (27.5 + 17.5 + 12.5 + 32.5) / 4);
}

TEST(DescribeDataset, NamesSizesMetadataAndFloors) {
  const auto text = DescribeDataset(TwoSubjects());
  EXPECT_THAT(text, HasSubstr("4 windows of 200 samples, channels ppg1 ppg2, 2 subjects"));
  EXPECT_THAT(text, HasSubstr("source: a test\n"));
  EXPECT_THAT(text, HasSubstr("\nann "));
  EXPECT_THAT(text, HasSubstr("mean floor"));
}

}  // namespace
}  // namespace retort
