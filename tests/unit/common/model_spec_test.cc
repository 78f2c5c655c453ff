#include "common/spec/model_spec.h"

#include <gtest/gtest.h>

namespace retort {
namespace {

v1::ModelSpec ResNet(int base, int blocks) {
  v1::ModelSpec model;
  model.mutable_resnet1d()->set_base(base);
  model.mutable_resnet1d()->set_blocks(blocks);
  return model;
}

struct Count {
  int base, blocks;
  int64_t params;
};

void PrintTo(const Count& value, std::ostream* out) {
  *out << "base " << value.base << ", blocks " << value.blocks;
}

class ResNetCounts : public testing::TestWithParam<Count> {};

TEST_P(ResNetCounts, AreThoseOfTheSpecification) {
  const auto cost = CostOf(ResNet(GetParam().base, GetParam().blocks), 200);
  ASSERT_TRUE(cost.ok());
  EXPECT_EQ(cost->params(), GetParam().params);
  EXPECT_EQ(cost->size_bytes(), 4 * GetParam().params);
}

INSTANTIATE_TEST_SUITE_P(Science, ResNetCounts,
                         testing::Values(Count{4, 4, 1668}, Count{8, 4, 4436}, Count{16, 4, 13812},
                                         Count{8, 8, 15860}, Count{32, 4, 47924},
                                         Count{16, 8, 55860}, Count{64, 4, 177588},
                                         Count{32, 8, 208820}, Count{64, 8, 806580},
                                         Count{128, 8, 3169460}, Count{64, 12, 3293364},
                                         Count{256, 8, 12564660}, Count{128, 12, 13058228},
                                         Count{128, 16, 52496564}),
                         [](const auto& info) {
                           return "Base" + std::to_string(info.param.base) + "Blocks" +
                                  std::to_string(info.param.blocks);
                         });

TEST(CostOf, LeavesTheHeadOutOfTheBody) {
  const auto cost = CostOf(ResNet(4, 4), 200);
  EXPECT_EQ(cost->params() - cost->params_body(), 4 * 180 + 180);
}

TEST(CostOf, CountsOperationsByHand) {
  // Stem 200 x 4 x 5; blocks at 200, 100, 100, 50 samples with two convolutions of 4 x 4 x 5 each;
  // head 4 x 180.
  const auto cost = CostOf(ResNet(4, 4), 200);
  EXPECT_EQ(cost->macs(), 200 * 20 + 2 * 80 * (200 + 100 + 100 + 50) + 720);
  // The first block keeps its input, and has an input and an output of 4 x 200 each.
  EXPECT_EQ(cost->peak_activation_bytes(), 3 * 800 * 4);
}

TEST(CostOf, CountsAnMlpByHand) {
  v1::ModelSpec model;
  model.mutable_mlp()->set_width(32);
  model.mutable_mlp()->set_depth(2);
  const auto cost = CostOf(model, 200);
  ASSERT_TRUE(cost.ok());
  EXPECT_EQ(cost->params_body(), 200 * 32 + 32 + 32 * 32 + 32);
  EXPECT_EQ(cost->params(), cost->params_body() + 32 * 180 + 180);
  EXPECT_EQ(cost->macs(), 200 * 32 + 32 * 32 + 32 * 180);
}

TEST(CostOf, RefusesWhatCannotBeBuilt) {
  EXPECT_FALSE(CostOf({}, 200).ok());
  EXPECT_FALSE(CostOf(ResNet(0, 4), 200).ok());
  EXPECT_FALSE(CostOf(ResNet(4, -1), 200).ok());
  EXPECT_FALSE(CostOf(ResNet(1024, 128), 200).ok()) << "must not overflow";
  auto even = ResNet(4, 4);
  even.mutable_resnet1d()->set_kernel(4);
  EXPECT_EQ(CostOf(even, 200).error(), "resnet1d.kernel: 4; must be odd");
}

TEST(ResNetBlocks, HalveTimeEverySecondAndWidenEveryFourth) {
  const auto blocks = ResNetBlocks(ResNet(16, 8).resnet1d(), 200);
  ASSERT_EQ(blocks.size(), 8u);
  EXPECT_EQ(blocks[1].out_samples, 100);
  EXPECT_EQ(blocks[3].out_samples, 50);
  EXPECT_EQ(blocks[5].out_samples, 25);
  EXPECT_EQ(blocks[7].out_samples, 13) << "odd lengths are rounded up";
  EXPECT_EQ(blocks[3].out_channels, 16);
  EXPECT_EQ(blocks[4].in_channels, 16);
  EXPECT_EQ(blocks[4].out_channels, 32);
}

}  // namespace
}  // namespace retort
