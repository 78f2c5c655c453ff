#include "client/cli/results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>

#include "client/cli/rows.h"
#include "tests/unit/sdk/fake_coordinator.h"

namespace retort {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A small study: four folds of four subjects, two seeds, three sizes; soft is 1 BPM better than
// scratch everywhere.
std::vector<v1::Job> Study() {
  std::vector<v1::Job> jobs;
  for (int fold = 0; fold < 4; ++fold) {
    for (int seed = 0; seed < 2; ++seed) {
      for (const int base : {4, 8, 16}) {
        const std::string model = "resnet1d-" + std::to_string(base) + "/4";
        const double mae = 3 + 20.0 / base + 0.05 * seed + 0.1 * fold;
        jobs.push_back(SucceededJob(model, Scratch(), "", seed, fold, mae));
        jobs.push_back(SucceededJob(model, Soft(), "resnet1d-32/8", seed, fold, mae - 1));
      }
    }
  }
  return jobs;
}

TEST(ResultRow, HasTheDocumentedKeysInTheirOrder) {
  std::vector<std::string> keys;
  const Json row = ResultRow(SucceededJob("resnet1d-4/4", Soft(), "big", 1, 2, 5));
  for (const auto& item : row.items()) keys.push_back(item.key());
  EXPECT_THAT(
      keys, ElementsAre("job", "state", "kind", "method", "teacher", "student", "seed", "fold",
                        "mae_bpm", "mae_argmax_bpm", "mae_expectation_bpm", "mae_all_channels_bpm",
                        "rmse_bpm", "within_5_bpm", "within_10_bpm", "val_mae_bpm",
                        "floor_mean_bpm", "floor_fft_bpm", "params", "params_body", "macs",
                        "latency_ms", "attempt", "epochs", "epochs_trained", "kept_epoch",
                        "microbatch", "train", "selected", "windows", "subjects"));
  EXPECT_EQ(row["mae_bpm"], 5.15);
  EXPECT_EQ(row["teacher"], "big");
  EXPECT_EQ(row["params"], 4000);
  EXPECT_EQ(row["subjects"].size(), 4u);
  EXPECT_EQ(row["subjects"][0]["subject"], "s8");
}

TEST(ResultRow, WhatIsMissingIsNull) {
  v1::Job failed;
  failed.set_name("jobs/ab");
  failed.set_state(v1::JOB_STATE_FAILED);
  const Json row = ResultRow(failed);
  for (const char* key : {"mae_bpm", "val_mae_bpm", "params", "latency_ms", "teacher", "windows"}) {
    EXPECT_TRUE(row[key].is_null()) << key;
  }
  EXPECT_EQ(row["selected"], false);

  v1::Job odd = SucceededJob("resnet1d-4/4", Scratch(), "", 0, 0, 5);
  auto& overall = *odd.mutable_result()->mutable_evaluations(0)->mutable_overall();
  overall.set_mae_bpm(std::nan(""));
  overall.set_rmse_bpm(std::numeric_limits<double>::infinity());
  EXPECT_TRUE(ResultRow(odd)["mae_bpm"].is_null());
  EXPECT_TRUE(ResultRow(odd)["rmse_bpm"].is_null());
}

TEST(Select, KeepsTheBestOnValidationWhereTheSweepSelects) {
  std::vector<v1::Job> jobs = {SucceededJob("resnet1d-4/4", Scratch(), "", 0, 0, 7),
                               SucceededJob("resnet1d-4/4", Scratch(), "", 0, 0, 6),
                               SucceededJob("resnet1d-4/4", Scratch(), "", 1, 0, 9)};
  // The best on test is not the best on validation, and must not win.
  jobs[0].mutable_result()->mutable_validation()->set_mae_bpm(2);
  v1::Sweep sweep;
  EXPECT_THAT(Select(sweep, jobs).selected, ElementsAre(true, true, true));
  sweep.mutable_spec()->mutable_select()->set_by("val.mae_bpm");
  EXPECT_THAT(Select(sweep, jobs).selected, ElementsAre(true, false, true));
}

TEST(GroupedRows, AverageOverSubjectsOfEverySeedAndFold) {
  const auto rows = GroupedRows(Select({}, Study()));
  ASSERT_THAT(rows, SizeIs(6));
  EXPECT_EQ(rows[0]["student"], "resnet1d-4/4");
  EXPECT_EQ(rows[0]["jobs"], 8);
  // 3 + 20/4, plus the means of seeds (0.025), folds (0.15) and subjects (0.15).
  EXPECT_NEAR(rows[0]["mae_bpm"].get<double>(), 8.325, 1e-9);
  EXPECT_NEAR(rows[1]["mae_bpm"].get<double>(), 7.325, 1e-9);
  EXPECT_NEAR(rows[0]["within_5_bpm"].get<double>(), 0.75, 1e-9);
}

// Of one student in four trainings.
SweepResults Precisions() {
  std::vector<v1::Job> jobs;
  for (const int microbatch : {0, 32}) {
    for (const auto precision : {v1::PRECISION_UNSPECIFIED, v1::PRECISION_BF16}) {
      jobs.push_back(SucceededJob("resnet1d-4/4", Scratch(), "", 0, 0, 5 + microbatch));
      auto& train = *jobs.back().mutable_spec()->mutable_train();
      train.set_batch(128);
      if (microbatch > 0) train.set_microbatch(microbatch);
      if (precision != v1::PRECISION_UNSPECIFIED) train.set_precision(precision);
    }
  }
  v1::Sweep sweep;
  sweep.mutable_spec()->add_train_axes()->set_field("precision");
  sweep.mutable_spec()->add_overrides()->mutable_train()->set_microbatch(32);
  return Select(sweep, jobs);
}

TEST(ResultRows, TellTheTrainingValuesThatTheSweepVaries) {
  std::vector<std::string> texts;
  for (const Json& row : ResultRows(Precisions())) texts.push_back(row["train"]);
  EXPECT_THAT(texts, ElementsAre("microbatch=128,precision=fp32", "microbatch=128,precision=bf16",
                                 "microbatch=32,precision=fp32", "microbatch=32,precision=bf16"));
}

TEST(GroupedRows, KeepValuesOfATrainingAxisApart) {
  SweepResults results = Precisions();
  const auto rows = GroupedRows(results);
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0]["train"], "precision=fp32");
  EXPECT_EQ(rows[1]["train"], "precision=bf16");
  EXPECT_EQ(rows[1]["jobs"], 2);
  const auto columns = WithTrain(GroupedColumns(), rows);
  EXPECT_EQ(columns.size(), GroupedColumns().size() + 1);
  EXPECT_EQ(columns[4].key, "train");
  // Values that move with the seeds are averaged with them, and `select` chooses among values.
  auto& zip = *results.sweep.mutable_spec()->add_zip();
  *zip.add_axes() = "seeds";
  *zip.add_axes() = "train.precision";
  EXPECT_THAT(GroupedRows(results), SizeIs(1));
  EXPECT_TRUE(GroupedRows(results)[0]["train"].is_null());
  EXPECT_EQ(WithTrain(GroupedColumns(), GroupedRows(results)).size(), GroupedColumns().size());
  results.sweep.mutable_spec()->clear_zip();
  results.sweep.mutable_spec()->mutable_select()->set_by("val.mae_bpm");
  EXPECT_THAT(GroupedRows(results), SizeIs(1));
}

