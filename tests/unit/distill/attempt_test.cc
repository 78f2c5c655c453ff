#include "worker/distill/attempt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "attempt_fixture.h"
#include "common/spec/safetensors.h"
#include "worker/distill/checkpoint.h"
#include "worker/distill/failure.h"
#include "worker/distill/files.h"
#include "worker/distill/machine.h"
#include "worker/distill/out_of_memory.h"
#include "worker/distill/teacher.h"
#include "worker/distill/weights.h"

namespace retort::distill {
namespace {

using testing::HasSubstr;

TEST_F(AttemptTest, GivesACompleteResult) {
  auto spec = Job(ResNet(4, 4), Scratch(), 2);
  spec.add_evaluate()->set_sha256("other");
  const auto finished = Finish(JobOf(spec));
  const auto& result = finished.result();
  ASSERT_EQ(result.evaluations_size(), 2);
  // 2 test subjects of 20 windows; all 3 subjects of the other dataset.
  EXPECT_EQ(result.evaluations(0).dataset_sha256(), "data");
  EXPECT_EQ(result.evaluations(0).overall().windows(), 40);
  EXPECT_EQ(result.evaluations(0).subjects_size(), 2);
  EXPECT_EQ(result.evaluations(1).overall().windows(), 30);
  EXPECT_EQ(result.evaluations(1).subjects_size(), 3);
  EXPECT_EQ(result.validation().windows(), 20);
  EXPECT_DOUBLE_EQ(result.evaluations(0).overall().floor_fft_bpm(), 20);
  EXPECT_EQ(result.cost().params(), 1668);
  EXPECT_GT(result.cost().latency_ms(), 0);
  EXPECT_GE(result.cost().latency_p95_ms(), result.cost().latency_ms());
  EXPECT_NE(result.cost().latency_machine(), "");
  EXPECT_FALSE(result.has_weights());
  EXPECT_EQ(result.epochs(), 2);
  EXPECT_EQ(result.metric_points(), points_);
  EXPECT_GT(points_, 0);
  EXPECT_THAT(result.numeric_fingerprint(), HasSubstr("threads=1"));
  const auto weights = ReadWholeFile(finished.weights_path());
  ASSERT_TRUE(weights.ok());
  EXPECT_NO_THROW(ParseWeights(*weights, "w", spec.model(), 200));
}

TEST_F(AttemptTest, MeasuresTheLatencyOfAnArchitectureOnce) {
  auto spec = Job(Mlp(8, 1), Scratch(), 1);
  const double first = Finish(JobOf(spec)).result().cost().latency_ms();
  spec.set_seed(1);
  *spec.mutable_method() = Scratch(3);
  EXPECT_EQ(Finish(JobOf(spec)).result().cost().latency_ms(), first);
}

// All but what a clock says.
v1::JobResult WithoutTimings(v1::JobResult result) {
  for (const char* name : {"train_s", "samples_per_s", "metric_points"}) {
    result.GetReflection()->ClearField(&result, result.GetDescriptor()->FindFieldByName(name));
  }
  return result;
}

TEST_F(AttemptTest, StoppedAndResumedItEndsWithTheSameWeightsAndResult) {
  auto job = JobOf(Job(ResNet(4, 4), Scratch(3), 4));
  const auto whole = Finish(job);
  const std::string weights = *ReadWholeFile(whole.weights_path());
  job.set_checkpoint_every_s(1e-9);
  stop_at_ = 5;
  EXPECT_EQ(Fail(job).cause(), v1::FAILURE_CAUSE_PREEMPTED);
  stop_ = false;
  stop_at_ = 0;
  job.set_checkpoint_path(checkpoints_.back().path());
  job.set_checkpoint_every_s(0);
  job.set_work_dir(folder_ + "/second");
  attempts_ = std::make_unique<AttemptRunner>();
  const auto resumed = Finish(job);
  EXPECT_THAT(log_, HasSubstr("goes on from epoch 2, step 0"));
  EXPECT_EQ(checkpoints_.back().epochs_done(), 2);
  EXPECT_EQ(*ReadWholeFile(resumed.weights_path()), weights);
  EXPECT_EQ(WithoutTimings(resumed.result()).DebugString(),
            WithoutTimings(whole.result()).DebugString());
  EXPECT_FALSE(resumed.result().mixed());
  EXPECT_LT(resumed.result().metric_points(), whole.result().metric_points());
}

TEST_F(AttemptTest, ResumedUnderAnotherFingerprintItsResultIsMixed) {
  auto job = JobOf(Job(ResNet(4, 4), Scratch(), 2));
  job.set_checkpoint_every_s(1e-9);
  stop_at_ = 2;
  Fail(job);
  stop_ = false;
  stop_at_ = 0;
  auto checkpoint = *ParseCheckpoint(*ReadWholeFile(checkpoints_.back().path()), "c", job.job());
  checkpoint.fingerprint = "another machine";
  ASSERT_TRUE(WriteFileWhole(folder_ + "/c", SerializeCheckpoint(checkpoint)).ok());
  job.set_checkpoint_path(folder_ + "/c");
  // Also what goes on from a checkpoint of that attempt.
  for (int i = 0; i < 2; ++i) {
    checkpoints_.clear();
    EXPECT_TRUE(Finish(job).result().mixed());
    job.set_checkpoint_path(checkpoints_.back().path());
  }
}

TEST_F(AttemptTest, WithoutItsCheckpointItBeginsAgain) {
  auto job = JobOf(Job(ResNet(4, 4), Scratch(), 2));
  const std::string weights = *ReadWholeFile(Finish(job).weights_path());
  ASSERT_TRUE(WriteFileWhole(folder_ + "/c", "no checkpoint").ok());
  job.set_checkpoint_path(folder_ + "/c");
  EXPECT_EQ(*ReadWholeFile(Finish(job).weights_path()), weights);
  EXPECT_THAT(log_, HasSubstr("begins again, without its checkpoint: " + folder_ + "/c"));
}

TEST_F(AttemptTest, StoppedWhileItIsEvaluatedItHasNothingToTrainAgain) {
  auto job = JobOf(Job(ResNet(4, 4), Scratch(), 2));
  stop_after_points_ = true;
  EXPECT_EQ(Fail(job).cause(), v1::FAILURE_CAUSE_PREEMPTED);
  stop_after_points_ = false;
  stop_ = false;
  ASSERT_EQ(checkpoints_.size(), 1u);
  EXPECT_EQ(checkpoints_[0].epochs_done(), 2);
  job.set_checkpoint_path(checkpoints_[0].path());
  EXPECT_EQ(Finish(job).result().metric_points(), 0);
}

TEST_F(AttemptTest, WithPatienceTheResultTellsTheEpochsThatWereRun) {
  auto spec = Job(ResNet(4, 4), Scratch(), 60);
  spec.mutable_train()->set_keep(v1::KEEP_BEST);
  spec.mutable_train()->set_schedule(v1::SCHEDULE_CONSTANT);
  spec.mutable_train()->set_peak_lr(0.1);
  spec.mutable_train()->set_patience(2);
  const auto result = Finish(JobOf(spec)).result();
  EXPECT_LT(result.epochs(), 60);
  EXPECT_EQ(result.epochs(), result.kept_epoch() + 3);
  EXPECT_THAT(log_, HasSubstr("ends after epoch " + std::to_string(result.epochs()) +
                              ": no smaller validation error for 2 epochs"));
}

TEST_F(AttemptTest, TimeLimitIsATimeout) {
  auto job = JobOf(Job(ResNet(4, 4), Scratch(), 100000));
  job.set_wall_limit_s(0.3);
  const auto failure = Fail(job);
  EXPECT_EQ(failure.cause(), v1::FAILURE_CAUSE_TIMEOUT);
  EXPECT_THAT(failure.message(), HasSubstr("wall limit of 0.3 s"));
}

class StudentTest : public AttemptTest {
 protected:
  StudentTest() {
    auto teacher = Job(ResNet(8, 4), Scratch(), 2);
    auto job = JobOf(teacher);
    job.set_work_dir(folder_ + "/teacher");
    weights_ = Finish(job).weights_path();
    student_ = Job(ResNet(4, 4), Soft(2), 2);
    student_.set_teacher_job("teacher");
    *student_.mutable_teacher_model() = teacher.model();
  }
  v1::RunJob StudentJob() {
    auto job = JobOf(student_);
    job.set_teacher_weights_path(weights_);
    return job;
  }
  std::vector<std::filesystem::path> CacheFiles() {
    std::vector<std::filesystem::path> out;
    for (const auto& entry :
         std::filesystem::directory_iterator(folder_ + "/cache/teacher-outputs")) {
      out.push_back(entry.path());
    }
    return out;
  }
  std::string Weights(const v1::RunnerFinished& finished) {
    return *ReadWholeFile(finished.weights_path());
  }

