#include "client/data/signal.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>

namespace retort {
namespace {

// From tests/golden/signal_reference.py (SciPy).
nlohmann::json Reference() {
  std::ifstream file(RETORT_SOURCE_DIR "/tests/golden/signal_reference.json");
  return nlohmann::json::parse(file);
}

// The same formula stands in that script.
std::vector<double> TestSignal(int n, double rate) {
  std::vector<double> x(n);
  for (int i = 0; i < n; ++i) {
    const double t = i / rate, w = 2 * std::numbers::pi * t;
    x[i] = std::sin(1.3 * w) + 0.4 * std::sin(2.6 * w + 0.5) + 0.7 * std::sin(7 * w) +
           0.2 * std::sin(30 * w) + 3.0 + 0.05 * t * t;
  }
  return x;
}

std::vector<double> Sine(double hz, double rate, int n) {
  std::vector<double> x(n);
  for (int i = 0; i < n; ++i) x[i] = std::sin(2 * std::numbers::pi * hz * i / rate);
  return x;
}

void ExpectNear(const std::vector<double>& got, const std::vector<double>& wanted, double tolerance,
                const std::string& what) {
  ASSERT_EQ(got.size(), wanted.size()) << what;
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], wanted[i], tolerance) << what << " at " << i;
  }
}

// Coefficients are about 1 but for the gain, 1e-4 and less: hence relative there.
TEST(ButterworthBandPass, HasTheSectionsOfSciPy) {
  const auto reference = Reference();
  ASSERT_EQ(reference["designs"].size(), 4u);
  for (const auto& design : reference["designs"]) {
    const auto sos = ButterworthBandPass(design["order"], design["low_hz"], design["high_hz"],
                                         design["rate_hz"]);
    const auto& wanted = design["sos"];
    ASSERT_EQ(sos.size(), wanted.size());
    for (size_t s = 0; s < sos.size(); ++s) {
      for (size_t i = 0; i < 6; ++i) {
        const double value = wanted[s][i];
        EXPECT_NEAR(sos[s][i], value, 1e-9 * std::abs(value)) << design << " section " << s;
      }
    }
  }
}

TEST(Filter, GivesTheNumbersOfSciPy) {
  const auto reference = Reference();
  const auto x = TestSignal(1500, 125);
  const auto sos = ButterworthBandPass(4, 0.5, 4, 125);
  ExpectNear(FilterZeroPhase(sos, x), reference["zero_phase"], 1e-8, "zero phase");
  ExpectNear(FilterCausal(sos, x), reference["causal"], 1e-8, "causal");
}

TEST(Filter, PassesTheBandAndStopsTheRest) {
  const auto sos = ButterworthBandPass(4, 0.5, 4, 125);
  const auto gain = [&](double hz) {
    const auto y = FilterZeroPhase(sos, Sine(hz, 125, 5000));
    double peak = 0;
    for (size_t i = 1500; i < 3500; ++i) peak = std::max(peak, std::abs(y[i]));
    return peak;
  };
  EXPECT_NEAR(gain(1.5), 1, 0.01);
  EXPECT_NEAR(gain(0.5), 0.5, 0.02);  // 3 dB in each direction
  EXPECT_NEAR(gain(4.0), 0.5, 0.02);
  EXPECT_LT(gain(0.1), 1e-3);
  EXPECT_LT(gain(12), 1e-3);
}

TEST(Filter, CausalDoesNotSeeTheFuture) {
  const auto sos = ButterworthBandPass(4, 0.5, 4, 125);
  auto x = TestSignal(1000, 125);
  const auto before = FilterCausal(sos, x);
  x[600] += 100;
  const auto after = FilterCausal(sos, x);
  for (int i = 0; i < 600; ++i) ASSERT_EQ(before[i], after[i]) << i;
  EXPECT_NE(before[600], after[600]);
}

TEST(Filter, TakesAConstantForAConstant) {
  const auto sos = ButterworthBandPass(4, 0.5, 4, 125);
  for (double value : FilterCausal(sos, std::vector<double>(500, 1000.0))) {
    ASSERT_NEAR(value, 0, 1e-6);
  }
}

TEST(Resample, GivesTheNumbersOfSciPy) {
  const auto x = TestSignal(1500, 125);
  const auto reference = Reference();
  ASSERT_EQ(reference["resampled"].size(), 3u);
  for (const auto& wanted : reference["resampled"]) {
    ExpectNear(Resample(x, wanted["up"], wanted["down"]), wanted["values"], 1e-9,
               wanted["up"].dump());
  }
}

TEST(Resample, StopsWhatWouldFoldBackAndKeepsTheRest) {
  const auto folded = Resample(Sine(24, 125, 2000), 25, 125);  // would appear at 1 Hz
  const auto kept = Resample(Sine(3, 125, 2000), 25, 125);
  ASSERT_EQ(kept.size(), 400u);
  const auto wanted = Sine(3, 25, 400);
  for (int i = 20; i < 380; ++i) {
    EXPECT_LT(std::abs(folded[i]), 0.01);
    EXPECT_NEAR(kept[i], wanted[i], 0.01);
  }
}

TEST(ZScore, HasMeanZeroAndDeviationOne) {
  std::vector<float> x{1, 2, 3, 4};
  ZScore(x);
  double sum = 0, squares = 0;
  for (float value : x) sum += value, squares += value * value;
  EXPECT_NEAR(sum, 0, 1e-6);
  EXPECT_NEAR(squares, 4, 1e-5);
}

TEST(ZScore, MakesAConstantZero) {
  for (const float value : {0.0F, 7.7F, -1e6F}) {
    std::vector<float> x(200, value);
    ZScore(x);
    EXPECT_EQ(x, std::vector<float>(200, 0));
  }
}

TEST(PeakHeartRate, FindsTheStrongestOfTwoSines) {
  const PeakHeartRate peak(200, 25);
  for (const int bpm : {45, 72, 120, 180, 205}) {
    std::vector<float> x(200);
    for (int i = 0; i < 200; ++i) {
      const double turn = 2 * std::numbers::pi * i / 25.0;
      x[i] = static_cast<float>(std::sin(turn * bpm / 60) + 0.5 * std::sin(turn * 1.6 + 1));
    }
    EXPECT_NEAR(peak(x), bpm, 2) << bpm;
  }
}

TEST(PeakHeartRate, AddsThePowersOfChannels) {
  const PeakHeartRate peak(200, 25);
  std::vector<float> x(400);
  for (int i = 0; i < 200; ++i) {
    const double turn = 2 * std::numbers::pi * i / 25.0;
    x[i] = static_cast<float>(std::sin(turn * 2) + 1.3 * std::sin(turn));  // 120, and 60 more
    x[200 + i] = static_cast<float>(std::sin(turn * 2) + 1.3 * std::sin(turn * 3));  // and 180 more
  }
  EXPECT_NEAR(peak(std::span(x).first(200)), 60, 1);
  EXPECT_NEAR(peak(std::span(x).last(200)), 180, 1);
  EXPECT_NEAR(peak(x), 120, 1);
}

TEST(PeakHeartRate, OfNothingIsTheLowest) {
  EXPECT_EQ(PeakHeartRate(200, 25)(std::vector<float>(200, 0)), 30);
}

}  // namespace
}  // namespace retort
