#include "client/data/lag.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "client/data/bami.h"
#include "client/data/ieee_spc_2015.h"
#include "client/data/synth.h"
#include "tests/unit/data/mat_test_files.h"

namespace retort {
namespace {

using testing::HasSubstr;

const std::string kReal = RETORT_SOURCE_DIR "/../shared/data/";

std::map<std::string, double> ClearLags(const Dataset& dataset) {
  std::map<std::string, double> lags;
  for (const LabelLag& lag : EstimateLags(dataset)) {
    if (lag.clear) lags[lag.recording] = lag.lag_s;
  }
  return lags;
}

TEST(EstimateLags, FindsLabelsThatWereMovedAndNoOthers) {
  SynthOptions options;
  options.subjects = 4;
  options.minutes = 10;
  options.motion = 0.5;
  auto recordings = SynthesizeRecordings(options);
  ASSERT_TRUE(recordings.ok()) << recordings.status();
  // Labels of the second person come 6 s too early: label i is of window i + 3.
  auto& bpm = (*recordings)[1].bpm;
  bpm.erase(bpm.begin(), bpm.begin() + 3);
  const auto early = PrepareRecordings(*recordings, {"ppg1", "ppg2"}, {});
  ASSERT_TRUE(early.ok()) << early.status();
  const auto lags = ClearLags(*early);
  ASSERT_EQ(lags.size(), 1u);
  EXPECT_NEAR(lags.at((*recordings)[1].name), 6, 1);
  EXPECT_THAT(DescribeLags(EstimateLags(*early)), HasSubstr((*recordings)[1].name));
}

TEST(EstimateLags, SaysNothingOfShortRecordings) {
  SynthOptions options;
  options.subjects = 2;
  options.minutes = 1;
  EXPECT_TRUE(EstimateLags(*Synthesize(options)).empty());
  EXPECT_EQ(DescribeLags({}), "");
}

TEST(EstimateLags, FindsTheMisalignedRecordingsOfBami) {
  if (!std::filesystem::exists(kReal + "bami-1")) {
    GTEST_SKIP() << "SKIPPED: no real recordings at " << kReal;
  }
  PrepareOptions all;
  all.leave_out.emplace();
  all.lag_s = 0;
  const auto lags = ClearLags(*PrepareBami(kReal + "bami-1", all));
  ASSERT_EQ(lags.count("BAMI1_5") + lags.count("BAMI1_15") + lags.count("BAMI1_25"), 3u);
  EXPECT_NEAR(lags.at("BAMI1_5"), 8, 1);
  EXPECT_NEAR(lags.at("BAMI1_15"), -7, 1);
  EXPECT_NEAR(lags.at("BAMI1_25"), 3, 1);
}

TEST(EstimateLags, DoesNotCryWolf) {
  if (!std::filesystem::exists(kReal + "ieee_spc_2015")) {
    GTEST_SKIP() << "SKIPPED: no real recordings at " << kReal;
  }
  EXPECT_TRUE(ClearLags(*PrepareIeeeSpc2015(kReal + "ieee_spc_2015", {})).empty());
}

}  // namespace
}  // namespace retort