  std::string weights_;
  v1::TrainingSpec student_;
};

TEST_F(StudentTest, CachesOutputsOfTrainingWindowsAlone) {
  Finish(StudentJob());
  ASSERT_EQ(CacheFiles().size(), 1u);
  const auto file = Safetensors::ReadFile(CacheFiles()[0].string());
  ASSERT_TRUE(file.ok());
  // 6 subjects, 2 tested, 1 validated: 3 x 20 windows x 2 channels.
  EXPECT_THAT(file->Find("logits")->shape, testing::ElementsAre(120, 180));
  EXPECT_THAT(file->Find("features")->shape, testing::ElementsAre(120, 8));
}

TEST_F(StudentTest, OutputsFromMemoryDiskOrComputedGiveTheSameStudent) {
  const std::string computed = Weights(Finish(StudentJob()));
  EXPECT_EQ(Weights(Finish(StudentJob())), computed);  // from memory
  attempts_ = std::make_unique<AttemptRunner>();
  EXPECT_EQ(Weights(Finish(StudentJob())), computed);  // from disk
  // Damaged: cut short, then with one byte changed.
  for (const bool cut : {true, false}) {
    auto bytes = *ReadWholeFile(CacheFiles()[0].string());
    if (cut) {
      bytes.resize(bytes.size() / 2);
    } else {
      bytes[bytes.size() - 5] ^= 0x10;
    }
    ASSERT_TRUE(WriteFileWhole(CacheFiles()[0].string(), bytes).ok());
    attempts_ = std::make_unique<AttemptRunner>();
    EXPECT_EQ(Weights(Finish(StudentJob())), computed);
  }
}

TEST_F(StudentTest, EveryMethodRuns) {
  for (const auto& method : {Hard(), Dkd(2), Feature(v1::FEATURE_NORM_CHANNEL_STD)}) {
    *student_.mutable_method() = method;
    EXPECT_EQ(Finish(StudentJob()).result().cost().params(), 1668);
  }
  EXPECT_EQ(CacheFiles().size(), 1u);
}

TEST_F(StudentTest, FeaturesOfAnyStagesAreCompared) {
  auto weights_of = [&](const char* mine, const char* teachers) {
    *student_.mutable_method() = Feature(v1::FEATURE_NORM_CHANNEL_STD);
    auto& feature = *student_.mutable_method()->mutable_feature();
    if (*mine) feature.set_student_stage(mine);
    if (*teachers) feature.set_teacher_stage(teachers);
    return Weights(Finish(StudentJob()));
  };
  const std::string usual = weights_of("", "");
  EXPECT_EQ(weights_of("penultimate", ""), usual);
  EXPECT_NE(weights_of("block1", ""), usual);
  EXPECT_EQ(CacheFiles().size(), 1u);
  EXPECT_NE(weights_of("", "block0"), usual);
  EXPECT_EQ(CacheFiles().size(), 2u) << "outputs of another stage are other outputs";
}

TEST_F(StudentTest, DamagedOrMissingInputsAreArtifactFailures) {
  auto job = StudentJob();
  job.set_teacher_weights_path(folder_ + "/nowhere");
  EXPECT_EQ(Fail(job).cause(), v1::FAILURE_CAUSE_ARTIFACT);
  EXPECT_THAT(Fail(job).message(), HasSubstr("nowhere"));
  ASSERT_TRUE(WriteFileWhole(folder_ + "/short", ReadWholeFile(weights_)->substr(0, 999)).ok());
  job.set_teacher_weights_path(folder_ + "/short");
  EXPECT_EQ(Fail(job).cause(), v1::FAILURE_CAUSE_ARTIFACT);
  attempts_ = std::make_unique<AttemptRunner>();
  ASSERT_TRUE(WriteFileWhole(folder_ + "/data", "junk").ok());
  EXPECT_EQ(Fail(StudentJob()).cause(), v1::FAILURE_CAUSE_ARTIFACT);
}

TEST_F(AttemptTest, RefusesWhatItCannotRun) {
  auto spec = Job(ResNet(4, 4), Scratch(), 2);
  spec.set_trainer_version(77);
  EXPECT_EQ(Fail(JobOf(spec)).cause(), v1::FAILURE_CAUSE_INVALID);
  EXPECT_THAT(Fail(JobOf(spec)).message(), HasSubstr("spec.trainer_version: 77"));
  EXPECT_FALSE(started_);

  spec = Job(ResNet(4, 4), Scratch(), 2);
  spec.set_fold(9);
  EXPECT_THAT(Fail(JobOf(spec)).message(), HasSubstr("fold: 9"));

  spec.set_fold(0);
  spec.add_evaluate()->set_sha256("unknown");
  EXPECT_THAT(Fail(JobOf(spec)).message(), HasSubstr("no file for dataset unknown"));
  EXPECT_EQ(Fail(JobOf(spec)).cause(), v1::FAILURE_CAUSE_INVALID);
}

TEST_F(AttemptTest, WindowsOfAnotherLengthAreRefused) {
  auto shorter = SineDataset(2, 4);
  shorter.samples = 100;
  shorter.windows_WCL.resize(shorter.windows_WCL.size() / 2);
  Put("other", shorter);
  auto spec = Job(ResNet(4, 4), Scratch(), 2);
  spec.add_evaluate()->set_sha256("other");
  EXPECT_THAT(Fail(JobOf(spec)).message(), HasSubstr("windows of 100 samples"));
}

TEST_F(AttemptTest, AStopBeforeItBeginsIsPreemption) {
  stop_ = true;
  EXPECT_EQ(Fail(JobOf(Job(ResNet(4, 4), Scratch(), 2))).cause(), v1::FAILURE_CAUSE_PREEMPTED);
}

TEST_F(AttemptTest, ANetworkThatNoMemoryHoldsIsOutOfMemory) {
  // Some 4 GB of parameters, far above the address space that is left to the process meanwhile.
  auto spec = Job(Mlp(32000, 2), Scratch(), 1);
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  const rlimit tight{rlim_t{3} << 30, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &tight), 0);
  const auto failure = Fail(JobOf(spec));
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_EQ(failure.cause(), v1::FAILURE_CAUSE_OUT_OF_MEMORY) << failure.message();
}

// Jobs with a batch of 3000 windows, which needs more than 1 GiB at once, in processes of their own
// whose address space grows by 500 MiB at most.
class TightMemoryTest : public AttemptTest {
 protected:
  TightMemoryTest() { testing::GTEST_FLAG(death_test_style) = "threadsafe"; }

