#include "client/data/join.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "client/data/prepare.h"
#include "common/status.h"

namespace retort {
namespace {

using testing::AllOf;
using testing::HasSubstr;

NamedDataset Part(const std::string& name, double bpm, double lag_s = 0) {
  Recording r{"r1", "ann", 50, std::vector(2, std::vector<double>(1000)), std::vector(7, bpm)};
  for (int i = 0; i < 1000; ++i) {
    r.channels[0][i] = std::sin(i * 0.2);
    r.channels[1][i] = std::cos(i * 0.3);
  }
  r.lag_s = lag_s;
  auto dataset = PrepareRecordings({r}, {"ppg1", "ppg2"}, {});
  EXPECT_TRUE(dataset.ok()) << dataset.status();
  dataset->metadata["name"] = name;
  return {name + ".safetensors", *std::move(dataset)};
}

TEST(JoinDatasets, KeepsAllWindowsUnderTheirSourcesNames) {
  const auto a = Part("a", 80), b = Part("b", 90, -1);
  const auto d = JoinDatasets({a, b});
  ASSERT_TRUE(d.ok()) << d.status();
  EXPECT_EQ(d->windows_count, 13);
  EXPECT_EQ(d->subjects, (std::vector<std::string>{"a/ann", "b/ann"}));
  EXPECT_EQ(d->recordings, (std::vector<std::string>{"a/r1", "b/r1"}));
  EXPECT_EQ(d->bpm_W[6], 80);
  EXPECT_EQ(d->bpm_W[7], 90);
  EXPECT_EQ(d->subject_W[7], 1);
  EXPECT_EQ(d->recording_W[7], 1);
  EXPECT_EQ(d->start_s_W[7], 1);
  EXPECT_EQ(d->channels, a.dataset.channels);
  auto windows = a.dataset.windows_WCL;
  windows.insert(windows.end(), b.dataset.windows_WCL.begin(), b.dataset.windows_WCL.end());
  EXPECT_EQ(d->windows_WCL, windows);
  EXPECT_EQ(d->metadata.at("name"), "a + b");
  EXPECT_EQ(d->metadata.at("filter"), "recording");
  EXPECT_EQ(d->metadata.at("lag_s"), R"({"b/r1":"-1"})");
}

TEST(JoinDatasets, JoinsWhatWasJoinedBefore) {
  const auto ab = JoinDatasets({Part("a", 80), Part("b", 90)});
  const auto all = JoinDatasets({{"ab", *ab}, Part("c", 100)});
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->subjects, (std::vector<std::string>{"a/ann", "b/ann", "c/ann"}));
  EXPECT_EQ(all->metadata.at("name"), "a + b + c");
}

TEST(JoinDatasets, NeverSplitsWhatOnePartForbids) {
  auto a = Part("a", 80);
  const auto b = Part("b", 90);
  a.dataset.metadata["split"] = "never";
  EXPECT_EQ(JoinDatasets({a, b})->metadata.at("split"), "never");
  EXPECT_EQ(JoinDatasets({b, a})->metadata.at("split"), "never");
}

TEST(JoinDatasets, SaysHowTheyDiffer) {
  const auto a = Part("a", 80);
  const auto refused = [&](auto change) {
    auto b = Part("b", 90);
    change(b.dataset);
    const auto status = JoinDatasets({a, b}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return MessageOf(status);
  };
  EXPECT_THAT(refused([](Dataset& d) { d.channels_count = 3; }),
              AllOf(HasSubstr("a.safetensors and b.safetensors"), HasSubstr("channels: 2 and 3"),
                    HasSubstr("--channels 1,2")));
  EXPECT_THAT(refused([](Dataset& d) { d.metadata["filter"] = "causal"; }),
              HasSubstr("metadata 'filter': 'recording' and 'causal'"));
  EXPECT_THAT(refused([](Dataset& d) { d.samples = 100; }), HasSubstr("200 and 100"));
  EXPECT_THAT(refused([](Dataset& d) { d.metadata["name"] = "a"; }),
              HasSubstr("both have the subject 'a/ann'"));
  EXPECT_THAT(refused([](Dataset& d) { d.metadata["lag_s"] = "[1]"; }),
              HasSubstr("b.safetensors: metadata lag_s"));
  EXPECT_THAT(MessageOf(JoinDatasets({a}).status()), HasSubstr("at least two"));
}

}  // namespace
}  // namespace retort
