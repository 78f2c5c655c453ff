#include "server/core/expand.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/spec/split.h"
#include "common/training_id.h"

namespace retort::core {
namespace {

using ::testing::HasSubstr;

constexpr char kDatasets[] = R"(
  datasets { name: "lab" info { sha256: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" windows: 1000
    channels: 2 samples: 200 subjects: "a" subjects: "b" subjects: "c" subjects: "d" subjects: "e" subjects: "f"
    subjects: "g" subjects: "h" } }
  datasets { name: "field" info { sha256: "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" windows: 500
    channels: 2 samples: 200 subjects: "x" subjects: "y" } }
)";

v1::SweepSpec Parse(const std::string& text) {
  v1::SweepSpec sweep;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &sweep));
  return sweep;
}

// deploy/sweeps/annotated.yaml after reading.
v1::SweepSpec Annotated() {
  return Parse(absl::StrCat("name: 'annotated' ", kDatasets, R"(
    train_on: "lab" evaluate: "lab" evaluate: "field"
    split { kfold: 4 validation: 1 seed: 0 } folds: 0 folds: 1
    teachers { name: "big" model { resnet1d { base: 32 blocks: 8 } } }
    teachers { name: "resnet1d-64/8" model { resnet1d { base: 64 blocks: 8 kernel: 5 stride: 2 downsample_every: 2
      widen_every: 4 dropout: 0.1 } } }
    students { resnet1d { base: 4 blocks: 4 } } students { resnet1d { base: 8 blocks: 4 } }
    students { resnet1d { base: 16 blocks: 4 } }
    students { mlp { width: 32 depth: 2 dropout: 0 } } students { mlp { width: 128 depth: 2 dropout: 0 } }
    methods { method { scratch {} } } methods { method { scratch { sigma: 3 } } }
    methods { method { hard { lambda: 0.5 sigma: 0 } } }
    methods { method { soft { lambda: 0.9 temperature: 2 } } teachers: "big" }
    methods { method { dkd { beta: 1 } } } methods { method { dkd { beta: 8 } } }
    methods { method { feature { gamma: 1 norm: FEATURE_NORM_CHANNEL_STD } } }
    train { epochs: 20 batch: 128 }
    train_axes { field: "peak_lr" values { peak_lr: 5e-3 } values { peak_lr: 1e-2 } }
    seeds: 0 seeds: 1
    zip { axes: "train.peak_lr" axes: "seeds" }
    exclude { student: "mlp-*" method: "feature" }
    exclude { teacher: "resnet1d-64/8" method: "hard" seed: 1 }
    overrides { match { teacher: "big" } train { epochs: 30 } }
    overrides { match { student: "mlp-*" method: "*" } train { epochs: 40 peak_lr: 2e-3 } }
    select { by: "val.mae_bpm" } budget { jobs: 400 device_hours: 24 then: BUDGET_ACTION_PAUSE }
  )"));
}

v1::SweepSpec Small() {
  return Parse(absl::StrCat("name: 'small' ", kDatasets, R"(
    train_on: "lab" split { kfold: 4 }
    teachers { model { resnet1d { base: 32 blocks: 8 } } }
    students { resnet1d { base: 4 blocks: 4 } }
    methods { method { scratch {} } } methods { method { soft {} } }
  )"));
}

v1::TrainingSpec SpecOf(const NewJob& job) {
  v1::TrainingSpec spec;
  EXPECT_TRUE(spec.ParseFromString(job.spec));
  return spec;
}

absl::StatusOr<std::vector<NewJob>> JobsOf(const v1::SweepSpec& sweep) {
  const auto expansion = Expand(sweep);
  if (!expansion.ok()) return expansion.status();
  return expansion->Jobs(0, expansion->size());
}

std::string ErrorOf(const v1::SweepSpec& sweep) {
  const auto jobs = JobsOf(sweep);
  EXPECT_FALSE(jobs.ok());
  EXPECT_EQ(jobs.status().code(), absl::StatusCode::kInvalidArgument) << jobs.status();
  return std::string(jobs.status().message());
}

TEST(ExpandTest, TheAnnotatedSweepHasTheNumberOfJobsThatItsAxesGive) {
  const auto jobs = JobsOf(Annotated());
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  // Teachers: 2 x 2 folds x 2 seeds. Students for a fold and seed: scratch 2x5, hard 5x2, soft 5,
  // dkd 2x5x2, feature 3x2; hard from 64/8 is left out for seed 1 in both folds. Seeds and peak
  // rates move together.
  EXPECT_EQ(jobs->size(), 8u + 4 * (10 + 10 + 5 + 20 + 6) - 2 * 5);
  std::map<std::string, int> labels;
  for (const NewJob& job : *jobs) ++labels[job.method];
  EXPECT_EQ(labels["hard"], 30);
  EXPECT_EQ(labels["feature"], 24);
  EXPECT_EQ(labels["scratch(sigma=3)"], 20);
}

TEST(ExpandTest, JobsAreTheSameWhateverThePieces) {
  const auto expansion = Expand(Annotated());
  ASSERT_TRUE(expansion.ok()) << expansion.status();
  const auto all = expansion->Jobs(0, expansion->size());
  constexpr int64_t kPiece = 7;
  size_t i = 0;
  for (int64_t first = 0; first < expansion->size(); first += kPiece) {
    for (const NewJob& job : expansion->Jobs(first, kPiece)) {
      ASSERT_LT(i, all.size());
      EXPECT_EQ(job.id, all[i].id);
      EXPECT_EQ(job.id, expansion->id(static_cast<int64_t>(i)));
      EXPECT_EQ(job.expected_cost, expansion->expected_cost(static_cast<int64_t>(i)));
      EXPECT_EQ(job.spec, all[i].spec);
      EXPECT_EQ(job.teacher, all[i].teacher);
      ++i;
    }
  }
  EXPECT_EQ(i, all.size());
  EXPECT_TRUE(expansion->Jobs(expansion->size(), kPiece).empty());
}

TEST(ExpandTest, OverridesSpeakOfTeachersOrOfStudents) {
  const auto jobs = JobsOf(Annotated());
  ASSERT_TRUE(jobs.ok());
  for (const NewJob& job : *jobs) {
    const auto spec = SpecOf(job);
    const bool mlp = job.model.starts_with("mlp");
    if (job.kind == JobKind::kTeacher) {
      EXPECT_EQ(spec.train().epochs(), job.model == "resnet1d-32/8" ? 30 : 20);
    } else {
      EXPECT_EQ(spec.train().epochs(), mlp ? 40 : 20) << job.model;
    }
    EXPECT_EQ(spec.train().peak_lr(), mlp ? 2e-3 : spec.seed() == 0 ? 5e-3 : 1e-2);
    EXPECT_EQ(job.epochs, spec.train().epochs());
  }
}

TEST(ExpandTest, MemoryIsEstimatedOrAsASweepSaysAndNeverPartOfTheIdentity) {
  const v1::SweepSpec plain = Annotated();
  const auto estimated = JobsOf(plain);
  ASSERT_TRUE(estimated.ok()) << estimated.status();
  v1::SweepSpec hinted = plain;
  hinted.set_memory_gib(3);
  auto& teacher = *hinted.add_overrides();
  teacher.mutable_match()->set_teacher("big");
  teacher.set_memory_gib(8);
  auto& student = *hinted.add_overrides();
  student.mutable_match()->set_student("mlp-*");
  student.set_memory_gib(0.5);
  const auto said = JobsOf(hinted);
  ASSERT_TRUE(said.ok()) << said.status();
  ASSERT_EQ(said->size(), estimated->size());
  for (size_t i = 0; i < said->size(); ++i) {
    const NewJob& job = (*said)[i];
    EXPECT_EQ(job.id, (*estimated)[i].id);
    EXPECT_EQ(job.spec, (*estimated)[i].spec);
    EXPECT_FALSE((*estimated)[i].memory_hinted);
    EXPECT_GT((*estimated)[i].memory_bytes, int64_t{256} << 20);
    EXPECT_LT((*estimated)[i].memory_bytes, int64_t{1} << 30);
    EXPECT_TRUE(job.memory_hinted);
    const bool big = job.kind == JobKind::kTeacher && job.model.find("32/8") != std::string::npos;
    const bool mlp = job.model.find("mlp") == 0;
    EXPECT_EQ(job.memory_bytes, (big   ? int64_t{16}
                                 : mlp ? int64_t{1}
                                       : int64_t{6})
                                    << 29)
        << job.model;
  }
  // Larger networks need more.
  const auto larger = std::find_if(estimated->begin(), estimated->end(), [](const NewJob& job) {
    return job.model.find("64/8") != std::string::npos;
  });
  ASSERT_NE(larger, estimated->end());
  EXPECT_GT(larger->memory_bytes, estimated->front().memory_bytes);
}

TEST(ExpandTest, AStudentLearnsOnlyFromItsOwnFoldsTeacher) {
  const auto jobs = JobsOf(Annotated());
  ASSERT_TRUE(jobs.ok());
  std::map<JobId, v1::TrainingSpec> before;
  int with_teacher = 0;
  for (const NewJob& job : *jobs) {
    const auto spec = SpecOf(job);
    if (job.teacher) {
      ++with_teacher;
      ASSERT_TRUE(before.contains(*job.teacher)) << "teachers come first";
      const auto& teacher = before.at(*job.teacher);
      EXPECT_EQ(spec.teacher_job(), job.teacher->hex());
      EXPECT_EQ(teacher.fold(), spec.fold());
      EXPECT_EQ(teacher.seed(), spec.seed());
      EXPECT_EQ(teacher.dataset().sha256(), spec.dataset().sha256());
      EXPECT_EQ(teacher.split().SerializeAsString(), spec.split().SerializeAsString());
      EXPECT_EQ(teacher.model().SerializeAsString(), spec.teacher_model().SerializeAsString());
      EXPECT_TRUE(teacher.method().has_scratch());
    } else {
      EXPECT_TRUE(spec.teacher_job().empty());
    }
    EXPECT_EQ(TrainingId(spec), job.id);
    before[job.id] = spec;
  }
  EXPECT_EQ(with_teacher, 4 * (10 + 5 + 20 + 6) - 10);
}

TEST(ExpandTest, NoFoldTestsASubjectThatItTrainsOn) {
  const auto sweep = Small();
  const auto jobs = JobsOf(sweep);
  ASSERT_TRUE(jobs.ok());
  const auto& names = sweep.datasets(0).info().subjects();
  std::set<int> tested;
  for (const NewJob& job : *jobs) {
    const auto spec = SpecOf(job);
    const auto parts = SplitSubjects(spec.split(), {names.begin(), names.end()}, spec.fold());
    ASSERT_TRUE(parts.ok());
    EXPECT_EQ(parts->validation.size(), 1u);
    for (const int subject : parts->test) {
      tested.insert(subject);
      EXPECT_EQ(std::count(parts->train.begin(), parts->train.end(), subject), 0);
      EXPECT_EQ(std::count(parts->validation.begin(), parts->validation.end(), subject), 0);
    }
  }
  EXPECT_EQ(tested.size(), 8u);
}

TEST(ExpandTest, DefaultsAreWrittenOut) {
  const auto jobs = JobsOf(Small());
  ASSERT_TRUE(jobs.ok());
  ASSERT_EQ(jobs->size(), 12u);
  const auto teacher = SpecOf(jobs->front());
  EXPECT_EQ(teacher.model().resnet1d().dropout(), 0.1);
  EXPECT_EQ(teacher.train().peak_lr(), 5e-3) << "208,820 parameters";
  EXPECT_TRUE(teacher.method().scratch().has_sigma());
  const auto student = SpecOf(jobs->back());
  EXPECT_EQ(student.train().peak_lr(), 1e-2) << "1,668 parameters";
  EXPECT_EQ(student.train().optimizer(), v1::OPTIMIZER_ADAM);
  EXPECT_EQ(student.train().epochs(), 40);
  EXPECT_TRUE(student.model().resnet1d().has_dropout());
  EXPECT_EQ(student.method().soft().temperature(), 2);
  ASSERT_EQ(student.evaluate_size(), 1);
  EXPECT_EQ(student.evaluate(0).sha256(), student.dataset().sha256());
  EXPECT_GT(jobs->front().expected_cost, jobs->back().expected_cost);
}

// A field that says what an unset one means names the same job.
TEST(ExpandTest, NeutralTrainingValuesLeaveNoTrace) {
  auto sweep = Small();
  const auto plain = JobsOf(sweep);
  ASSERT_TRUE(plain.ok());
  const auto ids = [&] {
    std::set<JobId> out;
    const auto jobs = JobsOf(sweep);
    EXPECT_TRUE(jobs.ok()) << jobs.status();
    for (const NewJob& job : *jobs) out.insert(job.id);
    return out;
  };
  const std::set<JobId> before = ids();
  auto& train = *sweep.mutable_train();
  train.set_patience(0);
  train.set_microbatch(128);  // the default batch
  train.set_precision(v1::PRECISION_FP32);
  EXPECT_EQ(ids(), before);
  const auto none_of_before = [&] {
    for (const JobId& id : ids()) {
      if (before.contains(id)) return false;
    }
    return true;
  };
  train.set_precision(v1::PRECISION_BF16);
  EXPECT_TRUE(none_of_before());
  train.clear_precision();
  train.set_microbatch(0);  // auto
  EXPECT_TRUE(none_of_before());
  train.set_microbatch(32);
  EXPECT_TRUE(none_of_before());
  EXPECT_LT(JobsOf(sweep)->front().memory_bytes, plain->front().memory_bytes);
  train.clear_microbatch();
  train.set_patience(3);
  train.set_keep(v1::KEEP_BEST);
  train.set_schedule(v1::SCHEDULE_CONSTANT);
  EXPECT_TRUE(none_of_before());
}

TEST(ExpandTest, StagesOfFeaturesAreHeldAgainstBothNetworks) {
  auto sweep = Small();
  const auto ids = [&] {
    std::set<JobId> out;
    const auto jobs = JobsOf(sweep);
    EXPECT_TRUE(jobs.ok()) << jobs.status();
    if (jobs.ok()) {
      for (const NewJob& job : *jobs) out.insert(job.id);
    }
    return out;
  };
  auto& feature = *sweep.mutable_methods(1)->mutable_method()->mutable_feature();
  const auto before = ids();
  feature.set_student_stage("penultimate");
  feature.set_teacher_stage("penultimate");
  EXPECT_EQ(ids(), before);
  feature.set_student_stage("block1");
  feature.set_teacher_stage("block3");
  const auto jobs = JobsOf(sweep);
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  EXPECT_EQ(jobs->back().method, "feature(student_stage=block1,teacher_stage=block3)");
  EXPECT_NE(ids(), before);
  feature.set_student_stage("hidden0");
  EXPECT_THAT(JobsOf(sweep).status().message(),
              HasSubstr("methods: feature.student_stage: 'hidden0' is no stage of this network; "
                        "must be one of: stem, block0"));
  feature.clear_student_stage();
  feature.set_teacher_stage("last");
  EXPECT_THAT(JobsOf(sweep).status().message(), HasSubstr("feature.teacher_stage: 'last'"));
}

TEST(ExpandTest, NewTrainingFieldsAreAxes) {
  auto sweep = Small();
  sweep.clear_teachers();
  sweep.mutable_methods()->DeleteSubrange(1, 1);
  for (const int microbatch : {0, 32, 128}) {
    if (microbatch == 0) sweep.add_train_axes()->set_field("microbatch");
    sweep.mutable_train_axes(0)->add_values()->set_microbatch(microbatch);
  }
  sweep.add_train_axes()->set_field("precision");
  sweep.mutable_train_axes(1)->add_values()->set_precision(v1::PRECISION_FP32);
  sweep.mutable_train_axes(1)->add_values()->set_precision(v1::PRECISION_BF16);
  const auto jobs = JobsOf(sweep);
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  EXPECT_EQ(jobs->size(), 4u * 3 * 2);
}

TEST(ExpandTest, TwoSweepsShareTeachersAndEqualJobsCollapse) {
  auto one = Small(), two = Small();
  two.mutable_students(0)->mutable_resnet1d()->set_base(8);
  std::set<JobId> ids;
  for (const auto& sweep : {one, two}) {
    const auto jobs = JobsOf(sweep);
    ASSERT_TRUE(jobs.ok());
    for (const NewJob& job : *jobs) ids.insert(job.id);
  }
  EXPECT_EQ(ids.size(), 4u + 8 + 8);
  *one.add_students() = one.students(0);
  EXPECT_EQ(JobsOf(one)->size(), 12u);
}

TEST(ExpandTest, ErrorsNameFieldValueAndWhatWouldBeRight) {
  auto sweep = Annotated();
  sweep.mutable_methods(3)->set_teachers(0, "bog");
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("no teacher 'bog'; did you mean 'big'?"));
  sweep = Annotated();
  sweep.add_seeds(2);
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("seeds has 3 values and train.peak_lr has 2"));
  sweep = Annotated();
  sweep.mutable_zip(0)->set_axes(0, "train.peaklr");
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("'train.peaklr' is not an axis"));
  sweep = Annotated();
  sweep.add_folds(4);
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("split.folds: 4; must be from 0 to 3"));
  sweep = Annotated();
  sweep.mutable_split()->set_kfold(9);
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("split.kfold: 9"));
  sweep = Annotated();
  sweep.mutable_budget()->set_jobs(201);
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("budget.jobs: 201; the sweep has 202 jobs"));
  sweep = Annotated();
  sweep.mutable_exclude(0)->set_student("mpl-*");
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("matches no job"));
  sweep = Annotated();
  sweep.mutable_overrides(0)->mutable_match()->set_teacher("bog");
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("overrides[0]"));
  sweep = Annotated();
  sweep.mutable_split()->set_validation(0);
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("select.by: val.mae_bpm needs validation subjects"));
  sweep = Small();
  sweep.mutable_split()->set_validation(0);
  sweep.mutable_train()->set_keep(v1::KEEP_BEST);
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("train.keep: best needs validation subjects"));
  sweep = Small();
  sweep.mutable_train()->set_patience(4);
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("train.patience: 4; needs keep: best"));
  sweep.mutable_train()->set_keep(v1::KEEP_BEST);
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("train.patience: 4; needs schedule: constant"));
  sweep.mutable_train()->set_schedule(v1::SCHEDULE_COSINE);
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("train.patience: 4; needs schedule: constant"));
  sweep.mutable_train()->set_schedule(v1::SCHEDULE_CONSTANT);
  EXPECT_TRUE(JobsOf(sweep).ok());
  sweep.mutable_split()->set_validation(0);
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("train.keep: best needs validation subjects"));
  sweep = Small();
  sweep.mutable_train()->set_microbatch(129);
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("train.microbatch: 129; must be at most the batch (128)"));
  sweep.mutable_train()->set_microbatch(1);
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("train.microbatch: 1; must be at least 2"));
  sweep = Small();
  sweep.clear_students();
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("students: must have at least one"));
  sweep = Small();
  sweep.clear_teachers();
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("`teachers` must have at least one"));
  sweep = Small();
  sweep.set_train_on(0, "lap");
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("train_on: no dataset 'lap'; did you mean 'lab'?"));
  sweep = Small();
  sweep.mutable_train()->set_epochs(-1);
  EXPECT_THAT(ErrorOf(sweep), HasSubstr("train.epochs: -1"));
}

