// A run that was stopped at any step and resumed ends with the bits of one that was not.
#include "worker/distill/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "synthetic.h"
#include "worker/distill/failure.h"
#include "worker/distill/optimization.h"
#include "worker/distill/trainer.h"
#include "worker/distill/weights.h"

namespace retort::distill {
namespace {

using testing::HasSubstr;

// series -> step -> value
using Curves = std::map<std::string, std::map<int64_t, double>>;

struct Outcome {
  NamedTensorList weights;
  int epochs = 0;
  int kept_epoch = 0;
  int64_t microbatch = 0;
  Curves curves;
};

class ResumeTest : public testing::Test {
 protected:
  ResumeTest()
      : dataset_(LoadDataset(SineDataset(6, 30), "data")),
        windows_(SplitWindows(dataset_->info, Job(ResNet(4, 4), Scratch(), 1).split(), 0)),
        share_(EmptyFolder("resume"), stop_) {
    at::set_num_threads(1);
    torch::manual_seed(0);
    const auto items = static_cast<int64_t>(windows_.train.size()) * 2;
    teacher_.logits_IK = torch::randn({items, 180});
    teacher_.features_IF = torch::randn({items, 12});
  }

  // Its checkpoints are left in `checkpoints_`: one before each step, as bytes.
  Outcome Run(const v1::TrainingSpec& spec, const Checkpoint* resume = nullptr) {
    Outcome out;
    checkpoints_.clear();
    const auto trained = Train({spec, *dataset_, windows_, &teacher_, resume},
                               {.stop = stop_,
                                .share = share_,
                                .unix_ms = [] { return int64_t{7}; },
                                .on_epoch =
                                    [&](int, int, const std::vector<v1::MetricPoint>& points) {
                                      for (const auto& point : points) {
                                        if (point.series() == "train.samples_per_s")
                                          continue;  // of the machine
                                        out.curves[point.series()][point.step()] = point.value();
                                      }
                                    },
                                .on_checkpoint =
                                    [&](const Checkpoint& at) {
                                      Checkpoint named = at;
                                      named.job = "j";
                                      checkpoints_.push_back(SerializeCheckpoint(named));
                                      if (checkpoints_.size() == stop_at_) stop_ = true;
                                    },
                                .checkpoint_every_s = 1e-9,
                                .check_time = [] {}});
    out.weights = NamedTensors(*trained.network);
    out.epochs = trained.epochs;
    out.kept_epoch = trained.kept_epoch;
    out.microbatch = trained.microbatch;
    return out;
  }

  static void ExpectSameEnd(const Outcome& whole, const Outcome& resumed, int64_t from_epoch) {
    ASSERT_EQ(whole.weights.size(), resumed.weights.size());
    for (size_t i = 0; i < whole.weights.size(); ++i) {
      EXPECT_TRUE(whole.weights[i].second.equal(resumed.weights[i].second))
          << whole.weights[i].first;
    }
    EXPECT_EQ(whole.epochs, resumed.epochs);
    EXPECT_EQ(whole.kept_epoch, resumed.kept_epoch);
    EXPECT_EQ(whole.microbatch, resumed.microbatch);
    for (auto [series, points] : whole.curves) {
      points.erase(points.begin(), points.lower_bound(from_epoch));
      EXPECT_EQ(points,
                resumed.curves.count(series) ? resumed.curves.at(series) : Curves::mapped_type())
          << series;
    }
  }

  // Returns the undisturbed run.
  Outcome ExpectEveryCheckpointResumes(const v1::TrainingSpec& spec) {
    const Outcome whole = Run(spec);
    const std::vector<std::string> all = checkpoints_;
    // 3 x 30 training windows, 32 a step: 3 steps of an epoch.
    EXPECT_EQ(all.size(), 3u * whole.epochs);
    for (size_t i = 0; i < all.size(); ++i) {
      SCOPED_TRACE(spec.method().ShortDebugString() + " before step " + std::to_string(i));
      const auto read = ParseCheckpoint(all[i], "c", "j");
      if (!read.ok()) {
        ADD_FAILURE() << read.error();
        continue;
      }
      EXPECT_EQ(read->epoch, static_cast<int64_t>(i) / 3);
      EXPECT_EQ(read->step, static_cast<int64_t>(i) % 3);
      ExpectSameEnd(whole, Run(spec, &*read), read->epoch);
    }
    return whole;
  }

