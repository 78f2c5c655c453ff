#include "worker/distill/models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "common/spec/model_spec.h"
#include "common/spec/stages.h"
#include "common/spec/weights_file.h"
#include "synthetic.h"
#include "worker/distill/failure.h"
#include "worker/distill/weights.h"

namespace retort::distill {
namespace {

using testing::HasSubstr;

int64_t ParametersOf(const Network& network) {
  int64_t count = 0;
  for (const auto& parameter : network.parameters()) count += parameter.numel();
  return count;
}

TEST(ModelsTest, HaveThePublishedNumbersOfParameters) {
  for (const auto& [base, blocks, params] : {std::tuple{4, 4, 1668},
                                             {8, 4, 4436},
                                             {16, 4, 13812},
                                             {8, 8, 15860},
                                             {32, 4, 47924},
                                             {16, 8, 55860},
                                             {32, 8, 208820},
                                             {64, 8, 806580}}) {
    EXPECT_EQ(ParametersOf(*BuildNetwork(ResNet(base, blocks), 200, 0)), params)
        << base << "/" << blocks;
  }
}

TEST(ModelsTest, HaveAsManyParametersAsTheirCostSays) {
  std::vector<v1::ModelSpec> models = {ResNet(4, 4), ResNet(3, 9), Mlp(32, 1), Mlp(128, 3)};
  auto& odd = models.emplace_back(ResNet(5, 6));
  odd.mutable_resnet1d()->set_kernel(7);
  odd.mutable_resnet1d()->set_stride(3);
  odd.mutable_resnet1d()->set_downsample_every(1);
  odd.mutable_resnet1d()->set_widen_every(2);
  for (const auto& model : models) {
    for (int samples : {200, 201, 77}) {
      const auto network = BuildNetwork(model, samples, 0);
      EXPECT_EQ(ParametersOf(*network), CostOf(model, samples)->params());
      const auto out = network->Forward(torch::randn({3, 1, samples}));
      EXPECT_EQ(out.logits_BK.sizes(), torch::IntArrayRef({3, 180}));
      EXPECT_EQ(out.features_BF.sizes(), torch::IntArrayRef({3, StagesOf(model).back().channels}));
    }
  }
}

TEST(ModelsTest, BlocksHaveTheLengthsOfTheirCost) {
  // The head sees the mean over time, so that only the spec's block list says how long a block's
  // output is.
  const auto blocks = ResNetBlocks(ResNet(4, 8).resnet1d(), 201);
  std::vector<int> lengths;
  for (const auto& block : blocks) lengths.push_back(block.out_samples);
  EXPECT_THAT(lengths, testing::ElementsAre(201, 101, 101, 51, 51, 26, 26, 13));
}

TEST(ModelsTest, TheSameSeedGivesTheSameWeights) {
  const auto a = NamedTensors(*BuildNetwork(ResNet(4, 4), 200, 5));
  const auto b = NamedTensors(*BuildNetwork(ResNet(4, 4), 200, 5));
  const auto c = NamedTensors(*BuildNetwork(ResNet(4, 4), 200, 6));
  for (size_t i = 0; i < a.size(); ++i) EXPECT_TRUE(a[i].second.equal(b[i].second)) << a[i].first;
  EXPECT_FALSE(a[0].second.equal(c[0].second));
}

TEST(ModelsTest, WeightsAreDrawnWithinTheBoundOfTheirFanIn) {
  const auto tensors = NamedTensors(*BuildNetwork(ResNet(32, 4), 200, 0));
  for (const auto& [name, tensor] : tensors) {
    if (name != "block1.conv2.weight") continue;
    const double bound = 1 / std::sqrt(32.0 * 5);
    EXPECT_LE(tensor.abs().max().item<double>(), bound);
    EXPECT_NEAR(tensor.std().item<double>(), bound / std::sqrt(3.0), 0.02 * bound);
    return;
  }
  FAIL() << "no tensor block1.conv2.weight";
}

TEST(ModelsTest, DropoutKeepsTheMeanAndActsOnlyInTraining) {
  auto model = Mlp(4096, 1);
  model.mutable_mlp()->set_dropout(0.25);
  const auto network = BuildNetwork(model, 200, 0);
  network->SeedDropout(3);
  const auto x = torch::randn({8, 1, 200});
  const auto dropped = network->Forward(x).features_BF;
  network->eval();
  const auto whole = network->Forward(x).features_BF;
  const auto positive = whole > 0;
  const double share =
      ((dropped == 0) & positive).sum().item<double>() / positive.sum().item<double>();
  EXPECT_NEAR(share, 0.25, 0.02);
  EXPECT_NEAR(dropped.mean().item<double>(), whole.mean().item<double>(),
              0.02 * whole.mean().item<double>());
  EXPECT_TRUE(whole.equal(network->Forward(x).features_BF));
}

TEST(ModelsTest, GradientsReachEveryParameter) {
  for (const auto& model : {ResNet(4, 5), Mlp(16, 2)}) {
    const auto network = BuildNetwork(model, 200, 0);
    network->Forward(torch::randn({8, 1, 200})).logits_BK.square().sum().backward();
    for (const auto& item : network->named_parameters()) {
      ASSERT_TRUE(item.value().grad().defined()) << item.key();
      // A bias in front of a batch norm has no effect.
      if (item.key().find("conv1.bias") == std::string::npos && item.key() != "stem.bias") {
        EXPECT_GT(item.value().grad().abs().max().item<double>(), 0) << item.key();
      }
    }
  }
}

TEST(ModelsTest, EveryStageHasTheChannelsOfItsName) {
  for (const auto& model : {ResNet(4, 6), Mlp(16, 2)}) {
    const auto network = BuildNetwork(model, 200, 0);
    const auto x = torch::randn({20, 1, 200});
    const auto stages = StagesOf(model);
    std::vector<torch::Tensor> seen;
    for (int i = 0; i < static_cast<int>(stages.size()); ++i) {
      const auto out = network->Forward(x, i);
      EXPECT_EQ(out.features_BF.sizes(), torch::IntArrayRef({20, stages[i].channels}))
          << stages[i].name;
      seen.push_back(out.features_BF);
    }
    EXPECT_TRUE(seen.back().equal(network->Forward(x).features_BF));
    EXPECT_FALSE(seen[0].equal(seen[1]));
  }
}

class WeightsTest : public testing::Test {
 protected:
  std::string ErrorOf(std::string bytes, const v1::ModelSpec& model, int samples = 200) {
    try {
      ParseWeights(std::move(bytes), "w.safetensors", model, samples);
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.cause(), v1::FAILURE_CAUSE_ARTIFACT);
      return failure.what();
    }
    return "";
  }
};

TEST_F(WeightsTest, ComeBackAsTheyWereWritten) {
  for (const auto& model : {ResNet(4, 4), Mlp(16, 2)}) {
    const auto network = BuildNetwork(model, 200, 1);
    network->Forward(torch::randn({8, 1, 200}));  // moves the running statistics
    network->eval();
    const auto back =
        ParseWeights(SerializeWeights(*network, model, "job", 200), "w.safetensors", model, 200);
    const auto x = torch::randn({4, 1, 200});
    EXPECT_TRUE(network->Forward(x).logits_BK.equal(back->Forward(x).logits_BK));
  }
}

TEST_F(WeightsTest, OfAnotherArchitectureOrWindowAreRefused) {
  const std::string bytes =
      SerializeWeights(*BuildNetwork(ResNet(4, 4), 200, 1), ResNet(4, 4), "j", 200);
  EXPECT_EQ(ErrorOf(bytes, ResNet(4, 4)), "");
  EXPECT_THAT(ErrorOf(bytes, ResNet(8, 4)),
              HasSubstr("resnet1d-4/4; wanted are those of resnet1d-8/4"));
  EXPECT_THAT(ErrorOf(bytes, ResNet(4, 4), 100), HasSubstr("200 samples; wanted are 100"));
  EXPECT_THAT(ErrorOf(bytes.substr(0, bytes.size() - 9), ResNet(4, 4)), HasSubstr("w.safetensors"));
  // A file that says one architecture and holds another.
  const std::string liar =
      SerializeWeights(*BuildNetwork(ResNet(8, 4), 200, 1), ResNet(4, 4), "j", 200);
  EXPECT_THAT(ErrorOf(liar, ResNet(4, 4)), HasSubstr("must be F32 [4, 1, 5]"));
  const std::string shorter =
      SerializeWeights(*BuildNetwork(ResNet(4, 3), 200, 1), ResNet(4, 4), "j", 200);
  EXPECT_THAT(ErrorOf(shorter, ResNet(4, 4)), HasSubstr("block3"));
}

TEST(ModelsTest, AreMadeOfTheTensorsThatWeightsFilesAreCheckedFor) {
  for (const auto& model : {ResNet(4, 9), Mlp(6, 3)}) {
    std::vector<std::pair<std::string, std::vector<int64_t>>> made;
    for (const auto& [name, tensor] : NamedTensors(*BuildNetwork(model, 200, 0))) {
      made.emplace_back(name, tensor.sizes().vec());
    }
    auto expected = TensorsOf(model, 200);
    std::sort(made.begin(), made.end());
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(made, expected) << ArchitectureName(model);
  }
}

}  // namespace
}  // namespace retort::distill
