#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "synthetic.h"
#include "worker/distill/methods.h"

namespace retort::distill {
namespace {

using torch::Tensor;
using Rows = std::vector<std::vector<double>>;

std::map<std::string, Rows> ReadReference() {
  std::map<std::string, Rows> out;
  std::ifstream file(RETORT_SOURCE_DIR "/tests/golden/losses_reference.csv");
  for (std::string line; std::getline(file, line);) {
    std::istringstream in(line);
    std::string name, number;
    std::getline(in, name, ',');
    auto& row = out[name].emplace_back();
    while (std::getline(in, number, ',')) row.push_back(std::stod(number));
  }
  return out;
}

Tensor ToTensor(const Rows& rows) {
  std::vector<Tensor> out;
  for (const auto& row : rows) out.push_back(torch::tensor(row, torch::kDouble));
  return torch::stack(out);
}

Tensor ClassesOf(const Tensor& bpm_B) {
  return (bpm_B.round() - 30).clamp(0, 179).to(torch::kLong);
}

class LossesTest : public testing::Test {
 protected:
  LossesTest() : reference_(ReadReference()) {
    bpm_ = torch::tensor(reference_.at("bpm")[0], torch::kDouble);
    inputs_.logits_BK = ToTensor(reference_.at("logits_s"));
    inputs_.teacher_logits_BK = ToTensor(reference_.at("logits_t"));
    inputs_.projected_BF = ToTensor(reference_.at("projected"));
    inputs_.teacher_features_BF = ToTensor(reference_.at("features_t"));
    inputs_.classes_B = ClassesOf(bpm_);
  }

  void ExpectLoss(const std::string& name, const v1::MethodSpec& method, int epoch = 0) {
    EXPECT_NEAR(ComputeLoss(method, inputs_, epoch).total.item<double>(), reference_.at(name)[0][0],
                1e-9)
        << name;
  }
  void ExpectRow(const std::string& name, const Tensor& values) {
    const auto wanted = torch::tensor(reference_.at(name)[0], torch::kDouble);
    EXPECT_LT((values - wanted).abs().max().item<double>(), 1e-9) << name;
  }

