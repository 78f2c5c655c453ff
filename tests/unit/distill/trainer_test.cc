#include "worker/distill/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "synthetic.h"
#include "worker/distill/autocast.h"
#include "worker/distill/evaluate.h"
#include "worker/distill/failure.h"
#include "worker/distill/losses.h"
#include "worker/distill/microbatch.h"
#include "worker/distill/weights.h"

namespace retort::distill {
namespace {

using testing::HasSubstr;

class TrainerTest : public testing::Test {
 protected:
  TrainerTest()
      : dataset_(LoadDataset(SineDataset(6, 60), "data")),
        windows_(SplitWindows(dataset_->info, Job(ResNet(4, 4), Scratch(), 1).split(), 0)),
        share_(EmptyFolder("trainer"), stop_) {
    at::set_num_threads(1);
    torch::manual_seed(0);
    const auto items = static_cast<int64_t>(windows_.train.size()) * 2;
    teacher_.logits_IK = torch::randn({items, 180});
    teacher_.features_IF = torch::randn({items, 12});
  }

  TrainedNetwork Run(const v1::TrainingSpec& spec) {
    points_.clear();
    return Train({spec, *dataset_, windows_, &teacher_}, Hooks());
  }
  TrainingHooks Hooks() {
    return {.stop = stop_,
            .share = share_,
            .unix_ms = [] { return int64_t{7}; },
            .on_epoch =
                [this](int done, int epochs, const std::vector<v1::MetricPoint>& points) {
                  epochs_done_ = done;
                  epochs_ = epochs;
                  for (const auto& point : points) points_[point.series()].push_back(point.value());
                  if (done == stop_after_) stop_ = true;
                },
            .on_checkpoint = [](const Checkpoint&) {},
            .check_time = [] {}};
  }
  double TestMae(Network& network) {
    return Evaluate(EstimateWindows(network, *dataset_, windows_.test, [] {}),
                    dataset_->info.subjects, MeanBpm(dataset_->info, windows_.train))
        .overall()
        .mae_bpm();
  }

