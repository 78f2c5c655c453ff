#include "client/data/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "common/status.h"

namespace retort {
namespace {

using testing::HasSubstr;

// 20 s at 125 Hz of two channels at 90 BPM: 7 windows.
Recording Sample(const std::string& name = "r1", const std::string& subject = "ann") {
  Recording r{name, subject, 125, std::vector(2, std::vector<double>(2500)), std::vector(7, 90.0)};
  for (int i = 0; i < 2500; ++i) {
    const double turn = 2 * std::numbers::pi * i / 125.0;
    r.channels[0][i] = 100 + 10 * std::sin(turn * 1.5) + 5 * std::sin(turn * 0.05);
    r.channels[1][i] = 3 * std::cos(turn * 1.5) + 0.1 * std::sin(turn * 20);
  }
  return r;
}

absl::StatusOr<Dataset> Prepare(const std::vector<Recording>& recordings,
                                FilterMode mode = FilterMode::kRecording) {
  PrepareOptions options;
  options.filter = mode;
  return PrepareRecordings(recordings, {"ppg1", "ppg2"}, options);
}

TEST(PrepareRecordings, CutsWindowsOfEightSecondsEveryTwo) {
  const auto d = Prepare({Sample(), Sample("r2", "bob"), Sample("r3", "ann")});
  ASSERT_TRUE(d.ok()) << d.status();
  EXPECT_EQ(d->windows_count, 21);
  EXPECT_EQ(d->samples, 200);
  EXPECT_EQ(d->subjects, (std::vector<std::string>{"ann", "bob"}));
  EXPECT_EQ(d->recordings, (std::vector<std::string>{"r1", "r2", "r3"}));
  EXPECT_EQ(d->subject_W[0], 0);
  EXPECT_EQ(d->subject_W[7], 1);
  EXPECT_EQ(d->subject_W[14], 0);
  EXPECT_EQ(d->recording_W[20], 2);
  EXPECT_EQ(d->start_s_W[6], 12);
  EXPECT_EQ(d->metadata.at("filter"), "recording");
  EXPECT_EQ(d->metadata.at("band_hz"), "0.5-4");
}

TEST(PrepareRecordings, FindsAPureSineInEveryModeAndChannel) {
  for (const auto mode : {FilterMode::kRecording, FilterMode::kWindow, FilterMode::kCausal}) {
    const auto d = Prepare({Sample()}, mode);
    ASSERT_TRUE(d.ok()) << d.status();
    // The first windows of `causal` see the filter settle.
    for (size_t i = 4; i < d->fft_bpm_WC.size(); ++i) EXPECT_NEAR(d->fft_bpm_WC[i], 90, 2);
    for (int64_t row = 0; row < 14; ++row) {
      double squares = 0;
      for (int i = 0; i < 200; ++i) squares += std::pow(d->windows_WCL[row * 200 + i], 2);
      EXPECT_NEAR(squares, 200, 0.1);
    }
  }
}

// Whether window 1 (2 to 10 s) changes with a sample at second `at_s`.
bool WindowSees(FilterMode mode, double at_s) {
  auto recording = Sample();
  const auto before = Prepare({recording}, mode);
  for (auto& channel : recording.channels) channel[static_cast<size_t>(at_s * 125)] += 50;
  const auto after = Prepare({recording}, mode);
  return !std::equal(before->windows_WCL.begin() + 400, before->windows_WCL.begin() + 800,
                     after->windows_WCL.begin() + 400);
}

TEST(PrepareRecordings, SeesBeyondTheWindowOnlyWhatItsFilterModeSays) {
  EXPECT_TRUE(WindowSees(FilterMode::kRecording, 1.9));
  EXPECT_TRUE(WindowSees(FilterMode::kRecording, 10.1));
  EXPECT_FALSE(WindowSees(FilterMode::kWindow, 1.9));
  EXPECT_TRUE(WindowSees(FilterMode::kWindow, 9.9));
  EXPECT_FALSE(WindowSees(FilterMode::kWindow, 10.0));
  EXPECT_TRUE(WindowSees(FilterMode::kCausal, 1.9));
  EXPECT_TRUE(WindowSees(FilterMode::kCausal, 9.9));
  EXPECT_FALSE(WindowSees(FilterMode::kCausal, 10.0));
}

TEST(PrepareRecordings, MakesAFlatChannelZeros) {
  auto flat = Sample();
  std::fill_n(flat.channels[1].begin() + 250, 1000, 42.1);  // seconds 2 to 10: window 1
  for (const auto mode : {FilterMode::kRecording, FilterMode::kWindow, FilterMode::kCausal}) {
    const auto d = Prepare({flat}, mode);
    ASSERT_TRUE(d.ok()) << d.status();
    const auto window = [&](int64_t w, int64_t c) {
      const auto start = d->windows_WCL.begin() + (w * 2 + c) * 200;
      return std::vector<float>(start, start + 200);
    };
    EXPECT_EQ(window(1, 1), std::vector<float>(200, 0));
    EXPECT_NE(window(1, 0), std::vector<float>(200, 0));
    EXPECT_NE(window(2, 1), std::vector<float>(200, 0));
  }
}

TEST(PrepareRecordings, SaysWhatIsWrongWithARecording) {
  const auto refused = [](auto change) {
    auto recording = Sample();
    change(recording);
    return MessageOf(Prepare({recording}).status());
  };
  EXPECT_THAT(refused([](auto& r) { r.channels.pop_back(); }),
              HasSubstr("'r1': has 1 PPG channels; must have 2"));
  EXPECT_THAT(refused([](auto& r) { r.channels[1].pop_back(); }), HasSubstr("2499 samples"));
  EXPECT_THAT(refused([](auto& r) { r.channels[1][7] = std::nan(""); }),
              HasSubstr("channel 2 is nan at sample 8"));
  EXPECT_THAT(refused([](auto& r) { r.bpm.push_back(80); }), HasSubstr("has 8 labels"));
  EXPECT_THAT(refused([](auto& r) { r.bpm.clear(); }), HasSubstr("has 0 labels"));
  EXPECT_THAT(refused([](auto& r) { r.bpm[2] = 251; }), HasSubstr("label 3 is 251 BPM"));
  EXPECT_THAT(refused([](auto& r) { r.rate_hz = 20; }), HasSubstr("rate is 20 Hz"));
  EXPECT_FALSE(Prepare({}).ok());
}

// Labels of lag -1 s take the signal from one second earlier; +2 s is the next window.
TEST(PrepareRecordings, MovesWindowsByTheLabelsLag) {
  for (const auto mode : {FilterMode::kRecording, FilterMode::kWindow, FilterMode::kCausal}) {
    auto moved = Sample();
    for (int i = 0; i < 7; ++i) moved.bpm[i] = 60 + i;
    const auto plain = Prepare({moved}, mode);
    moved.lag_s = 2;
    const auto d = Prepare({moved}, mode);
    ASSERT_TRUE(d.ok()) << d.status();
    ASSERT_EQ(d->windows_count, 6);
    EXPECT_EQ(d->bpm_W.front(), 60);
    EXPECT_EQ(d->start_s_W.front(), 2);
    EXPECT_TRUE(
        std::equal(d->windows_WCL.begin(), d->windows_WCL.end(), plain->windows_WCL.begin() + 400));
    moved.lag_s = -1;
    const auto earlier = Prepare({moved}, mode);
    ASSERT_EQ(earlier->windows_count, 6);
    EXPECT_EQ(earlier->bpm_W.front(), 61);
    EXPECT_EQ(earlier->start_s_W.front(), 1);
    EXPECT_EQ(earlier->metadata.at("windows_left_out"),
              R"({"r1":"1 beyond the recording's ends"})");
  }
  auto far = Sample();
  far.lag_s = 31;
  EXPECT_THAT(MessageOf(Prepare({far}).status()), HasSubstr("lag is 31 s"));
}

// Nothing is filled in: windows that touch a missing sample go, others are as if the recording
// began or ended there.
TEST(PrepareRecordings, LeavesOutWindowsWithMissingSamplesOrLabels) {
  auto gap = Sample();
  gap.may_miss = true;
  gap.channels[1][125 * 9] = std::nan("");  // second 9: windows 1 to 4
  gap.bpm[5] = std::nan("");
  for (const auto mode : {FilterMode::kRecording, FilterMode::kWindow, FilterMode::kCausal}) {
    const auto d = Prepare({gap, Sample("r2")}, mode);
    ASSERT_TRUE(d.ok()) << d.status();
    EXPECT_EQ(d->windows_count, 2 + 7);
    EXPECT_EQ(d->start_s_W[0], 0);
    EXPECT_EQ(d->start_s_W[1], 12);
    EXPECT_EQ(d->metadata.at("windows_left_out"),
              R"({"r1":"4 with missing samples, 1 without a label"})");
    auto cut = Sample();
    for (auto& x : cut.channels) x.resize(125 * 9);
    cut.bpm.resize(1);
    const auto before = Prepare({cut}, mode);
    EXPECT_TRUE(
        std::equal(before->windows_WCL.begin(), before->windows_WCL.end(), d->windows_WCL.begin()));
  }
  // A channel that is not kept may miss what it likes.
  PrepareOptions first;
  first.channels = {"ppg1"};
  EXPECT_EQ(PrepareRecordings({gap}, {"ppg1", "ppg2"}, first)->windows_count, 6);
  gap.channels[0][500] = gap.channels[0][1500] = gap.channels[0][2000] = std::nan("");
  EXPECT_THAT(MessageOf(Prepare({gap}).status()), HasSubstr("no window is left"));
}

TEST(PrepareOptions, ChoosesChannelsAndRecordings) {
  PrepareOptions options;
  options.channels = {"2", "ppg1"};
  options.leave_out = {"r1"};
  const auto d = PrepareRecordings({Sample(), Sample("r2", "bob")}, {"ppg1", "ppg2"}, options);
  ASSERT_TRUE(d.ok()) << d.status();
  EXPECT_EQ(d->channels, (std::vector<std::string>{"ppg2", "ppg1"}));
  EXPECT_EQ(d->recordings, std::vector<std::string>{"r2"});
  const auto plain = Prepare({Sample()});
  EXPECT_TRUE(std::equal(d->windows_WCL.begin(), d->windows_WCL.begin() + 200,
                         plain->windows_WCL.begin() + 200));
  const auto refused = [](auto change) {
    PrepareOptions wrong;
    change(wrong);
    return MessageOf(PrepareRecordings({Sample()}, {"ppg1", "ppg2"}, wrong).status());
  };
  EXPECT_THAT(refused([](auto& o) { o.channels = {"3"}; }), HasSubstr("no channel '3'"));
  EXPECT_THAT(refused([](auto& o) { o.channels = {"1", "ppg1"}; }), HasSubstr("twice"));
  EXPECT_THAT(refused([](auto& o) { o.leave_out = {"r9"}; }), HasSubstr("no recording 'r9'"));
}

TEST(PrepareOptions, RefusesABandThatIsNone) {
  const auto status = [](double low, double high) {
    PrepareOptions options;
    options.low_hz = low;
    options.high_hz = high;
    return CheckOptions(options);
  };
  EXPECT_TRUE(status(0.5, 4).ok());
  for (const auto& bad : {status(0, 4), status(4, 0.5), status(1, 1), status(0.5, 12.5),
                          status(std::numeric_limits<double>::quiet_NaN(), 4)}) {
    EXPECT_EQ(bad.code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_THAT(MessageOf(status(4, 0.5)), HasSubstr("the band is 4 to 0.5 Hz"));
}

TEST(FilterMode, NamesReadBack) {
  for (const auto mode : {FilterMode::kRecording, FilterMode::kWindow, FilterMode::kCausal}) {
    EXPECT_EQ(*ParseFilterMode(NameOf(mode)), mode);
  }
  EXPECT_THAT(MessageOf(ParseFilterMode("both").status()),
              HasSubstr("'both'; must be recording, window or causal"));
}

TEST(WindowsIn, CountsWholeWindows) {
  EXPECT_EQ(WindowsIn(999, 125), 0);
  EXPECT_EQ(WindowsIn(1000, 125), 1);
  EXPECT_EQ(WindowsIn(1249, 125), 1);
  EXPECT_EQ(WindowsIn(1250, 125), 2);
}

}  // namespace
}  // namespace retort
