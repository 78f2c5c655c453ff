// What a GPU would do, as far as a CPU can tell; with one, the same runs on both.
#include "worker/distill/device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "common/spec/labels.h"
#include "synthetic.h"
#include "worker/distill/attempt.h"
#include "worker/distill/evaluate.h"
#include "worker/distill/failure.h"
#include "worker/distill/files.h"
#include "worker/distill/layers.h"
#include "worker/distill/loss_watch.h"
#include "worker/distill/methods.h"
#include "worker/distill/trainer.h"
#include "worker/distill/weights.h"

namespace retort::distill {
namespace {

using testing::HasSubstr;
using testing::Not;

// Relative, of losses after some epochs in which two roundings drift apart.
constexpr double kTolerance = 2e-3;

std::vector<v1::MethodSpec> AllMethods() {
  return {Scratch(3), Hard(), Soft(2), Dkd(2), Feature(v1::FEATURE_NORM_CHANNEL_STD)};
}

std::string MessageOf(const std::function<void()>& run) {
  try {
    run();
  } catch (const Failure& failure) {
    EXPECT_NE(failure.cause(), v1::FAILURE_CAUSE_INVALID) << "the job would be given up";
    return failure.what();
  }
  return "no failure";
}

class DeviceTest : public testing::Test {
 protected:
  DeviceTest() : share_("", stop_) { at::set_num_threads(1); }

  // Runs on that device; the curves of the losses and of the validation.
  TrainedNetwork Run(const v1::TrainingSpec& spec, torch::Device device, bool as_on_gpu,
                     const Checkpoint* resume = nullptr) {
    const DeviceScope scope(device);
    const auto dataset = LoadDataset(SineDataset(6, 40), "data", device);
    const auto windows = SplitWindows(dataset->info, spec.split(), 0);
    torch::manual_seed(0);
    const auto items = static_cast<int64_t>(windows.train.size()) * 2;
    const TeacherOutputs teacher{torch::randn({items, 180}), torch::randn({items, 12})};
    curves_.clear();
    return Train({spec, *dataset, windows, &teacher, resume, as_on_gpu},
                 {.stop = stop_,
                  .share = share_,
                  .unix_ms = [] { return int64_t{7}; },
                  .on_epoch =
                      [this](int, int, const std::vector<v1::MetricPoint>& points) {
                        for (const auto& point : points) {
                          if (point.series() == "train.samples_per_s") continue;
                          curves_[point.series()].push_back(point.value());
                        }
                      },
                  .on_checkpoint =
                      [this](const Checkpoint& at) {
                        if (++checkpoints_ == stop_at_) {
                          kept_ = SerializeCheckpoint(at);
                          stop_ = true;
                        }
                      },
                  .checkpoint_every_s = stop_at_ > 0 ? 1e-9 : 0,
                  .check_time = [] {}});
  }

  // Values on `device` end near those of the own kernels on a CPU, for all methods.
  void ExpectParity(torch::Device device) {
    for (const auto& method : AllMethods()) {
      const auto spec = Job(ResNet(4, 4), method, 3);
      Run(spec, torch::kCPU, false);
      const auto expected = curves_;
      const auto trained = Run(spec, device, true);
      for (const auto& [name, tensor] : NamedTensors(*trained.network)) {
        EXPECT_EQ(tensor.device(), device) << name;
      }
      ASSERT_EQ(curves_.size(), expected.size());
      for (const auto& [series, values] : expected) {
        if (series == "val.mae_bpm") continue;  // a decoded rate may jump by a class
        for (size_t i = 0; i < values.size(); ++i) {
          EXPECT_NEAR(curves_[series].at(i), values[i], kTolerance * (std::abs(values[i]) + 0.1))
              << MethodLabel(method) << " " << series << ", epoch " << i;
        }
      }
    }
  }