  std::shared_ptr<const LoadedDataset> dataset_;
  FoldWindows windows_;
  TeacherOutputs teacher_;
  std::atomic<bool> stop_ = false;
  TrainingShare share_;
  std::map<std::string, std::vector<double>> points_;
  int epochs_done_ = 0;
  int epochs_ = 0;
  int stop_after_ = -1;
};

bool SameWeights(const Network& a, const Network& b) {
  const auto left = NamedTensors(a), right = NamedTensors(b);
  for (size_t i = 0; i < left.size(); ++i) {
    if (!left[i].second.equal(right[i].second)) return false;
  }
  return left.size() == right.size();
}

TEST_F(TrainerTest, PartsOfAFoldShareNoSubjectAndNoWindow) {
  for (int fold = 0; fold < 3; ++fold) {
    const auto windows =
        SplitWindows(dataset_->info, Job(ResNet(4, 4), Scratch(), 1).split(), fold);
    std::set<int> subjects[3];
    size_t count = 0;
    int part = 0;
    for (const auto* list : {&windows.train, &windows.validation, &windows.test}) {
      for (int64_t w : *list) subjects[part].insert(dataset_->info.subject_W[w]);
      count += list->size();
      ++part;
    }
    EXPECT_EQ(count, 360u);
    EXPECT_EQ(subjects[0].size() + subjects[1].size() + subjects[2].size(), 6u);
    EXPECT_EQ(subjects[1].size(), 1u);
    EXPECT_EQ(subjects[2].size(), 2u);
  }
}

TEST_F(TrainerTest, LearnsTheRateOfASine) {
  auto spec = Job(ResNet(8, 4), Scratch(3), 25);
  const auto trained = Run(spec);
  const double floor = Evaluate(EstimateWindows(*trained.network, *dataset_, windows_.test, [] {}),
                                dataset_->info.subjects, MeanBpm(dataset_->info, windows_.train))
                           .overall()
                           .floor_mean_bpm();
  EXPECT_GT(floor, 10);
  EXPECT_LT(TestMae(*trained.network), floor / 3);
  EXPECT_LT(points_["val.mae_bpm"].back(), points_["val.mae_bpm"].front());
  EXPECT_GT(trained.samples_per_s, 0);
}

TEST_F(TrainerTest, TheSameSpecGivesTheSameBits) {
  for (const auto& method : {Scratch(3), Dkd(2), Feature(v1::FEATURE_NORM_CHANNEL_STD)}) {
    auto spec = Job(ResNet(4, 4), method, 3);
    spec.mutable_model()->mutable_resnet1d()->set_dropout(0.1);
    const auto a = Run(spec);
    const auto points = points_;
    const auto b = Run(spec);
    EXPECT_TRUE(SameWeights(*a.network, *b.network));
    for (const auto& [series, values] : points) {
      if (series == "train.samples_per_s") continue;
      EXPECT_EQ(values, points_[series]) << series;
    }
    spec.set_seed(1);
    EXPECT_FALSE(SameWeights(*a.network, *Run(spec).network));
  }
}

TEST_F(TrainerTest, InitialisationDoesNotDependOnTheMethod) {
  // A rate that is 0 in single precision leaves the initial weights; an epoch shows the order and
  // the channels by the batch norms.
  std::vector<std::shared_ptr<Network>> networks;
  for (const auto& method : {Scratch(), Hard(), Soft(2), Dkd(2), Feature(v1::FEATURE_NORM_L2)}) {
    auto spec = Job(ResNet(4, 4), method, 1);
    spec.mutable_train()->set_optimizer(v1::OPTIMIZER_SGD);
    spec.mutable_train()->set_peak_lr(1e-60);
    networks.push_back(Run(spec).network);
    EXPECT_TRUE(SameWeights(*networks[0], *networks.back())) << method.ShortDebugString();
  }
}

TEST_F(TrainerTest, NeverReadsTestWindowsAndLearnsFromTrainingWindowsAlone) {
  const auto spec = Job(ResNet(4, 4), Soft(2), 2);
  const auto expected = Run(spec).network;
  const auto expected_points = points_;
  // Other numbers in test and validation windows change nothing that is learnt.
  auto spoilt = SineDataset(6, 60);
  for (const auto* part : {&windows_.test, &windows_.validation}) {
    for (int64_t w : *part) {
      spoilt.bpm_W[w] = 200;
      std::fill_n(spoilt.windows_WCL.begin() + w * 400, 400, 1e6f);
    }
  }
  dataset_ = LoadDataset(std::move(spoilt), "data");
  const auto trained = Run(spec).network;
  EXPECT_TRUE(SameWeights(*expected, *trained));
  EXPECT_EQ(expected_points.at("train.loss"), points_["train.loss"]);
  // They would be noticed: the validation error is another.
  EXPECT_NE(expected_points.at("val.mae_bpm"), points_["val.mae_bpm"]);
}

TEST_F(TrainerTest, SendsTheSeriesOfItsMethodOncePerEpoch) {
  Run(Job(ResNet(4, 4), Dkd(2), 3));
  std::vector<std::string> series;
  for (const auto& [name, values] : points_) {
    series.push_back(name);
    EXPECT_EQ(values.size(), 3u) << name;
  }
  EXPECT_THAT(series,
              testing::ElementsAre("lr", "train.ce", "train.kd", "train.loss", "train.nckd",
                                   "train.samples_per_s", "train.tckd", "val.ce", "val.mae_bpm"));
  windows_.validation.clear();
  Run(Job(ResNet(4, 4), Scratch(), 1));
  EXPECT_EQ(points_.count("val.mae_bpm"), 0u);
}

TEST_F(TrainerTest, KeepsTheBestEpochByValidation) {
  auto spec = Job(ResNet(4, 4), Scratch(), 8);
  spec.mutable_train()->set_keep(v1::KEEP_BEST);
  // A rate that spoils the weights again and again.
  spec.mutable_train()->set_schedule(v1::SCHEDULE_CONSTANT);
  spec.mutable_train()->set_peak_lr(0.1);
  const auto trained = Run(spec);
  const auto& mae = points_["val.mae_bpm"];
  const auto best = std::min_element(mae.begin(), mae.end()) - mae.begin();
  EXPECT_EQ(trained.kept_epoch, best);
  const double kept =
      Evaluate(EstimateWindows(*trained.network, *dataset_, windows_.validation, [] {}),
               dataset_->info.subjects, 0)
          .overall()
          .mae_bpm();
  EXPECT_DOUBLE_EQ(kept, mae[best]);
}

TEST_F(TrainerTest, PatienceEndsTheRunSoManyEpochsBehindTheBest) {
  auto spec = Job(ResNet(4, 4), Scratch(), 40);
  spec.mutable_train()->set_keep(v1::KEEP_BEST);
  spec.mutable_train()->set_schedule(v1::SCHEDULE_CONSTANT);
  spec.mutable_train()->set_peak_lr(0.1);
  const auto whole = Run(spec);
  const std::vector<double> mae = points_["val.mae_bpm"];
  ASSERT_EQ(whole.epochs, 40);
  for (const int patience : {1, 3}) {
    int best = 0, end = 0;
    for (; end < 40; ++end) {
      if (mae[end] < mae[best]) best = end;
      if (end - best >= patience) break;
    }
    ASSERT_LT(end, 39) << "the curve has no such plateau";
    spec.mutable_train()->set_patience(patience);
    const auto trained = Run(spec);
    EXPECT_EQ(trained.epochs, end + 1);
    EXPECT_EQ(trained.kept_epoch, best);
    EXPECT_EQ(points_["val.mae_bpm"], std::vector<double>(mae.begin(), mae.begin() + end + 1));
    EXPECT_EQ(epochs_done_, end + 1);
    EXPECT_EQ(epochs_, end + 1) << "nothing is left to do";
    const double kept =
        Evaluate(EstimateWindows(*trained.network, *dataset_, windows_.validation, [] {}),
                 dataset_->info.subjects, 0)
            .overall()
            .mae_bpm();
    EXPECT_DOUBLE_EQ(kept, mae[best]);
  }
}

// The momentum of SGD after its first step is the gradient.
TEST_F(TrainerTest, MicrobatchesAddUpToTheGradientOfTheBatch) {
  for (const auto& method : {Scratch(3), Hard(), Soft(2), Dkd(2), Feature(v1::FEATURE_NORM_L2)}) {
    auto spec = Job(Mlp(16, 2), method, 1);
    auto& train = *spec.mutable_train();
    train.set_batch(180);  // all that is trained on
    train.set_optimizer(v1::OPTIMIZER_SGD);
    train.set_clip(0);
    const auto whole = Run(spec);
    const double loss = points_["train.loss"][0];
    EXPECT_EQ(whole.microbatch, 0);
    for (const int microbatch : {2, 50, 179}) {
      SCOPED_TRACE(method.ShortDebugString() + " by " + std::to_string(microbatch));
      train.set_microbatch(microbatch);
      const auto pieces = Run(spec);
      EXPECT_EQ(pieces.microbatch, microbatch);
      const torch::Tensor ours = pieces.end.optimizer[0].second;
      const torch::Tensor wanted = whole.end.optimizer[0].second;
      EXPECT_GT(wanted.abs().max().item<double>(), 1e-3);
      EXPECT_LT((ours - wanted).abs().max().item<double>(), 1e-6);
      EXPECT_NEAR(points_["train.loss"][0], loss, 1e-5);
      train.clear_microbatch();
    }
  }
}

// Batch norm sees a micro-batch alone.
TEST_F(TrainerTest, UnderBatchNormMicrobatchesAreAnotherComputation) {
  auto spec = Job(ResNet(4, 4), Scratch(), 1);
  const auto whole = Run(spec);
  spec.mutable_train()->set_microbatch(16);
  EXPECT_FALSE(SameWeights(*whole.network, *Run(spec).network));
}

TEST_F(TrainerTest, WhereMemoryIsEnoughAutoIsTheWholeBatch) {
  auto spec = Job(ResNet(4, 4), Scratch(), 2);
  const auto whole = Run(spec);
  spec.mutable_train()->set_microbatch(0);
  const auto automatic = Run(spec);
  EXPECT_TRUE(SameWeights(*whole.network, *automatic.network));
  EXPECT_EQ(automatic.microbatch, 32);
}

TEST_F(TrainerTest, Bf16LearnsAsWellAndIsAnotherComputation) {
  for (const auto& model : {ResNet(8, 4), Mlp(64, 1)}) {
    auto spec = Job(model, Soft(2, 0), 15);
    spec.mutable_method()->mutable_soft()->set_sigma(3);
    const auto fp32 = Run(spec);
    const double loss = points_["train.loss"].back();
    spec.mutable_train()->set_precision(v1::PRECISION_FP32);
    EXPECT_TRUE(SameWeights(*fp32.network, *Run(spec).network)) << "what is done when left out";
    spec.mutable_train()->set_precision(v1::PRECISION_BF16);
    const auto bf16 = Run(spec);
    const double loss_bf16 = points_["train.loss"].back();
    EXPECT_FALSE(SameWeights(*fp32.network, *bf16.network));
    EXPECT_TRUE(SameWeights(*bf16.network, *Run(spec).network)) << "the same bits again";
    for (const auto& [name, tensor] : NamedTensors(*bf16.network)) {
      EXPECT_EQ(tensor.scalar_type(), torch::kFloat) << name;
    }
    EXPECT_NE(loss_bf16, loss);
    EXPECT_NEAR(loss_bf16, loss, 0.1);
    EXPECT_NEAR(TestMae(*bf16.network), TestMae(*fp32.network), 2) << model.ShortDebugString();
    EXPECT_FALSE(AutocastIsOn(torch::kCPU));
  }
}

// Weights that were cast in one pass must not serve the next, after the optimiser changed them.
TEST(AutocastTest, CastsAnewInEachPass) {
  torch::Tensor weight = torch::ones({4, 4}).requires_grad_();
  const torch::Tensor x = torch::ones({1, 4});
  for (const double value : {1.0, 2.0}) {
    {
      torch::NoGradGuard no_grad;
      weight.fill_(value);
    }
    const Autocast autocast(v1::PRECISION_BF16, torch::kCPU);
    EXPECT_TRUE(AutocastIsOn(torch::kCPU));
    EXPECT_FALSE(AutocastIsOn(torch::kCUDA));
    const torch::Tensor y = torch::mm(x, weight);
    EXPECT_EQ(y.scalar_type(), torch::kBFloat16);
    EXPECT_EQ(y[0][0].item<double>(), 4 * value);
  }
  const Autocast none(v1::PRECISION_UNSPECIFIED, torch::kCPU);
  EXPECT_FALSE(AutocastIsOn(torch::kCPU));
  EXPECT_EQ(torch::mm(x, weight).scalar_type(), torch::kFloat);
}

// Without a GPU only the switch can be tried.
TEST(AutocastTest, SwitchesTheDeviceItIsAskedFor) {
  {
    const Autocast autocast(v1::PRECISION_BF16, torch::kCUDA);
    EXPECT_TRUE(AutocastIsOn(torch::kCUDA));
    EXPECT_FALSE(AutocastIsOn(torch::kCPU));
  }
  EXPECT_FALSE(AutocastIsOn(torch::kCUDA));
}

TEST(MicrobatchTest, HalvesWhereTheSpecAllowsIt) {
  v1::TrainSpec train;
  train.set_batch(100);
  Microbatch unset(train);
  EXPECT_FALSE(unset.Halve(100));
  EXPECT_EQ(unset.recorded(), 0);
  EXPECT_THAT(unset.Borders(100), testing::ElementsAre(0, 100));
  EXPECT_THAT(unset.Borders(101), testing::ElementsAre(0, 101)) << "the last step of an epoch";
  train.set_microbatch(40);
  Microbatch fixed(train);
  EXPECT_FALSE(fixed.Halve(100));
  EXPECT_EQ(fixed.recorded(), 40);
  EXPECT_THAT(fixed.Borders(100), testing::ElementsAre(0, 40, 80, 100));
  EXPECT_THAT(fixed.Borders(81), testing::ElementsAre(0, 40, 81));
  train.set_microbatch(0);
  Microbatch automatic(train);
  std::vector<int64_t> sizes = {automatic.recorded()};
  while (automatic.Halve(60)) sizes.push_back(automatic.recorded());
  EXPECT_THAT(sizes, testing::ElementsAre(100, 30, 15, 7, 3)) << "a step of 60 was too much";
}

TEST_F(TrainerTest, RefusesBestWithoutValidation) {
  auto spec = Job(ResNet(4, 4), Scratch(), 2);
  spec.mutable_train()->set_keep(v1::KEEP_BEST);
  windows_.validation.clear();
  try {
    Run(spec);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.cause(), v1::FAILURE_CAUSE_INVALID);
    EXPECT_THAT(failure.what(), HasSubstr("spec.train.keep: best"));
  }
}

TEST_F(TrainerTest, ALossThatIsNotFiniteNamesItsStep) {
  auto spec = Job(ResNet(4, 4), Soft(2), 2);
  teacher_.logits_IK.fill_(NAN);
  try {
    Run(spec);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.cause(), v1::FAILURE_CAUSE_NUMERIC);
    EXPECT_THAT(failure.what(), HasSubstr("at step 0 (epoch 0)"));
  }
}