// Small() with a teacher that is given as this file.
v1::SweepSpec Given(const std::string& kind, const std::string& digit, const std::string& more) {
  v1::SweepSpec sweep = Small();
  auto& teacher = *sweep.mutable_teachers(0);
  const std::string model = kind == "weights" ? "model { resnet1d { base: 32 blocks: 8 } }" : "";
  teacher = v1::NamedTeacher();
  std::string hash;
  while (hash.size() < 64) hash += digit;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      absl::StrCat("name: 'theirs' given { ", kind, "_sha256: '", hash,
                   "' } given_size_bytes: 1000 ", model, " ", more),
      &teacher));
  return sweep;
}

std::vector<NewJob> StudentsOf(const v1::SweepSpec& sweep) {
  auto jobs = JobsOf(sweep);
  EXPECT_TRUE(jobs.ok()) << jobs.status();
  if (!jobs.ok()) return {};
  std::erase_if(*jobs, [](const NewJob& job) { return job.method == "scratch"; });
  return *std::move(jobs);
}

TEST(ExpandTest, AGivenTeacherEntersByItsHashAndIsTrainedByNoJob) {
  const auto jobs = StudentsOf(Given("weights", "c", ""));
  ASSERT_EQ(jobs.size(), 4u) << "one for each fold, and no teacher's";
  for (const NewJob& job : jobs) {
    EXPECT_EQ(job.kind, JobKind::kStudent);
    EXPECT_FALSE(job.teacher.has_value());
    EXPECT_EQ(SpecOf(job).given_teacher().weights_sha256(), std::string(64, 'c'));
    EXPECT_EQ(SpecOf(job).teacher_job(), "");
    EXPECT_EQ(job.id, TrainingId(SpecOf(job)));
  }
  // Neither name, nor size, nor what it was trained on is part of a job's name; the file is.
  auto renamed = Given("weights", "c", "trained_on: 'external:vitaldb'");
  renamed.mutable_teachers(0)->set_name("other");
  renamed.mutable_teachers(0)->set_given_size_bytes(5);
  EXPECT_EQ(StudentsOf(renamed)[0].id, jobs[0].id);
  EXPECT_NE(StudentsOf(Given("weights", "d", ""))[0].id, jobs[0].id);
  EXPECT_NE(StudentsOf(Given("torchscript", "c", ""))[0].id, jobs[0].id);
  EXPECT_EQ(StudentsOf(Given("torchscript", "c", ""))[0].kind, JobKind::kScripted);
}