  // microbatch negative: unset.
  v1::RunJob LargeJob(int microbatch) {
    auto spec = Job(ResNet(32, 4), Scratch(), 1);
    auto& net = *spec.mutable_model()->mutable_resnet1d();
    net.set_kernel(1);  // little to compute, as much to keep
    net.set_dropout(0.1);
    spec.mutable_train()->set_batch(3000);
    if (microbatch >= 0) spec.mutable_train()->set_microbatch(microbatch);
    auto job = JobOf(spec);
    job.set_work_dir(folder_ + "/work" + std::to_string(microbatch));
    return job;
  }

  void Limit(rlim_t bytes) {
    const rlimit limit{bytes, RLIM_INFINITY};
    if (setrlimit(RLIMIT_AS, &limit) != 0) _exit(2);
  }

  Outcome RunTight(int microbatch) {
    Put("data", SineDataset(6, 1000));
    // As the runner does when it starts: OpenBLAS, without memory for its own work space, tries for
    // ever to get it, and keeps it once it has it.
    SetThreads(1);
    SlowBlasWarning();
    int64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    Limit(static_cast<rlim_t>(pages * ::getpagesize()) + (500 << 20));
    const auto outcome = Run(LargeJob(microbatch));
    Limit(RLIM_INFINITY);
    if (const auto* failure = std::get_if<v1::Failure>(&outcome)) {
      std::cerr << failure->message() << std::endl;
    }
    std::cerr << log_ << std::endl;
    return outcome;
  }

