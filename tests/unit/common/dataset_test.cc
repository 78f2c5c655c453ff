#include "common/spec/dataset.h"

#include <gtest/gtest.h>

#include <limits>

namespace retort {
namespace {

Dataset Small() {
  Dataset d;
  d.windows_count = 3;
  d.channels_count = 2;
  d.samples = 4;
  d.windows_WCL.assign(24, 0.5f);
  d.bpm_W = {60, 70, 80};
  d.subject_W = {0, 0, 1};
  d.fft_bpm_WC = {60, 61, 70, 71, 80, 81};
  d.start_s_W = {0, 2, 0};
  d.recording_W = {0, 0, 1};
  d.subjects = {"ann", "bob"};
  d.recordings = {"r1", "r2"};
  d.channels = {"ppg1", "ppg2"};
  d.metadata = {{"rate_hz", "25"}, {"source", "a test"}};
  return d;
}

TEST(Dataset, ReadsBackWhatItWritesBitByBit) {
  const std::string bytes = SerializeDataset(Small());
  const auto read = ParseDataset(bytes, "f");
  ASSERT_TRUE(read.ok()) << read.error();
  EXPECT_EQ(SerializeDataset(*read), bytes);
  EXPECT_EQ(read->subjects, Small().subjects);
  EXPECT_EQ(read->metadata.at("source"), "a test");
}

TEST(Dataset, RefusesWhatTrainingWouldChokeOn) {
  const auto refused = [](auto change) {
    Dataset d = Small();
    change(d);
    const auto read = ParseDataset(SerializeDataset(d), "f");
    return read.ok() ? std::string("accepted") : read.error();
  };
  EXPECT_NE(refused([](auto& d) { d.bpm_W[1] = 500; }).find("bpm is 500"), std::string::npos);
  EXPECT_NE(
      refused([](auto& d) { d.bpm_W[1] = std::numeric_limits<float>::quiet_NaN(); }).find("bpm is"),
      std::string::npos);
  EXPECT_NE(refused([](auto& d) { d.subject_W[2] = 2; }).find("subject is 2 at window 2"),
            std::string::npos);
  EXPECT_NE(refused([](auto& d) { d.subject_W[2] = 0; }).find("'bob' has no window"),
            std::string::npos);
  EXPECT_NE(refused([](auto& d) { d.subjects[1] = "ann"; }).find("twice"), std::string::npos);
  EXPECT_NE(refused([](auto& d) {
              d.windows_WCL[5] = std::numeric_limits<float>::infinity();
            }).find("finite"),
            std::string::npos);
  EXPECT_NE(refused([](auto& d) { d.channels.pop_back(); }).find("channels"), std::string::npos);
}

TEST(Dataset, SaysHowToMakeOneWhenTheFileIsSomethingElse) {
  EXPECT_NE(ReadDataset(std::string(RETORT_SOURCE_DIR) + "/README.md").error().find("safetensors"),
            std::string::npos);
  EXPECT_NE(ReadDataset("/no/such/file").error().find("/no/such/file"), std::string::npos);
  EXPECT_FALSE(ReadDataset(RETORT_SOURCE_DIR).ok()) << "a folder";
}

}  // namespace
}  // namespace retort