  // A run that is stopped within an epoch and resumed ends with the bits of a whole one.
  void ExpectResumedBits(torch::Device device) {
    auto spec = Job(ResNet(4, 4), Feature(v1::FEATURE_NORM_L2), 3);
    spec.mutable_model()->mutable_resnet1d()->set_dropout(0.1);
    const std::string whole =
        SerializeWeights(*Run(spec, device, true).network, spec.model(), "j", 200);
    const auto curves = curves_;
    stop_at_ = 4;
    EXPECT_THAT(MessageOf([&] { Run(spec, device, true); }), HasSubstr("stopped between"));
    stop_ = false;
    stop_at_ = 0;
    const auto checkpoint = ParseCheckpoint(kept_, "c", "");
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.error();
    ASSERT_GT(checkpoint->step, 0);
    const auto resumed = Run(spec, device, true, &*checkpoint);
    EXPECT_EQ(SerializeWeights(*resumed.network, spec.model(), "j", 200), whole);
    EXPECT_EQ(curves_["train.loss"].back(), curves.at("train.loss").back());
  }

  std::atomic<bool> stop_ = false;
  TrainingShare share_;
  std::map<std::string, std::vector<double>> curves_;
  int checkpoints_ = 0;
  int stop_at_ = 0;
  std::string kept_;
};

TEST_F(DeviceTest, NamesAreCpuOrCudaWithANumber) {
  EXPECT_EQ(DeviceOf(""), torch::Device(torch::kCPU));
  EXPECT_EQ(DeviceOf("cpu"), torch::Device(torch::kCPU));
  EXPECT_EQ(DeviceText(torch::kCPU), "cpu");
  for (const std::string bad :
       {"gpu", "cuda", "cuda:", "cuda:x", "cuda:1x", "cuda:-1", "cuda:999"}) {
    EXPECT_THAT(MessageOf([&] { DeviceOf(bad); }),
                HasSubstr("device " + bad + ": unknown; must be cpu or cuda:N"));
  }
}

TEST_F(DeviceTest, AGpuThatIsNotThereIsTheWorkersFault) {
  const bool none = !torch::cuda::is_available();
  EXPECT_THAT(MessageOf([] { DeviceOf("cuda:127"); }),
              HasSubstr(none ? "device cuda:127: this LibTorch sees no GPU" : "this machine has"));
}

TEST_F(DeviceTest, AnAttemptOnAGpuThatIsNotThereFailsBeforeItReadsAnything) {
  const std::atomic<bool> stop = false;
  v1::RunJob job;
  *job.mutable_spec() = Job(ResNet(4, 4), Scratch(), 1);
  job.set_device("cuda:127");
  const auto outcome = AttemptRunner().Run(job, {.stop = stop, .lock_folder = ""});
  const auto& failure = std::get<v1::Failure>(outcome);
  EXPECT_EQ(failure.cause(), v1::FAILURE_CAUSE_CRASHED);
  EXPECT_THAT(failure.message(), HasSubstr("device cuda:127: "));
}

TEST_F(DeviceTest, TheWayOfAGpuEndsNearTheOwnKernels) { ExpectParity(torch::kCPU); }

TEST_F(DeviceTest, TheWayOfAGpuIsNotThatOfTheOwnKernels) {
  const auto spec = Job(ResNet(4, 4), Scratch(), 2);
  const auto weights = [&](bool as_on_gpu) {
    return SerializeWeights(*Run(spec, torch::kCPU, as_on_gpu).network, spec.model(), "j", 200);
  };
  EXPECT_NE(weights(true), weights(false)) << "the same bits: what was compared is one way";
}

TEST_F(DeviceTest, TheWayOfAGpuResumesWithTheSameBits) { ExpectResumedBits(torch::kCPU); }

// Drops alone.
struct Dropper : Network {
  NetworkOutput Forward(const torch::Tensor& x, int) override { return {Dropout(x, 0.5), x}; }
};

// Tensors of the meta device have no numbers, and an operation on one of them and one of the CPU
// is an error: what a step makes by itself follows its inputs. (Convolutions,
// and the logsumexp of dkd, have no such form in LibTorch 1.13.)
TEST_F(DeviceTest, DropoutAndLossesMakeNoTensorOnAnotherDevice) {
  const auto meta = torch::TensorOptions().device(torch::kMeta);
  for (const auto& method : {Scratch(3), Hard(), Soft(2), Feature(v1::FEATURE_NORM_L2)}) {
    LossInputs inputs;
    inputs.logits_BK = Dropper().Forward(torch::empty({8, 180}, meta), 0).logits_BK;
    inputs.classes_B = torch::empty({8}, meta.dtype(torch::kLong));
    inputs.targets_BK = torch::empty({8, 180}, meta);
    inputs.teacher_logits_BK = torch::empty({8, 180}, meta);
    inputs.teacher_features_BF = torch::empty({8, 12}, meta);
    inputs.projected_BF = torch::empty({8, 12}, meta);
    EXPECT_TRUE(ComputeLoss(method, inputs, 0).total.is_meta()) << MethodLabel(method);
  }
  EXPECT_THROW(torch::empty({8}, meta) * torch::ones({8}), c10::Error) << "it notices nothing";
}

TEST(LossWatch, LateItSaysWhatItWouldHaveSaidAtOnce) {
  const auto run = [](bool late, int bad_step) {
    LossWatch watch(late);
    return MessageOf([&] {
      for (int step = 0; step < 200; ++step) {
        watch.BeginStep(step, step / 50);
        const double loss = step == bad_step ? NAN : 1 + step / 64.0;
        watch.Add(torch::tensor(static_cast<float>(loss)), 0.5);
        watch.Add(torch::tensor(2.0F), 0.5);
        watch.EndStep();
      }
      watch.Look();
      EXPECT_EQ(watch.last(), 1.5 + 199 / 128.0);
    });
  };
  for (const int bad_step : {0, 1, 63, 64, 130, 199}) {
    EXPECT_EQ(run(true, bad_step), run(false, bad_step));
    EXPECT_THAT(run(true, bad_step), HasSubstr("at step " + std::to_string(bad_step) + " (epoch"));
  }
  EXPECT_EQ(run(true, 200), "no failure");
  EXPECT_EQ(run(false, 200), "no failure");
}

TEST(LossWatch, AStepThatIsTakenAgainCountsOnce) {
  for (const bool late : {false, true}) {
    LossWatch watch(late);
    watch.BeginStep(0, 0);
    watch.Add(torch::tensor(100.0F), 0.5);
    watch.BeginStep(0, 0);  // memory was not enough
    watch.Add(torch::tensor(3.0F), 1);
    watch.EndStep();
    watch.Look();
    EXPECT_EQ(watch.last(), 3);
  }
}

// On a machine with a GPU and a LibTorch for it.
class GpuTest : public DeviceTest {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) {
      GTEST_SKIP() << "NOT RUN: this LibTorch sees no GPU; the CUDA paths were not executed";
    }
  }
};