  [[noreturn]] void Leave(bool good) {
    std::filesystem::remove_all(folder_);
    _exit(good ? 0 : 1);
  }

  [[noreturn]] void FailForMemory() {
    const Outcome outcome = RunTight(-1);
    const auto* failure = std::get_if<v1::Failure>(&outcome);
    Leave(failure != nullptr && failure->cause() == v1::FAILURE_CAUSE_OUT_OF_MEMORY);
  }

  [[noreturn]] void FitInPieces() {
    const Outcome outcome = RunTight(100);
    const auto* done = std::get_if<v1::RunnerFinished>(&outcome);
    Leave(done != nullptr && done->result().microbatch() == 100);
  }

  // What failed before leaves no trace: with as many windows at once from the start it would have
  // ended with the same bits.
  [[noreturn]] void HalveUntilItFits() {
    const Outcome outcome = RunTight(0);
    const auto* done = std::get_if<v1::RunnerFinished>(&outcome);
    if (done == nullptr) Leave(false);
    const int used = done->result().microbatch();
    std::cerr << "took " << used << std::endl;
    if (used != 1500 && used != 750 && used != 375) Leave(false);
    const Outcome again = Run(LargeJob(used));
    const auto* wanted = std::get_if<v1::RunnerFinished>(&again);
    Leave(wanted != nullptr &&
          *ReadWholeFile(wanted->weights_path()) == *ReadWholeFile(done->weights_path()));
  }
};

TEST_F(TightMemoryTest, ABatchThatDoesNotFitIsOutOfMemory) {
  EXPECT_EXIT(FailForMemory(), testing::ExitedWithCode(0),
              "can't allocate memory|memory is not enough");
}

TEST_F(TightMemoryTest, InMicrobatchesItFits) {
  EXPECT_EXIT(FitInPieces(), testing::ExitedWithCode(0), "done in");
}

TEST_F(TightMemoryTest, AutoHalvesUntilItFitsAndGoesOnFromTheStateBefore) {
  EXPECT_EXIT(HalveUntilItFits(), testing::ExitedWithCode(0),
              "memory is not enough at step 0 of epoch 0: goes on with micro-batches of 1500");
}

TEST(OutOfMemoryTest, IsKnownByTypeAndByWords) {
  EXPECT_TRUE(IsOutOfMemory(std::bad_alloc()));
  EXPECT_TRUE(IsOutOfMemory(Failure(v1::FAILURE_CAUSE_OUT_OF_MEMORY, "x")));
  EXPECT_FALSE(IsOutOfMemory(Failure(v1::FAILURE_CAUSE_NUMERIC, "runs out of memory lane")));
  EXPECT_FALSE(IsOutOfMemory(std::runtime_error("shapes differ")));
  // As CUDA's allocator says it.
  try {
    TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate 2.00 GiB");
  } catch (const std::exception& error) {
    EXPECT_TRUE(IsOutOfMemory(error));
  }
  try {
    torch::empty({int64_t{1} << 50});
    FAIL();
  } catch (const std::exception& error) {
    EXPECT_TRUE(IsOutOfMemory(error)) << error.what();
  }
}

TEST_F(AttemptTest, WhatElseGoesWrongIsACrashThatSaysWhat) {
  auto job = JobOf(Job(ResNet(4, 4), Scratch(), 1));
  job.set_work_dir(folder_ + "/data/work");  // below a file
  const auto failure = Fail(job);
  EXPECT_EQ(failure.cause(), v1::FAILURE_CAUSE_CRASHED);
  EXPECT_THAT(failure.message(), HasSubstr(folder_ + "/data/work"));
}

}  // namespace
}  // namespace retort::distill