  std::map<std::string, Rows> reference_;
  Tensor bpm_;
  LossInputs inputs_;
};

TEST_F(LossesTest, MatchIndependentReferenceValues) {
  ExpectLoss("scratch", Scratch());
  ExpectLoss("hard_0.5", Hard());
  ExpectLoss("soft_0.9_T1", Soft(1));
  ExpectLoss("soft_0.9_T2", Soft(2));
  ExpectLoss("soft_0.9_T4", Soft(4));
  for (double t : {1.0, 2.0, 4.0}) {
    const std::string suffix = "_T" + std::to_string(static_cast<int>(t));
    const auto parts =
        Decoupled(inputs_.logits_BK, inputs_.teacher_logits_BK, inputs_.classes_B, t);
    ExpectRow("tckd" + suffix, parts.tckd_B);
    ExpectRow("nckd" + suffix, parts.nckd_B);
    ExpectLoss("dkd_0.9_1_8" + suffix, Dkd(t));
  }
  ExpectLoss("feature_none", Feature(v1::FEATURE_NORM_NONE));
}

TEST_F(LossesTest, GaussianTargetsMatchTheReference) {
  const Tensor targets = GaussianTargets(bpm_, 3);
  ExpectRow("gaussian_sigma3", targets[3]);
  inputs_.targets_BK = targets;
  ExpectLoss("scratch_sigma3", Scratch(3));
  ExpectLoss("soft_0.9_T2_sigma3", Soft(2, 0.9, 3));
}

TEST_F(LossesTest, GaussianTargetsOfRatesFarOutsideTheClassesAreDistributions) {
  const Tensor targets = GaussianTargets(torch::tensor({20.0f, 250.0f}), 0.1);
  EXPECT_TRUE(targets.isfinite().all().item<bool>());
  EXPECT_NEAR(targets.sum().item<double>(), 2, 1e-5);
  EXPECT_EQ(targets[0].argmax().item<int64_t>(), 0);
  EXPECT_EQ(targets[1].argmax().item<int64_t>(), 179);
}

TEST_F(LossesTest, FeatureNormsMatchTheReference) {
  const Tensor features = inputs_.teacher_features_BF;
  inputs_.teacher_features_BF = NormalizeFeatures(features, v1::FEATURE_NORM_L2);
  ExpectLoss("feature_l2_0.5", Feature(v1::FEATURE_NORM_L2, 0.5));
  inputs_.teacher_features_BF = NormalizeFeatures(features, v1::FEATURE_NORM_CHANNEL_STD);
  ExpectLoss("feature_channel_std", Feature(v1::FEATURE_NORM_CHANNEL_STD));
}

TEST_F(LossesTest, ConstantFeatureChannelsBecomeZero) {
  Tensor features = torch::rand({50, 3});
  features.select(1, 1).fill_(0.1f);
  features.select(1, 2).fill_(0);
  const Tensor normal = NormalizeFeatures(features, v1::FEATURE_NORM_CHANNEL_STD);
  EXPECT_EQ(normal.select(1, 1).abs().max().item<double>(), 0);
  EXPECT_EQ(normal.select(1, 2).abs().max().item<double>(), 0);
  EXPECT_NEAR(normal.select(1, 0).square().mean().item<double>(), 1, 1e-4);
}

TEST_F(LossesTest, ZhaoPresetWarmsUpLinearly) {
  v1::MethodSpec method = Dkd(4, 1);
  method.mutable_dkd()->set_ce_weight(1);
  method.mutable_dkd()->set_warmup_epochs(20);
  ExpectLoss("dkd_zhao2022_epoch4", method, 4);
  // From epoch 19 on the weight is 1.
  EXPECT_EQ(ComputeLoss(method, inputs_, 19).total.item<double>(),
            ComputeLoss(method, inputs_, 500).total.item<double>());
}

TEST_F(LossesTest, DivergenceIsTheSumOfItsDecoupledParts) {
  for (double t : {0.1, 1.0, 2.0, 100.0}) {
    const Tensor &s = inputs_.logits_BK, &teacher = inputs_.teacher_logits_BK;
    const auto parts = Decoupled(s, teacher, inputs_.classes_B, t);
    const Tensor p_t =
        (teacher / t).softmax(1).gather(1, inputs_.classes_B.unsqueeze(1)).squeeze(1);
    const Tensor difference = Divergence(s, teacher, t) - (parts.tckd_B + (1 - p_t) * parts.nckd_B);
    EXPECT_LT(difference.abs().max().item<double>(), 1e-9) << t;
  }
}

TEST_F(LossesTest, DecoupledWithTheTeachersOwnWeightIsSoft) {
  const double t = 2;
  const auto parts = Decoupled(inputs_.logits_BK, inputs_.teacher_logits_BK, inputs_.classes_B, t);
  // alpha = 1, beta = 1 - p_t[y] of each window.
  const Tensor kd = t * t * (parts.tckd_B + parts.teacher_other_p_B * parts.nckd_B).mean();
  EXPECT_NEAR(kd.item<double>(), ComputeLoss(Soft(t), inputs_, 0).kd.item<double>(), 1e-9);
}

std::vector<v1::MethodSpec> AllMethods(double t) {
  return {Scratch(), Hard(), Soft(t), Dkd(t), Feature(v1::FEATURE_NORM_NONE)};
}

TEST_F(LossesTest, GradientsMatchDifferences) {
  torch::manual_seed(1);
  for (const auto& method : AllMethods(2)) {
    for (bool gaussian : {false, true}) {
      LossInputs in = inputs_;
      if (gaussian) in.targets_BK = GaussianTargets(bpm_, 3);
      in.logits_BK = inputs_.logits_BK.clone().requires_grad_();
      in.projected_BF = inputs_.projected_BF.clone().requires_grad_();
      ComputeLoss(method, in, 0).total.backward();
      // Along a random direction.
      const Tensor direction = torch::randn_like(inputs_.logits_BK);
      const Tensor along = torch::randn_like(inputs_.projected_BF);
      double analytic = (in.logits_BK.grad() * direction).sum().item<double>();
      if (in.projected_BF.grad().defined()) {
        analytic += (in.projected_BF.grad() * along).sum().item<double>();
      }
      const auto at = [&](double h) {
        LossInputs moved = in;
        moved.logits_BK = inputs_.logits_BK + h * direction;
        moved.projected_BF = inputs_.projected_BF + h * along;
        return ComputeLoss(method, moved, 0).total.item<double>();
      };
      const double h = 1e-5;
      EXPECT_NEAR(analytic, (at(h) - at(-h)) / (2 * h), 1e-6 * (1 + std::abs(analytic)))
          << method.ShortDebugString();
    }
  }
}

TEST_F(LossesTest, ExtremeLogitsStayFinite) {
  torch::manual_seed(2);
  for (double t : {0.1, 1.0, 100.0}) {
    for (const auto& method : AllMethods(t)) {
      LossInputs in;
      in.logits_BK = ((torch::rand({4, 180}) - 0.5) * 2e4).requires_grad_();
      in.teacher_logits_BK = (torch::rand({4, 180}) - 0.5) * 2e4;
      // Rows where student and teacher are each sure of the reference, or sure of something else.
      in.classes_B = torch::tensor({0, 60, 120, 179}, torch::kLong);
      {
        torch::NoGradGuard no_grad;
        in.logits_BK[0].fill_(-1e4);
        in.logits_BK[0][0] = 1e4;
        in.teacher_logits_BK[1].fill_(-1e4);
        in.teacher_logits_BK[1][60] = 1e4;
        in.logits_BK[2].fill_(1e4);
        in.logits_BK[2][120] = -1e4;
      }
      in.projected_BF = torch::zeros({4, 3});
      in.teacher_features_BF = torch::ones({4, 3});
      const Loss loss = ComputeLoss(method, in, 0);
      loss.total.backward();
      for (const auto& [name, value] : loss.Parts()) {
        EXPECT_TRUE(value.isfinite().item<bool>()) << name << " " << method.ShortDebugString();
        EXPECT_GE(value.item<double>(), -1e-3) << name << " " << method.ShortDebugString();
      }
      EXPECT_TRUE(in.logits_BK.grad().isfinite().all().item<bool>()) << method.ShortDebugString();
    }
  }
}

TEST_F(LossesTest, PartsAreThoseOfTheMethod) {
  const auto names = [&](const v1::MethodSpec& method) {
    std::string out;
    for (const auto& [name, value] : ComputeLoss(method, inputs_, 0).Parts()) {
      out += std::string(name) + " ";
    }
    return out;
  };
  EXPECT_EQ(names(Scratch()), "loss ce ");
  EXPECT_EQ(names(Soft(2)), "loss ce kd ");
  EXPECT_EQ(names(Dkd(2)), "loss ce kd tckd nckd ");
  EXPECT_EQ(names(Feature(v1::FEATURE_NORM_NONE)), "loss ce feature ");
}

}  // namespace
}  // namespace retort::distill