TEST_F(GpuTest, EndsNearTheCpu) { ExpectParity(DeviceOf("cuda:0")); }

TEST_F(GpuTest, ResumesWithTheSameBits) { ExpectResumedBits(DeviceOf("cuda:0")); }

TEST_F(GpuTest, AnAttemptRunsThereAndItsResultNamesTheGpu) {
  const std::string folder = EmptyFolder("gpu");
  ASSERT_TRUE(WriteFileWhole(folder + "/data", SerializeDataset(SineDataset(6, 20))).ok());
  v1::RunJob job;
  *job.mutable_spec() = Job(ResNet(4, 4), Scratch(), 2);
  (*job.mutable_dataset_paths())["data"] = folder + "/data";
  job.set_work_dir(folder + "/work");
  job.set_cache_dir(folder + "/cache");
  job.set_device("cuda:0");
  const auto outcome = AttemptRunner().Run(job, {.stop = stop_,
                                                 .lock_folder = folder,
                                                 .unix_ms = [] { return int64_t{1}; },
                                                 .on_started = [] {},
                                                 .on_progress = [](const auto&) {},
                                                 .on_checkpoint = [](const auto&) {},
                                                 .log = [](const auto&) {}});
  ASSERT_TRUE(std::holds_alternative<v1::RunnerFinished>(outcome))
      << std::get<v1::Failure>(outcome).message();
  const auto& result = std::get<v1::RunnerFinished>(outcome).result();
  EXPECT_THAT(result.numeric_fingerprint(), HasSubstr("device=cuda:"));
  EXPECT_THAT(result.numeric_fingerprint(), Not(HasSubstr("unknown GPU")));
  EXPECT_GT(result.cost().latency_ms(), 0);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace retort::distill
