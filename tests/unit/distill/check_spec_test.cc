#include "worker/distill/check_spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <functional>

#include "synthetic.h"

namespace retort::distill {
namespace {

using testing::HasSubstr;

TEST(CheckSpecTest, AcceptsACompleteJob) {
  EXPECT_TRUE(CheckSpec(Job(ResNet(4, 4), Scratch(), 2)).ok());
  auto spec = Job(Mlp(4, 1), Dkd(2), 2);
  spec.set_teacher_job("t");
  *spec.mutable_teacher_model() = ResNet(8, 4);
  EXPECT_TRUE(CheckSpec(spec).ok());
  spec.mutable_train()->set_microbatch(0);  // auto
  spec.mutable_train()->set_precision(v1::PRECISION_BF16);
  EXPECT_TRUE(CheckSpec(spec).ok());
}

TEST(CheckSpecTest, NamesTheFieldThatItRefuses) {
  using Spoil = std::function<void(v1::TrainingSpec&)>;
  const std::vector<std::pair<Spoil, std::string>> cases = {
      {[](auto& s) { s.set_trainer_version(99); }, "spec.trainer_version: 99"},
      {[](auto& s) { s.clear_dataset(); }, "spec.dataset: not set"},
      {[](auto& s) { s.clear_evaluate(); }, "spec.evaluate: empty"},
      {[](auto& s) { s.clear_model(); }, "spec.model: no family"},
      {[](auto& s) { s.clear_method(); }, "spec.method: not set"},
      {[](auto& s) { s.mutable_model()->mutable_resnet1d()->clear_dropout(); },
       "spec.model.resnet1d.dropout: not set"},
      {[](auto& s) { s.mutable_model()->mutable_resnet1d()->set_base(0); },
       "spec.model.resnet1d.base: 0; must be at least 1"},
      {[](auto& s) { s.mutable_method()->mutable_scratch()->set_sigma(-1); },
       "spec.method.scratch.sigma: -1; must be at least 0"},
      {[](auto& s) { s.mutable_train()->set_epochs(-3); },
       "spec.train.epochs: -3; must be at least 1"},
      {[](auto& s) { s.mutable_train()->clear_peak_lr(); }, "spec.train.peak_lr: not set"},
      {[](auto& s) { s.mutable_train()->set_peak_lr(0); },
       "spec.train.peak_lr: 0; must be above 0"},
      {[](auto& s) { s.mutable_train()->set_peak_lr(NAN); }, "spec.train.peak_lr: "},
      {[](auto& s) { s.mutable_train()->set_optimizer(v1::OPTIMIZER_UNSPECIFIED); },
       "spec.train.optimizer: 0; must be a value of Optimizer"},
      {[](auto& s) { s.mutable_train()->set_keep(static_cast<v1::Keep>(9)); },
       "spec.train.keep: 9; must be a value of Keep"},
      {[](auto& s) {
         *s.mutable_method() = Feature(v1::FEATURE_NORM_NONE);
         s.mutable_method()->mutable_feature()->set_student_stage("block9");
       },
       "spec.method.feature.student_stage: 'block9' is no stage of this network; must be one of: "
       "stem, block0, block1, block2, block3, penultimate"},
      {[](auto& s) {
         *s.mutable_method() = Feature(v1::FEATURE_NORM_NONE);
         s.mutable_method()->mutable_feature()->set_teacher_stage("stem");
         *s.mutable_teacher_model() = Mlp(8, 2);
       },
       "spec.method.feature.teacher_stage: 'stem' is no stage of this network; must be one of: "
       "hidden0, hidden1, penultimate"},
      {[](auto& s) { s.mutable_train()->set_patience(-1); },
       "spec.train.patience: -1; must be at least 0"},
      {[](auto& s) { s.mutable_train()->set_patience(2); },
       "spec.train.patience: 2; needs keep: best"},
      {[](auto& s) {
         s.mutable_train()->set_patience(2);
         s.mutable_train()->set_keep(v1::KEEP_BEST);
       },
       "spec.train.patience: 2; needs schedule: constant"},
      {[](auto& s) { s.mutable_train()->set_microbatch(1); },
       "spec.train.microbatch: 1; must be at least 2"},
      {[](auto& s) { s.mutable_train()->set_microbatch(33); },
       "spec.train.microbatch: 33; must be at most the batch (32)"},
      {[](auto& s) { s.mutable_train()->set_precision(static_cast<v1::Precision>(7)); },
       "spec.train.precision: 7; must be a value of Precision"},
      {[](auto& s) { s.set_teacher_job("t"); }, "learns from no teacher"},
      {[](auto& s) { *s.mutable_method() = Soft(2); }, "spec.teacher_job: empty"},
      {[](auto& s) {
         *s.mutable_method() = Soft(2);
         s.set_teacher_job("t");
       },
       "spec.teacher_model: no family"},
  };
  for (const auto& [spoil, wanted] : cases) {
    auto spec = Job(ResNet(4, 4), Scratch(), 2);
    spoil(spec);
    const auto checked = CheckSpec(spec);
    ASSERT_FALSE(checked.ok()) << wanted;
    EXPECT_THAT(checked.error(), HasSubstr(wanted));
  }
}

}  // namespace
}  // namespace retort::distill