  std::shared_ptr<const LoadedDataset> dataset_;
  FoldWindows windows_;
  TeacherOutputs teacher_;
  std::atomic<bool> stop_ = false;
  TrainingShare share_;
  std::vector<std::string> checkpoints_;
  size_t stop_at_ = 0;
};

TEST_F(ResumeTest, EveryMethodEndsWithTheSameBitsFromEveryStep) {
  for (const auto& method :
       {Scratch(3), Hard(), Soft(2), Dkd(2), Feature(v1::FEATURE_NORM_CHANNEL_STD)}) {
    auto spec = Job(ResNet(4, 4), method, 3);
    spec.mutable_model()->mutable_resnet1d()->set_dropout(0.1);
    ExpectEveryCheckpointResumes(spec);
  }
}

TEST_F(ResumeTest, EveryOptimizerKeepsWhatItRemembers) {
  for (const auto optimizer : {v1::OPTIMIZER_ADAMW, v1::OPTIMIZER_SGD}) {
    auto spec = Job(Mlp(16, 1), Scratch(), 2);
    spec.mutable_train()->set_optimizer(optimizer);
    spec.mutable_train()->set_weight_decay(0.01);
    ExpectEveryCheckpointResumes(spec);
  }
}

TEST_F(ResumeTest, TheBestWeightsSoFarAreKept) {
  auto spec = Job(ResNet(4, 4), Scratch(), 5);
  spec.mutable_train()->set_keep(v1::KEEP_BEST);
  spec.mutable_train()->set_schedule(v1::SCHEDULE_CONSTANT);
  spec.mutable_train()->set_peak_lr(0.1);  // spoils the weights again and again
  ExpectEveryCheckpointResumes(spec);
}

TEST_F(ResumeTest, PatienceEndsAtTheSameEpoch) {
  auto spec = Job(ResNet(4, 4), Scratch(), 30);
  spec.mutable_train()->set_keep(v1::KEEP_BEST);
  spec.mutable_train()->set_schedule(v1::SCHEDULE_CONSTANT);
  spec.mutable_train()->set_peak_lr(0.1);
  spec.mutable_train()->set_patience(2);
  const Outcome whole = ExpectEveryCheckpointResumes(spec);
  EXPECT_LT(whole.epochs, 30);
  EXPECT_EQ(whole.epochs, whole.kept_epoch + 3);
}

TEST_F(ResumeTest, NothingIsTrainedBehindTheEndOfPatience) {
  auto spec = Job(ResNet(4, 4), Scratch(), 30);
  spec.mutable_train()->set_keep(v1::KEEP_BEST);
  spec.mutable_train()->set_schedule(v1::SCHEDULE_CONSTANT);
  spec.mutable_train()->set_peak_lr(0.1);
  spec.mutable_train()->set_patience(2);
  const auto trained = Train({spec, *dataset_, windows_, nullptr, nullptr},
                             {.stop = stop_,
                              .share = share_,
                              .unix_ms = [] { return int64_t{7}; },
                              .on_epoch = [](int, int, const std::vector<v1::MetricPoint>&) {},
                              .on_checkpoint = [](const Checkpoint&) {},
                              .check_time = [] {}});
  const std::string end = SerializeCheckpoint(trained.end);
  const auto read = ParseCheckpoint(end, "c", "");
  ASSERT_TRUE(read.ok()) << read.error();
  const Outcome resumed = Run(spec, &*read);
  EXPECT_EQ(resumed.epochs, trained.epochs);
  EXPECT_EQ(resumed.kept_epoch, trained.kept_epoch);
  EXPECT_TRUE(resumed.curves.empty());
}

TEST_F(ResumeTest, MicrobatchesAndPrecisionGoOnAsTheyWere) {
  auto spec = Job(ResNet(4, 4), Soft(2), 2);
  spec.mutable_model()->mutable_resnet1d()->set_dropout(0.1);
  spec.mutable_train()->set_microbatch(8);
  ExpectEveryCheckpointResumes(spec);
  spec.mutable_train()->clear_microbatch();
  spec.mutable_train()->set_precision(v1::PRECISION_BF16);
  ExpectEveryCheckpointResumes(spec);
}

// The micro-batch that memory allowed is part of what a checkpoint keeps.
TEST_F(ResumeTest, AnAutomaticMicrobatchIsNotTriedAnew) {
  auto spec = Job(ResNet(4, 4), Scratch(), 2);
  spec.mutable_train()->set_microbatch(8);
  const Outcome pieces = Run(spec);
  spec.mutable_train()->set_microbatch(0);
  EXPECT_EQ(ExpectEveryCheckpointResumes(spec).microbatch, 32);
  Run(spec);
  auto read = ParseCheckpoint(checkpoints_.front(), "c", "j");
  ASSERT_TRUE(read.ok()) << read.error();
  EXPECT_EQ(read->microbatch, 32);
  read->microbatch = 8;
  read = ParseCheckpoint(SerializeCheckpoint(*read), "c", "j");
  ASSERT_TRUE(read.ok()) << read.error();
  ExpectSameEnd(pieces, Run(spec, &*read), 0);
}

TEST_F(ResumeTest, StopLeavesACheckpointOfTheVeryStep) {
  const auto spec = Job(ResNet(4, 4), Soft(2), 3);
  const Outcome whole = Run(spec);
  stop_at_ = 5;
  EXPECT_THROW(Run(spec), Failure);
  stop_ = false;
  stop_at_ = 0;
  const auto read = ParseCheckpoint(checkpoints_.back(), "c", "j");
  ASSERT_TRUE(read.ok()) << read.error();
  EXPECT_EQ(read->epoch, 1);
  EXPECT_EQ(read->step, 1);
  ExpectSameEnd(whole, Run(spec, &*read), 1);
}

TEST_F(ResumeTest, CheckpointOfOtherTensorsIsRefused) {
  Run(Job(ResNet(4, 4), Scratch(), 1));
  const auto read = ParseCheckpoint(checkpoints_.back(), "c", "j");
  ASSERT_TRUE(read.ok()) << read.error();
  try {
    Run(Job(ResNet(8, 4), Scratch(), 1), &*read);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.cause(), v1::FAILURE_CAUSE_ARTIFACT);
    EXPECT_THAT(failure.what(), HasSubstr("another shape"));
  }
}

TEST_F(ResumeTest, BytesThatAreNoCheckpointOfTheJobAreRefused) {
  Run(Job(ResNet(4, 4), Scratch(), 1));
  const std::string& bytes = checkpoints_.back();
  EXPECT_THAT(ParseCheckpoint(bytes, "c", "other").error(), HasSubstr("a checkpoint of job j"));
  EXPECT_FALSE(ParseCheckpoint(bytes.substr(0, bytes.size() / 2), "c", "j").ok());
  std::string without = bytes;
  without.replace(without.find("\"best_mae\""), 10, "\"best_mee\"");
  EXPECT_THAT(ParseCheckpoint(without, "c", "j").error(), HasSubstr("'best_mae' is missing"));
}

// The rules are torch::optim's, to the bit.
TEST(OptimizationTest, IsThatOfTorch) {
  for (const auto optimizer : {v1::OPTIMIZER_ADAM, v1::OPTIMIZER_ADAMW, v1::OPTIMIZER_SGD}) {
    v1::TrainSpec train = Job(Mlp(1, 1), Scratch(), 1).train();
    train.set_optimizer(optimizer);
    train.set_schedule(v1::SCHEDULE_CONSTANT);
    train.set_weight_decay(0.1);
    train.set_clip(0);
    torch::manual_seed(1);
    torch::Tensor ours = torch::randn({7, 3}).requires_grad_();
    torch::Tensor theirs = ours.detach().clone().requires_grad_();
    Optimization optimization(train, {ours}, 10);
    std::unique_ptr<torch::optim::Optimizer> reference;
    const double lr = train.peak_lr();
    if (optimizer == v1::OPTIMIZER_SGD) {
      reference = std::make_unique<torch::optim::SGD>(
          std::vector{theirs}, torch::optim::SGDOptions(lr).momentum(0.9).weight_decay(0.1));
    } else if (optimizer == v1::OPTIMIZER_ADAMW) {
      reference = std::make_unique<torch::optim::AdamW>(
          std::vector{theirs}, torch::optim::AdamWOptions(lr).weight_decay(0.1));
    } else {
      reference = std::make_unique<torch::optim::Adam>(
          std::vector{theirs}, torch::optim::AdamOptions(lr).weight_decay(0.1));
    }
    for (int step = 0; step < 10; ++step) {
      optimization.ZeroGradients();
      ours.pow(3).sum().backward();
      optimization.Step();
      reference->zero_grad();
      theirs.pow(3).sum().backward();
      reference->step();
    }
    EXPECT_TRUE(ours.equal(theirs)) << v1::Optimizer_Name(optimizer) << ours << theirs;
  }
}

}  // namespace
}  // namespace retort::distill
