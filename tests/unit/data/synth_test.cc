#include "client/data/synth.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "client/data/describe.h"
#include "client/data/random.h"
#include "common/status.h"

namespace retort {
namespace {

using testing::HasSubstr;

SynthOptions Quick() {
  SynthOptions options;
  options.subjects = 3;
  options.minutes = 1;
  return options;
}

// From the published algorithms, written again in Python.
TEST(Random, GivesTheNumbersOfItsReference) {
  Random random(1, 2);
  for (const uint64_t wanted : {0xf0af956594200c45U, 0x326129ba704186f8U, 0xcf6abe707de6f972U}) {
    EXPECT_EQ(random.Next(), wanted);
  }
  EXPECT_NE(Random(1, 3).Next(), Random(1, 2).Next());
  EXPECT_NE(Random(2, 2).Next(), Random(1, 2).Next());
}

TEST(Random, IsUniformAndNormal) {
  Random random(7, 0);
  double sum = 0, normal = 0, squares = 0;
  constexpr int kDraws = 100'000;
  for (int i = 0; i < kDraws; ++i) {
    const double u = random.Uniform();
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
    const double z = random.Normal();
    normal += z;
    squares += z * z;
  }
  EXPECT_NEAR(sum / kDraws, 0.5, 0.005);
  EXPECT_NEAR(normal / kDraws, 0, 0.02);
  EXPECT_NEAR(squares / kDraws, 1, 0.02);
}

TEST(Synthesize, GivesTheSameBytesForTheSameSeed) {
  auto options = Quick();
  const auto bytes = SerializeDataset(*Synthesize(options));
  EXPECT_EQ(SerializeDataset(*Synthesize(options)), bytes);
  options.seed = 1;
  EXPECT_NE(SerializeDataset(*Synthesize(options)), bytes);
}

TEST(Synthesize, KeepsSubjectsWhenMoreAreAsked) {
  auto options = Quick();
  const auto three = SynthesizeRecordings(options);
  options.subjects = 4;
  const auto four = SynthesizeRecordings(options);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ((*three)[i].channels, (*four)[i].channels);
    EXPECT_EQ((*three)[i].bpm, (*four)[i].bpm);
  }
  EXPECT_NE((*four)[2].bpm, (*four)[3].bpm);
}

TEST(Synthesize, HasSizesAndHeartRatesAsAsked) {
  auto options = Quick();
  options.channels = 3;
  const auto d = Synthesize(options);
  ASSERT_TRUE(d.ok()) << d.status();
  EXPECT_EQ(d->subjects.size(), 3u);
  EXPECT_EQ(d->channels, (std::vector<std::string>{"ppg1", "ppg2", "ppg3"}));
  EXPECT_EQ(d->windows_count, 3 * 27);
  for (float bpm : d->bpm_W) {
    EXPECT_GE(bpm, 50);
    EXPECT_LE(bpm, 190);
  }
}

// Neighbouring windows share 6 s, so that their references differ little.
TEST(Synthesize, HeartRatesAreSmooth) {
  auto options = Quick();
  options.minutes = 5;
  const auto recordings = SynthesizeRecordings(options);
  for (const auto& recording : *recordings) {
    for (size_t i = 1; i < recording.bpm.size(); ++i) {
      ASSERT_LT(std::abs(recording.bpm[i] - recording.bpm[i - 1]), 12);
    }
  }
}

// The reference is right: without motion the strongest spectral peak is the heart rate.
TEST(Synthesize, ReferencesAreThoseOfThePulses) {
  auto options = Quick();
  options.motion = 0;
  options.subjects = 12;
  EXPECT_LT(Summarize(*Synthesize(options)).all.fft_floor_bpm, 1.5);
}

TEST(Synthesize, IsAboutAsHardAsRealData) {
  for (const uint64_t seed : {0, 1, 2}) {
    SynthOptions options;
    options.seed = seed;
    const auto facts = Summarize(*Synthesize(options)).all;
    EXPECT_GT(facts.mean_floor_bpm, 16) << seed;
    EXPECT_LT(facts.mean_floor_bpm, 26) << seed;
    EXPECT_GT(facts.fft_floor_bpm, 8) << seed;
    EXPECT_LT(facts.fft_floor_bpm, 19) << seed;
  }
}

TEST(Synthesize, SaysWhichOptionIsOutOfRange) {
  const auto refused = [](auto change) {
    auto options = Quick();
    change(options);
    const auto status = Synthesize(options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return MessageOf(status);
  };
  EXPECT_THAT(refused([](auto& o) { o.subjects = 0; }), HasSubstr("subjects is 0; must be from 1"));
  EXPECT_THAT(refused([](auto& o) { o.minutes = 0.1; }), HasSubstr("minutes is 0.1"));
  EXPECT_THAT(refused([](auto& o) { o.channels = 9; }), HasSubstr("channels is 9"));
  EXPECT_THAT(refused([](auto& o) { o.motion = -1; }), HasSubstr("motion is -1"));
  EXPECT_THAT(refused([](auto& o) { o.prepare.low_hz = 9; }), HasSubstr("the band is 9"));
}

}  // namespace
}  // namespace retort