TEST_F(TrainerTest, LeavesBetweenStepsWhenStopped) {
  stop_after_ = 2;
  try {
    Run(Job(ResNet(4, 4), Scratch(), 1000));
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.cause(), v1::FAILURE_CAUSE_PREEMPTED);
  }
  EXPECT_EQ(epochs_done_, 2);
}

TEST_F(TrainerTest, EveryOptimizerAndScheduleLearns) {
  for (const auto optimizer : {v1::OPTIMIZER_ADAM, v1::OPTIMIZER_ADAMW, v1::OPTIMIZER_SGD}) {
    for (const auto schedule :
         {v1::SCHEDULE_ONE_CYCLE, v1::SCHEDULE_COSINE, v1::SCHEDULE_CONSTANT}) {
      auto spec = Job(Mlp(16, 1), Scratch(), 4);
      spec.mutable_train()->set_optimizer(optimizer);
      spec.mutable_train()->set_schedule(schedule);
      Run(spec);
      EXPECT_LT(points_["train.loss"].back(), points_["train.loss"].front())
          << optimizer << " " << schedule;
    }
  }
}

TEST(EpochTest, DrawsEveryWindowOnceAndBothChannels) {
  Rng rng(1);
  const auto items = DrawEpoch(100, 2, v1::CHANNEL_DRAW_RANDOM, rng);
  std::set<int64_t> windows;
  int second = 0;
  for (int64_t item : items) {
    windows.insert(item / 2);
    second += item % 2;
  }
  EXPECT_EQ(windows.size(), 100u);
  EXPECT_GT(second, 30);
  EXPECT_LT(second, 70);
  EXPECT_NE(items, DrawEpoch(100, 2, v1::CHANNEL_DRAW_RANDOM, rng));
  auto each = DrawEpoch(100, 2, v1::CHANNEL_DRAW_EACH, rng);
  EXPECT_FALSE(std::is_sorted(each.begin(), each.end()));
  EXPECT_EQ(std::set<int64_t>(each.begin(), each.end()).size(), 200u);
}

TEST(EpochTest, NoStepHasASingleWindow) {
  EXPECT_THAT(StepBorders(10, 4), testing::ElementsAre(0, 4, 8, 10));
  EXPECT_THAT(StepBorders(9, 4), testing::ElementsAre(0, 4, 9));
  EXPECT_THAT(StepBorders(8, 4), testing::ElementsAre(0, 4, 8));
  EXPECT_THAT(StepBorders(3, 4), testing::ElementsAre(0, 3));
}

TEST(StreamSeedTest, DependsOnArchitectureSeedFoldAndPurpose) {
  std::set<uint64_t> seeds;
  for (const char* architecture : {"resnet1d-4/4", "resnet1d-8/4"}) {
    for (int seed : {0, 1, 2}) {
      for (int fold : {0, 1, 2}) {
        for (const char* purpose : {"weights", "order"}) {
          seeds.insert(StreamSeed(architecture, seed, fold, purpose));
        }
      }
    }
  }
  EXPECT_EQ(seeds.size(), 36u);
}

}  // namespace
}  // namespace retort::distill
