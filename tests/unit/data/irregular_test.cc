#include "client/data/irregular.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/status.h"

namespace retort {
namespace {

using testing::HasSubstr;

TEST(ToRegular, GivesTheNumbersOfSciPy) {
  std::ifstream file(RETORT_SOURCE_DIR "/tests/golden/signal_reference.json");
  const auto wanted = nlohmann::json::parse(file)["irregular"];
  const auto got = ToRegular(wanted["time_s"], {wanted["x"]}, 0, 0.125);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->rate_hz, 100);
  ASSERT_EQ(got->channels[0].size(), wanted["values"].size());
  for (size_t i = 0; i < wanted["values"].size(); ++i) {
    EXPECT_NEAR(got->channels[0][i], wanted["values"][i].get<double>(), 1e-12) << i;
  }
}

TEST(ToRegular, KeepsARegularSignalThoughItsTimesAreRounded) {
  std::vector<double> time_s, x;
  for (int i = 0; i < 1000; ++i) {
    time_s.push_back(std::round(i / 125.0 * 100) / 100);
    x.push_back(i * i % 17);
  }
  const auto got = ToRegular(time_s, {x}, 0, 0.125);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->rate_hz, 125);
  EXPECT_EQ(got->channels[0], x);
}

// Never over a gap, and never over a sample that is none.
TEST(ToRegular, FillsNoGap) {
  std::vector<double> time_s, x, y;
  for (int i = 0; i < 90; ++i) {
    if (i > 30 && i < 36) continue;  // 1.0 to 1.2 s
    time_s.push_back(i / 30.0);
    x.push_back(i);
    y.push_back(i == 60 ? std::nan("") : 1.0);
  }
  const auto got = ToRegular(time_s, {x, y}, 0, 0.125);
  ASSERT_TRUE(got.ok()) << got.status();
  for (size_t k = 0; k < got->channels[0].size(); ++k) {
    const double t = static_cast<double>(k) / 100;
    EXPECT_EQ(std::isnan(got->channels[0][k]), t > 1.0 && t < 1.2) << t;
    EXPECT_EQ(std::isnan(got->channels[1][k]), (t > 1.0 && t < 1.2) || (t > 1.967 && t < 2.033)) << t;
  }
  const auto wider = ToRegular(time_s, {x}, 0, 0.25);
  EXPECT_NEAR(wider->channels[0][110], 33, 0.01);
}

TEST(ToRegular, StartsAtTheOrigin) {
  const auto got = ToRegular({0.5, 0.54, 0.6, 0.63, 0.68}, {{1, 2, 3, 4, 5}}, 0, 0.125);
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->channels[0].size(), 69u);
  EXPECT_TRUE(std::isnan(got->channels[0][49]));
  EXPECT_DOUBLE_EQ(got->channels[0][50], 1);
  EXPECT_NEAR(got->channels[0][68], 5, 1e-12);
}

TEST(ToRegular, SaysWhatIsWrongWithTimes) {
  const auto error = [](std::vector<double> time_s) {
    const std::vector<double> x(time_s.size());
    return MessageOf(ToRegular(time_s, {x}, 0, 0.125).status());
  };
  EXPECT_THAT(error({0}), HasSubstr("1 samples; must have at least 2"));
  EXPECT_THAT(error({0, 0.04, 0.03}), HasSubstr("sample 3 is 0.03 s, behind one at 0.04"));
  EXPECT_THAT(error({0, std::nan(""), 1}), HasSubstr("sample 2 is nan"));
  EXPECT_THAT(error({0, 1e-7, 2e-7}), HasSubstr("must be in seconds"));
  EXPECT_THAT(error({0, 1, 1e12}), HasSubstr("must be in seconds"));
}

}  // namespace
}  // namespace retort