TEST(ExpandTest, WhatAGivenTeacherHasSeenIsSaidWhereItIsShown) {
  for (const NewJob& job : StudentsOf(Given("weights", "c", ""))) {
    EXPECT_EQ(job.teacher_label, "theirs (trained_on unknown)");
  }
  for (const NewJob& job : StudentsOf(Given("weights", "c", "trained_on: 'external:x'"))) {
    EXPECT_EQ(job.teacher_label, "theirs");
  }
  // Subject `a` is tested in one fold, and validates in others perhaps.
  const auto split_of = [](const NewJob& job) {
    return *SplitSubjects(SpecOf(job).split(), {"a", "b", "c", "d", "e", "f", "g", "h"}, job.fold);
  };
  int flagged = 0;
  const auto jobs = StudentsOf(Given("weights", "c", "trained_on: 'lab/a'"));
  for (const NewJob& job : jobs) {
    const auto split = split_of(job);
    const bool clean = std::find(split.train.begin(), split.train.end(), 0) != split.train.end();
    EXPECT_EQ(job.teacher_label, clean ? "theirs" : "theirs (HAS SEEN TEST SUBJECTS)");
    flagged += !clean;
  }
  EXPECT_GT(flagged, 0);
  EXPECT_LT(flagged, 4);
  auto elsewhere = Given("weights", "c", "trained_on: 'field/y'");
  EXPECT_EQ(StudentsOf(elsewhere)[0].teacher_label, "theirs");
  elsewhere.add_evaluate("lab");
  elsewhere.add_evaluate("field");
  EXPECT_EQ(StudentsOf(elsewhere)[0].teacher_label, "theirs (HAS SEEN TEST SUBJECTS)");
  EXPECT_THAT(ErrorOf(Given("weights", "c", "trained_on: 'lba'")),
              HasSubstr("teachers[0].trained_on: 'lba' names no subject"));
}

TEST(ExpandTest, GivenOutputsTeachOnTheirDatasetOnly) {
  const std::string a(SpecOf(StudentsOf(Small())[0]).dataset().sha256());
  EXPECT_EQ(
      StudentsOf(Given("outputs", "c", absl::StrCat("outputs_dataset_sha256: '", a, "'"))).size(),
      4u);
  auto other = Given("outputs", "c", absl::StrCat("outputs_dataset_sha256: '", a, "'"));
  other.add_train_on("field");
  other.mutable_split()->set_kfold(2);
  other.mutable_split()->set_validation(0);
  EXPECT_THAT(ErrorOf(other), HasSubstr("exclude: [{teacher: theirs, dataset: field}]"));
  other.add_exclude()->set_teacher("theirs");
  other.mutable_exclude(0)->set_dataset("field");
  EXPECT_EQ(StudentsOf(other).size(), 2u);
  auto features = Given("outputs", "c", absl::StrCat("outputs_dataset_sha256: '", a, "'"));
  features.mutable_methods(1)->mutable_method()->mutable_feature();
  EXPECT_THAT(ErrorOf(features), HasSubstr("tensor 'features'"));
}

}  // namespace
}  // namespace retort::core
