// Runs attempts as a runner does, on two small datasets.
#ifndef RETORT_TESTS_UNIT_DISTILL_ATTEMPT_FIXTURE_H_
#define RETORT_TESTS_UNIT_DISTILL_ATTEMPT_FIXTURE_H_

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>
#include <variant>

#include "synthetic.h"
#include "worker/distill/attempt.h"
#include "worker/distill/files.h"

namespace retort::distill {

using Outcome = std::variant<v1::RunnerFinished, v1::Failure>;

class AttemptTest : public testing::Test {
 protected:
  AttemptTest() : folder_(EmptyFolder("attempt")) {
    Put("data", SineDataset(6, 20));
    Put("other", SineDataset(3, 10));
  }
  ~AttemptTest() override { std::filesystem::remove_all(folder_); }

  void Put(const std::string& name, const Dataset& dataset) {
    ASSERT_TRUE(WriteFileWhole(folder_ + "/" + name, SerializeDataset(dataset)).ok());
  }
  v1::RunJob JobOf(const v1::TrainingSpec& spec) {
    v1::RunJob job;
    job.set_job("j");
    *job.mutable_spec() = spec;
    for (const char* name : {"data", "other"}) {
      (*job.mutable_dataset_paths())[name] = folder_ + "/" + name;
    }
    job.set_work_dir(folder_ + "/work");
    job.set_cache_dir(folder_ + "/cache");
    job.set_threads(1);
    return job;
  }
  Outcome Run(const v1::RunJob& job) {
    points_ = 0;
    started_ = false;
    return attempts_->Run(
        job, {.stop = stop_,
              .lock_folder = folder_,
              .unix_ms = [] { return int64_t{1}; },
              .on_started = [this] { started_ = true; },
              .on_progress =
                  [this](const v1::RunnerProgress& progress) {
                    points_ += progress.points_size();
                    if (stop_after_points_ && progress.epochs_done() == progress.epochs()) {
                      stop_ = true;
                    }
                  },
              .on_checkpoint =
                  [this](const v1::RunnerCheckpoint& checkpoint) {
                    checkpoints_.push_back(checkpoint);
                    if (checkpoints_.size() == stop_at_) stop_ = true;
                  },
              .log = [this](const std::string& line) { log_ += line + "\n"; }});
  }
  v1::RunnerFinished Finish(const v1::RunJob& job) {
    auto outcome = Run(job);
    if (const auto* failure = std::get_if<v1::Failure>(&outcome)) {
      ADD_FAILURE() << failure->ShortDebugString();
      return {};
    }
    return std::get<v1::RunnerFinished>(outcome);
  }
  v1::Failure Fail(const v1::RunJob& job) {
    auto outcome = Run(job);
    if (std::holds_alternative<v1::RunnerFinished>(outcome)) {
      ADD_FAILURE() << "the attempt succeeded";
      return {};
    }
    return std::get<v1::Failure>(outcome);
  }

  std::string folder_;
  std::atomic<bool> stop_ = false;
  std::unique_ptr<AttemptRunner> attempts_ = std::make_unique<AttemptRunner>();
  int64_t points_ = 0;
  bool started_ = false;
  std::vector<v1::RunnerCheckpoint> checkpoints_;
  size_t stop_at_ = 0;              // checkpoints
  bool stop_after_points_ = false;  // of the last epoch
  std::string log_;
};

}  // namespace retort::distill

#endif  // RETORT_TESTS_UNIT_DISTILL_ATTEMPT_FIXTURE_H_
