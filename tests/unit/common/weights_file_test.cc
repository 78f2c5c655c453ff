#include "common/spec/weights_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace retort {
namespace {

using testing::HasSubstr;

// The weights of a small network, all zero, which a test then spoils.
struct Draft {
  std::map<std::string, std::string> metadata = {{"format", "retort.model.v1"},
                                                 {"model", R"({"resnet1d":{"base":2,"blocks":2}})"},
                                                 {"samples", "200"}};
  std::map<std::string, std::vector<int64_t>> shapes;
  float first = 0;

  Draft() {
    v1::ModelSpec model;
    model.mutable_resnet1d()->set_base(2);
    model.mutable_resnet1d()->set_blocks(2);
    for (const auto& [name, shape] : TensorsOf(model, 200)) shapes[name] = shape;
  }
  Expected<WeightsHeader> Check() const {
    std::vector<std::vector<float>> held;
    held.reserve(shapes.size());
    std::vector<TensorToWrite> tensors;
    for (const auto& [name, shape] : shapes) {
      int64_t count = 1;
      for (const int64_t extent : shape) count *= extent;
      held.emplace_back(count, 0.0f);
      held.back()[0] = first;
      tensors.push_back({name, DType::kF32, shape, BytesOfVector(held.back())});
    }
    const auto file = Safetensors::Parse(SerializeSafetensors(metadata, tensors), "w.safetensors");
    if (!file.ok()) return Error{file.error()};
    return CheckWeights(*file);
  }
};

TEST(WeightsFileTest, TakesTheTensorsOfItsNetworkAndFillsInWhatTheSpecLeavesOut) {
  const auto header = Draft().Check();
  ASSERT_TRUE(header.ok()) << header.error();
  EXPECT_EQ(header->samples, 200);
  EXPECT_EQ(header->model.resnet1d().kernel(), 5);
}

TEST(WeightsFileTest, SaysWhatIsWrongAndWhatWouldBeRight) {
  const auto error_of = [](auto spoil) {
    Draft draft;
    spoil(draft);
    const auto header = draft.Check();
    return header.ok() ? std::string("accepted") : header.error();
  };
  EXPECT_THAT(error_of([](Draft& d) { d.metadata["format"] = "x"; }), HasSubstr("'format' is 'x'"));
  EXPECT_THAT(error_of([](Draft& d) { d.metadata["samples"] = "-1"; }), HasSubstr("such as 200"));
  EXPECT_THAT(error_of([](Draft& d) { d.metadata["model"] = "{}"; }), HasSubstr("network's spec"));
  EXPECT_THAT(error_of([](Draft& d) {
                d.metadata["model"] = R"({"resnet1d":{"base":2,"blocks":1000000000}})";
              }),
              HasSubstr("blocks: 1e+09; must be from 1 to 128"));
  EXPECT_THAT(error_of([](Draft& d) {
                d.shapes["head.weight"] = {100, 2};
              }),
              HasSubstr("'head.weight' is F32 [100, 2]; must be F32 [180, 2], a row for each"));
  EXPECT_THAT(error_of([](Draft& d) {
                d.shapes["stem.weight"] = {2, 3, 5};
              }),
              HasSubstr("'stem.weight' is F32 [2, 3, 5]; must be F32 [2, 1, 5]"));
  EXPECT_THAT(error_of([](Draft& d) { d.shapes.erase("block1.conv1.bias"); }),
              HasSubstr("has no tensor 'block1.conv1.bias'"));
  EXPECT_THAT(error_of([](Draft& d) { d.shapes["block0.norm1.weight"] = {2}; }),
              HasSubstr("has a tensor 'block0.norm1.weight'"));
  EXPECT_THAT(error_of([](Draft& d) { d.metadata["first_bpm"] = "40"; }), HasSubstr("must be 30"));
  EXPECT_THAT(error_of([](Draft& d) { d.first = NAN; }), HasSubstr("not finite"));
}

TEST(WeightsFileTest, HoldsWindowsAndRateAgainstTheDataset) {
  WeightsHeader weights;
  weights.samples = 200;
  weights.rate_hz = "25";
  Dataset dataset;
  dataset.samples = 200;
  dataset.metadata["rate_hz"] = "25";
  EXPECT_TRUE(CheckFits(weights, "w", dataset, "d").ok());
  weights.rate_hz = "125";
  EXPECT_THAT(CheckFits(weights, "w", dataset, "d").error(),
              HasSubstr("w: takes 125 samples per second; d has 25"));
  weights.samples = 1250;
  EXPECT_THAT(CheckFits(weights, "w", dataset, "d").error(),
              HasSubstr("takes windows of 1250 samples; d has windows of 200"));
}

}  // namespace
}  // namespace retort