TEST(JobDetails, TellEpochsRunAndTheMicrobatchUsed) {
  v1::Job job = SucceededJob("resnet1d-4/4", Scratch(), "", 0, 0, 5);
  job.set_epochs(40);
  job.mutable_result()->set_epochs(12);
  job.mutable_result()->set_kept_epoch(8);
  EXPECT_TRUE(JobDetails(job)["result"]["microbatch"].is_null());
  job.mutable_result()->set_microbatch(64);
  const Json result = JobDetails(job)["result"];
  EXPECT_EQ(result["epochs"], 40);
  EXPECT_EQ(result["epochs_trained"], 12);
  EXPECT_EQ(result["kept_epoch"], 8);
  EXPECT_EQ(result["microbatch"], 64);
}

TEST(MethodRows, GiveThePairedGainWithItsInterval) {
  const auto rows = MethodRows(Select({}, Study()));
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_THAT(*rows, SizeIs(1));
  const Json& row = rows->front();
  EXPECT_EQ(row["method"], "soft");
  EXPECT_EQ(row["arm"], "scratch");
  EXPECT_NEAR(row["gain_bpm"].get<double>(), 1, 1e-9);
  EXPECT_EQ(row["subjects"], 16);
  EXPECT_EQ(row["pairs"], 96);
}

TEST(MethodRows, AreNoneWhereNothingIsDistilled) {
  const std::vector<v1::Job> jobs = {SucceededJob("resnet1d-4/4", Scratch(), "", 0, 0, 7)};
  const auto rows = MethodRows(Select({}, jobs));
  ASSERT_TRUE(rows.ok());
  EXPECT_THAT(*rows, IsEmpty());
}

TEST(FitRows, FitEachMethodOverItsSizes) {
  const auto rows = FitRows(Select({}, Study()), "params_body");
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0]["method"], "scratch");
  EXPECT_EQ(rows[0]["family"], "resnet1d");
  EXPECT_EQ(rows[0]["sizes"], 3);
  // The study's errors are 3.325 + 20/base and the sizes 800 base.
  EXPECT_NEAR(rows[0]["alpha"].get<double>(), 1, 0.05);
  EXPECT_NEAR(rows[0]["E"].get<double>(), 3.325, 0.2);
  EXPECT_EQ(FitRows(Select({}, Study()), "macs")[0]["points"][0]["size"], 36000.0);
}

TEST(FitRows, LeaveOutMethodsWithTooFewSizes) {
  std::vector<v1::Job> jobs = Study();
  std::erase_if(jobs, [](const v1::Job& job) { return job.model() == "resnet1d-8/4"; });
  EXPECT_THAT(FitRows(Select({}, jobs), "params"), IsEmpty());
}

TEST(PrintReport, FitsEightyColumnsOnATerminal) {
  std::ostringstream out, err;
  Context context{.terminal = Terminal{out, err, true, true, false, 80}};
  std::vector<v1::Job> jobs = Study();
  jobs.emplace_back().set_state(v1::JOB_STATE_FAILED);
  PrintReport(context, Select({}, jobs));
  std::istringstream lines(out.str());
  for (std::string line; std::getline(lines, line);) EXPECT_LE(ShownWidth(line), 80u) << line;
  EXPECT_THAT(out.str(), HasSubstr("Jobs without a result: 1 failed."));
  EXPECT_THAT(out.str(), HasSubstr("mean of the training set 20.00, strongest FFT peak 12.00."));
  EXPECT_EQ(err.str(), "");
}

}  // namespace
}  // namespace retort
