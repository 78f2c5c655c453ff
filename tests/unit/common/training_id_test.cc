#include "common/training_id.h"

#include <gtest/gtest.h>

#include <set>

namespace retort {
namespace {

v1::TrainingSpec Example() {
  v1::TrainingSpec spec;
  spec.set_trainer_version(1);
  spec.mutable_dataset()->set_sha256(std::string(64, 'a'));
  spec.add_evaluate()->set_sha256(std::string(64, 'a'));
  spec.mutable_split()->set_kfold(4);
  spec.set_fold(2);
  spec.mutable_model()->mutable_resnet1d()->set_base(4);
  spec.mutable_model()->mutable_resnet1d()->set_blocks(4);
  spec.mutable_method()->mutable_scratch()->set_sigma(3);
  spec.mutable_train()->set_epochs(20);
  spec.mutable_train()->set_peak_lr(0.01);
  spec.set_seed(1);
  return spec;
}

TEST(TrainingId, CanonicalFormIsSortedLines) {
  EXPECT_EQ(
      CanonicalTraining(Example()),
      "retort-training-1\n"
      "dataset.sha256=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
      "dataset={}\n"
      "evaluate[000000].sha256=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n"
      "evaluate[000000]={}\n"
      "fold=2\n"
      "method.scratch.sigma=3\n"
      "method.scratch={}\n"
      "method={}\n"
      "model.resnet1d.base=4\n"
      "model.resnet1d.blocks=4\n"
      "model.resnet1d={}\n"
      "model={}\n"
      "seed=1\n"
      "split.kfold=4\n"
      "split={}\n"
      "train.epochs=20\n"
      "train.peak_lr=0.01\n"
      "train={}\n"
      "trainer_version=1\n");
}

// If this fails, every job of every existing database has another name, and everything would be
// trained again.
TEST(TrainingId, GoldenHash) {
  EXPECT_EQ(TrainingId(Example()).hex(),
            "a6478489109d3052a35481f326e80afcc8726e65e4ce2747dfb7ad15039ec66d");
}

TEST(TrainingId, OfSpecsThatDifferInSeedAndTeacherIsThatOfTheWhole) {
  v1::TrainingSpec small, last;
  small.set_trainer_version(1);
  last.mutable_dataset()->set_sha256("d");
  for (v1::TrainingSpec whole : {Example(), v1::TrainingSpec(), small, last}) {
    whole.clear_seed();
    const TrainingIds ids(whole);
    for (const int64_t seed : {0, 1, 77, 123456}) {
      for (const std::optional<JobId>& teacher :
           {std::optional<JobId>(), std::optional(TrainingId(Example()))}) {
        whole.set_seed(seed);
        whole.set_teacher_job(teacher ? teacher->hex() : "");
        EXPECT_EQ(ids.Of(seed, teacher), TrainingId(whole)) << whole.ShortDebugString();
      }
    }
  }
}

TEST(TrainingId, EveryFieldCounts) {
  std::set<JobId> ids = {TrainingId(Example())};
  const auto differs = [&](auto change) {
    v1::TrainingSpec spec = Example();
    change(spec);
    return ids.insert(TrainingId(spec)).second;
  };
  EXPECT_TRUE(differs([](auto& s) { s.set_seed(2); }));
  EXPECT_TRUE(differs([](auto& s) { s.set_fold(3); }));
  EXPECT_TRUE(differs([](auto& s) { s.mutable_train()->set_epochs(21); }));
  EXPECT_TRUE(differs([](auto& s) { s.mutable_train()->set_peak_lr(0.011); }));
  EXPECT_TRUE(differs([](auto& s) { s.mutable_train()->set_patience(5); }));
  EXPECT_TRUE(differs([](auto& s) { s.mutable_train()->set_microbatch(0); }));
  EXPECT_TRUE(differs([](auto& s) { s.mutable_train()->set_microbatch(32); }));
  EXPECT_TRUE(differs([](auto& s) { s.mutable_train()->set_precision(v1::PRECISION_BF16); }));
  EXPECT_TRUE(differs([](auto& s) { s.mutable_method()->mutable_scratch()->set_sigma(0); }));
  EXPECT_TRUE(differs([](auto& s) { s.mutable_method()->mutable_scratch()->clear_sigma(); }));
  EXPECT_TRUE(differs([](auto& s) { s.mutable_method()->mutable_hard(); }));
  EXPECT_TRUE(differs([](auto& s) { s.set_teacher_job(std::string(64, 'b')); }));
  EXPECT_TRUE(differs([](auto& s) { s.add_evaluate()->set_sha256(std::string(64, 'c')); }));
  EXPECT_TRUE(differs([](auto& s) { s.mutable_dataset()->set_sha256(std::string(64, 'c')); }));
}

TEST(TrainingId, ValuesCannotForgeOtherFields) {
  v1::TrainingSpec a, b;
  a.set_teacher_job("x\nseed=1");
  b.set_teacher_job("x");
  b.set_seed(1);
  EXPECT_NE(TrainingId(a), TrainingId(b));
}

}  // namespace
}  // namespace retort
