#include "client/cli/results.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>

#include "client/cli/groups.h"
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

TEST(GroupedRows, TellTheIntervalOverSubjectsAndTrainings) {
  const auto rows = GroupedRows(Select({}, Study()));
  const double low = rows[0]["mae_low_bpm"], high = rows[0]["mae_high_bpm"];
  const double mean = rows[0]["mae_bpm"];
  EXPECT_NEAR(mean - low, high - mean, 1e-9);
  // Subjects' means spread evenly over 0.1 (fold + place), 16 of them: their standard error is
  // 0.041, times t(15) = 2.13, and two trainings of each fold that differ by 0.05 add to it.
  EXPECT_GT(high - mean, 0.08);
  EXPECT_LT(high - mean, 0.4);
  EXPECT_EQ(rows[0]["subjects"], 16);
  EXPECT_EQ(rows[0]["seeds"], 2);
  EXPECT_EQ(rows[0]["folds"], 4);
  std::vector<v1::Job> few = Study();
  std::erase_if(few, [](const v1::Job& job) { return job.fold() > 0; });
  EXPECT_TRUE(GroupedRows(Select({}, few))[0]["mae_low_bpm"].is_null()) << "four subjects";
}

TEST(GroupedBy, AnyKeysAndWhatIsNotSharedIsNull) {
  const SweepResults study = Select({}, Study());
  const auto rows = GroupedBy(study, {"method"});
  ASSERT_TRUE(rows.ok());
  ASSERT_THAT(*rows, SizeIs(2));
  EXPECT_EQ((*rows)[0]["method"], "scratch");
  EXPECT_EQ((*rows)[0]["jobs"], 24);
  EXPECT_TRUE((*rows)[0]["student"].is_null());
  EXPECT_TRUE((*rows)[0]["params"].is_null());
  EXPECT_EQ(GroupedBy(study, {"student", "seed"})->size(), 6u);
  EXPECT_THAT(std::string(GroupedBy(study, {"metod"}).status().message()),
              HasSubstr("--group: 'metod' is not there; did you mean 'method'?"));
}

TEST(Filtered, KeepsWhatMatchesAndRefusesWhatNothingMatches) {
  std::vector<v1::Job> jobs = Study();
  jobs.push_back(SucceededJob("mlp-32/2", Scratch(3), "", 0, 0, 7));
  jobs.back().set_state(v1::JOB_STATE_FAILED);
  const SweepResults study = Select({}, jobs);
  const auto count = [&study](const ResultFilter& filter) {
    const auto kept = Filtered(study, filter);
    EXPECT_TRUE(kept.ok()) << kept.status();
    EXPECT_EQ(kept->jobs.size(), kept->selected.size());
    return kept.ok() ? kept->jobs.size() : 0;
  };
  EXPECT_EQ(count({}), 49u);
  EXPECT_EQ(count({.methods = {"scratch"}}), 25u) << "its name without settings matches, too";
  EXPECT_EQ(count({.methods = {"scratch(sigma=3)"}}), 1u);
  EXPECT_EQ(count({.methods = {"s*"}, .students = {"resnet1d-*"}}), 48u);
  EXPECT_EQ(count({.students = {"resnet1d-4/4", "mlp*"}}), 17u);
  EXPECT_EQ(count({.teachers = {"resnet1d-32/8"}, .seeds = {1}}), 12u);
  EXPECT_EQ(count({.states = {"failed"}}), 1u);
  EXPECT_EQ(count({.states = {"running"}}), 0u)
      << "a state that no job is in now is none to refuse";
  EXPECT_EQ(count({.seeds = {0}, .folds = {3}}), 6u);
  const auto refusal = [&study](const ResultFilter& filter) {
    return std::string(Filtered(study, filter).status().message());
  };
  EXPECT_THAT(
      refusal({.methods = {"dkd"}}),
      HasSubstr("--method: 'dkd' matches no job of the sweep; there are: scratch, scratch("));
  EXPECT_THAT(refusal({.seeds = {7}}), HasSubstr("--seed: '7' matches no job"));
  EXPECT_THAT(refusal({.states = {"faild"}}), HasSubstr("did you mean 'failed'"));
}

TEST(SortRows, PutsWhatHasNoValueLast) {
  std::vector<Json> rows = {{{"a", 2}}, {{"a", nullptr}}, {{"a", 1}}, {{"a", 3}}};
  ASSERT_TRUE(SortRows("a", false, rows).ok());
  EXPECT_EQ(Json(rows).dump(), R"([{"a":1},{"a":2},{"a":3},{"a":null}])");
  ASSERT_TRUE(SortRows("a", true, rows).ok());
  EXPECT_EQ(Json(rows).dump(), R"([{"a":3},{"a":2},{"a":1},{"a":null}])");
  EXPECT_THAT(std::string(SortRows("b", true, rows).message()), HasSubstr("expected one of: a"));
  rows = {{{"a", 1}, {"b", 2}, {"c", 3}}};
  ASSERT_TRUE(KeepColumns({"c", "a"}, rows).ok());
  EXPECT_EQ(rows[0].dump(), R"({"c":3,"a":1})");
  EXPECT_THAT(std::string(KeepColumns({"d"}, rows).message()), HasSubstr("--columns: 'd'"));
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

// A Gaussian scratch arm has its own tuned peak rate: it stays a control.
TEST(MethodRows, ScratchArmsWithTheirOwnTrainingValuesAreTwins) {
  SweepResults results = Select({}, Study());
  for (const v1::Job& job : Study()) {
    if (!job.spec().method().has_scratch()) continue;
    results.jobs.push_back(SucceededJob(job.model(), Scratch(3), "", job.seed(), job.fold(), 5));
    results.selected.push_back(true);
  }
  for (v1::Job& job : results.jobs) {
    auto& train = *job.mutable_spec()->mutable_train();
    train.set_batch(128);
    train.set_peak_lr(job.method() == "scratch(sigma=3)" ? 0.02 : 0.01);
  }
  const auto arms = [&results] {
    std::vector<std::string> names;
    const auto rows = MethodRows(results);
    EXPECT_TRUE(rows.ok()) << rows.status();
    if (rows.ok()) {
      for (const Json& row : *rows) names.push_back(row["arm"]);
    }
    return names;
  };
  EXPECT_THAT(arms(), ElementsAre("scratch")) << "values that differ by chance are no pair";
  auto& changed = *results.sweep.mutable_spec()->add_overrides();
  changed.mutable_train()->set_peak_lr(0.02);
  EXPECT_THAT(arms(), ElementsAre("scratch")) << "an override of all methods tells nothing";
  changed.mutable_match()->set_method("scratch(sigma=3)");
  EXPECT_THAT(arms(), ElementsAre("scratch", "scratch(sigma=3)"));
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
