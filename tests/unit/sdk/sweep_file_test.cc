#include "client/sdk/sweep_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/ids.h"
#include "common/spec/dataset.h"
#include "common/spec/labels.h"
#include "common/spec/safetensors.h"
#include "common/status.h"
#include "server/core/expand.h"

namespace retort {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// A small, valid dataset of `subjects` subjects with two windows each; `salt` changes its bytes.
std::string DatasetBytes(int subjects, float salt = 0, const std::string& split = "") {
  Dataset dataset;
  dataset.windows_count = 2 * subjects;
  dataset.channels_count = 1;
  dataset.samples = 200;
  dataset.windows_WCL.assign(dataset.windows_count * 200, salt);
  for (int i = 0; i < 2 * subjects; ++i) {
    dataset.bpm_W.push_back(80);
    dataset.subject_W.push_back(i / 2);
    dataset.fft_bpm_WC.push_back(75);
    dataset.start_s_W.push_back(2.0f * static_cast<float>(i % 2));
    dataset.recording_W.push_back(i / 2);
  }
  for (int s = 0; s < subjects; ++s) {
    dataset.subjects.push_back("s" + std::to_string(s));
    dataset.recordings.push_back("r" + std::to_string(s));
  }
  dataset.channels = {"ppg"};
  dataset.metadata = {{"rate_hz", "25"}, {"window_s", "8"}, {"stride_s", "2"}};
  if (!split.empty()) dataset.metadata["split"] = split;
  return SerializeDataset(dataset);
}

class SweepFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "sweep_" +
              ::testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::create_directories(folder_);
    Write("lab.safetensors", DatasetBytes(8));
    Write("field.safetensors", DatasetBytes(8, 1));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << bytes;
  }

  absl::StatusOr<SweepFile> Parse(const std::string& text) {
    return ParseSweepFile(text, "s.yaml", folder_);
  }

  // The one message of a file that must be refused.
  std::string Refusal(const std::string& text) {
    const auto parsed = Parse(text);
    if (parsed.ok()) return "accepted";
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument);
    const std::string message = MessageOf(parsed.status());
    EXPECT_THAT(message, Not(HasSubstr("\n")));
    return message;
  }

  std::string folder_;
};

const char kGood[] = R"(name: small
datasets: {lab: {path: lab.safetensors}}
split: {kfold: 4}
teachers: [{name: big, resnet1d: 32/8}]
students: [{resnet1d: [4/4, 8/4]}, {mlp: {width: [32, 128], depth: 2}}]
methods: [scratch, {scratch: {sigma: 3}}, {dkd: {beta: [1, 8]}}]
train: {epochs: 20}
seeds: [0, 1]
)";

// kGood with one piece replaced.
std::string With(const std::string& from, const std::string& to) {
  EXPECT_THAT(std::string(kGood), HasSubstr(from));
  return absl::StrReplaceAll(kGood, {{from, to}});
}

// Who is who in it is not known, so that the same person could be trained and tested on.
TEST_F(SweepFileTest, TrainsOnNoDatasetThatMustNotBeSplit) {
  const auto text = ReadFile(RETORT_SOURCE_DIR "/deploy/sweeps/annotated.yaml");
  Write("field.safetensors", DatasetBytes(8, 1, "never"));  // only tested on
  EXPECT_TRUE(Parse(*text).ok()) << Parse(*text).status();
  Write("lab.safetensors", DatasetBytes(8, 0, "never"));
  EXPECT_THAT(MessageOf(Parse(*text).status()),
              AllOf(HasSubstr("datasets.lab.path"), HasSubstr("must never be split"),
                    HasSubstr("name it under evaluate")));
}

TEST_F(SweepFileTest, ReadsEveryKeyOfTheAnnotatedExample) {
  const auto text = ReadFile(RETORT_SOURCE_DIR "/deploy/sweeps/annotated.yaml");
  ASSERT_TRUE(text.ok()) << text.status();
  const auto sweep = Parse(*text);
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  const v1::SweepSpec& spec = sweep->spec;
  EXPECT_EQ(spec.name(), "annotated");
  EXPECT_EQ(spec.datasets_size(), 2);
  EXPECT_EQ(spec.datasets(0).info().subjects_size(), 8);
  EXPECT_THAT(spec.train_on(), ElementsAre("lab"));
  EXPECT_THAT(spec.evaluate(), ElementsAre("lab", "field"));
  EXPECT_EQ(spec.split().kfold(), 4);
  EXPECT_EQ(spec.split().validation(), 1);
  EXPECT_THAT(spec.folds(), ElementsAre(0, 1));
  ASSERT_EQ(spec.teachers_size(), 2);
  EXPECT_EQ(spec.teachers(0).name(), "big");
  EXPECT_EQ(spec.teachers(1).name(), "resnet1d-64/8");
  EXPECT_EQ(spec.students_size(), 5);
  ASSERT_EQ(spec.methods_size(), 7);
  EXPECT_THAT(spec.methods(3).teachers(), ElementsAre("big"));
  EXPECT_EQ(MethodLabel(spec.methods(4).method()), "dkd(beta=1)");
  EXPECT_EQ(spec.train().epochs(), 20);
  ASSERT_EQ(spec.train_axes_size(), 1);
  EXPECT_EQ(spec.train_axes(0).field(), "peak_lr");
  EXPECT_EQ(spec.train_axes(0).values(1).peak_lr(), 1e-2);
  EXPECT_THAT(spec.zip(0).axes(), ElementsAre("train.peak_lr", "seeds"));
  EXPECT_EQ(spec.exclude(1).seed(), 1);
  EXPECT_EQ(spec.overrides(1).train().peak_lr(), 2e-3);
  EXPECT_EQ(spec.overrides(2).memory_gib(), 2);
  EXPECT_EQ(spec.memory_gib(), 1);
  EXPECT_EQ(spec.select().by(), "val.mae_bpm");
  EXPECT_EQ(spec.budget().wall().seconds(), 48 * 3600);
  EXPECT_EQ(spec.budget().then(), v1::BUDGET_ACTION_PAUSE);
  for (const auto& dataset : spec.datasets()) {
    EXPECT_TRUE(std::filesystem::exists(sweep->file_paths.at(dataset.info().sha256())));
  }
}

TEST_F(SweepFileTest, AnUnsetFieldStaysUnsetSoThatTheCoordinatorFillsItIn) {
  const auto sweep = Parse(kGood);
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  EXPECT_FALSE(sweep->spec.train().has_batch());
  EXPECT_FALSE(sweep->spec.split().has_validation());
  EXPECT_FALSE(sweep->spec.students(0).resnet1d().has_kernel());
}

TEST_F(SweepFileTest, PresetOfDkdSetsItsValuesAndTheFileOverrides) {
  const auto sweep = Parse(With("{dkd: {beta: [1, 8]}}", "{dkd: {preset: zhao2022, beta: 2}}"));
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  const v1::DkdMethod& dkd = sweep->spec.methods(2).method().dkd();
  EXPECT_EQ(dkd.ce_weight(), 1);
  EXPECT_EQ(dkd.lambda(), 1);
  EXPECT_EQ(dkd.beta(), 2);
  EXPECT_EQ(dkd.temperature(), 4);
  EXPECT_EQ(dkd.warmup_epochs(), 20);
}

TEST_F(SweepFileTest, TeachersOfAMethodAreFoundByNameAndByLabel) {
  const auto sweep = Parse(With("{dkd: {beta: [1, 8]}}", "{dkd: {teachers: [\"resnet1d-32/8\"]}}"));
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  EXPECT_THAT(sweep->spec.methods(2).teachers(), ElementsAre("big"));
}

TEST_F(SweepFileTest, TheAnnotatedExampleExpandsToAsManyJobsAsItsLastLineSays) {
  const auto text = ReadFile(RETORT_SOURCE_DIR "/deploy/sweeps/annotated.yaml");
  ASSERT_TRUE(text.ok()) << text.status();
  const auto sweep = Parse(*text);
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  const auto jobs = core::Expand(sweep->spec);
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  const std::string last = text->substr(text->rfind('\n', text->size() - 2) + 1);
  EXPECT_EQ(last, absl::StrCat("# Jobs: ", jobs->size(), "\n"));
}

TEST_F(SweepFileTest, TheExamplesOfTheFolderAreGood) {
  Write("demo.safetensors", DatasetBytes(8));
  Write("ieee.safetensors", DatasetBytes(12));
  Write("both.safetensors", DatasetBytes(34));
  for (const char* name : {"demo", "ieee", "study"}) {
    const auto text = ReadFile(absl::StrCat(RETORT_SOURCE_DIR "/deploy/sweeps/", name, ".yaml"));
    ASSERT_TRUE(text.ok()) << text.status();
    const auto sweep = Parse(*text);
    ASSERT_TRUE(sweep.ok()) << sweep.status();
    EXPECT_TRUE(core::Expand(sweep->spec).ok());
  }
}

struct Bad {
  const char* what;
  std::string text;
  const char* place;                   // where the message begins
  std::vector<const char*> fragments;  // what it must say
};

TEST_F(SweepFileTest, RefusesEveryMistakeWithOneMessageThatSaysWhereWhatAndWhatWouldBeRight) {
  const Bad cases[] = {
      {"unknown key", With("train:", "trian:"), "s.yaml:7:1: trian: unknown key", {"'train'"}},
      {"unknown nested key",
       With("epochs", "epoch"),
       "s.yaml:7:9: train.epoch: unknown key",
       {"did you mean 'epochs'"}},
      {"unknown model key",
       With("width", "widht"),
       "s.yaml:5:43: students[1].mlp.widht: unknown",
       {"'width'"}},
      {"wrong type",
       With("epochs: 20", "epochs: many"),
       "s.yaml:7:17: train.epochs: 'many'",
       {"a whole number"}},
      {"number in quotes",
       With("epochs: 20", "epochs: \"20\""),
       "s.yaml:7:17: train.epochs:",
       {"quotes", "a whole number"}},
      {"mapping for a number",
       With("epochs: 20", "epochs: {a: 1}"),
       "s.yaml:7:17: train.epochs:",
       {"a mapping", "a whole number"}},
      {"nothing", With("epochs: 20", "epochs:"), "s.yaml:7:", {"train.epochs: nothing"}},
      {"negative epochs",
       With("epochs: 20", "epochs: -5"),
       "s.yaml:7:17: train.epochs: -5",
       {"at least 1"}},
      {"negative epochs on an axis",
       With("epochs: 20", "epochs: [5, -5]"),
       "s.yaml:7:21: train.epochs[1]: -5",
       {"at least 1"}},
      {"not a number",
       With("epochs: 20", "peak_lr: .nan"),
       "s.yaml:7:18: train.peak_lr:",
       {"a number"}},
      {"unknown enumerator",
       With("epochs: 20", "optimizer: adamm"),
       "s.yaml:7:20: train.optimizer: 'adamm'",
       {"'adam'"}},
      {"patience of the last epoch",
       With("epochs: 20", "patience: 3, schedule: constant"),
       "s.yaml:7:19: train.patience: 3",
       {"needs keep: best"}},
      {"patience under a planned schedule",
       With("epochs: 20", "patience: 3, keep: best, schedule: [constant, cosine]"),
       "s.yaml:7:19: train.patience: 3",
       {"needs schedule: constant"}},
      {"patience without validation",
       absl::StrReplaceAll(With("kfold: 4", "kfold: 4, validation: 0"),
                           {{"epochs: 20", "keep: best, patience: 3, schedule: constant"}}),
       "s.yaml:7:15: train.keep:",
       {"validation"}},
      {"negative patience",
       With("epochs: 20", "patience: -1"),
       "s.yaml:7:19: train.patience: -1",
       {"at least 0"}},
      {"microbatch of one",
       With("epochs: 20", "microbatch: [auto, 1]"),
       "s.yaml:7:28: train.microbatch[1]: 1",
       {"at least 2", "or auto"}},
      {"microbatch in another word",
       With("epochs: 20", "microbatch: automatic"),
       "s.yaml:7:21: train.microbatch: 'automatic'",
       {"a whole number or auto"}},
      {"microbatch above the batch",
       With("epochs: 20", "batch: [64, 16], microbatch: 32"),
       "s.yaml:7:38: train.microbatch: 32",
       {"at most the batch (16)"}},
      {"unknown precision",
       With("epochs: 20", "precision: fp16"),
       "s.yaml:7:20: train.precision: 'fp16'",
       {"fp32, bf16"}},
      {"unknown method",
       With("scratch, {", "scrach, {"),
       "s.yaml:6:11: methods[0]: 'scrach'",
       {"unknown method", "'scratch'"}},
      {"unknown method with fields",
       With("{dkd:", "{dkt:"),
       "s.yaml:6:44: methods[2].dkt: unknown method",
       {"'dkd'"}},
      {"two methods in one entry",
       With("{scratch: {sigma: 3}}", "{scratch: {sigma: 3}, soft: {}}"),
       "s.yaml:6:42: methods[1].soft:",
       {"entry of its own"}},
      {"unknown family",
       With("mlp:", "mpl:"),
       "s.yaml:5:37: students[1].mpl: unknown model family",
       {"'mlp'"}},
      {"bad shorthand",
       With("[4/4, 8/4]", "[4x4]"),
       "s.yaml:5:24: students[0].resnet1d[0]: '4x4'",
       {"BASE/BLOCKS"}},
      {"zero blocks",
       With("[4/4, 8/4]", "4/0"),
       "s.yaml:5:23: students[0].resnet1d:",
       {"blocks: 0", "at least 1"}},
      {"missing width", With("width: [32, 128], ", ""), "s.yaml:5:", {"width is required"}},
      {"even kernel",
       With("resnet1d: 32/8", "resnet1d: {base: 4, blocks: 4, kernel: 4}"),
       "s.yaml:4:",
       {"kernel", "must be odd"}},
      {"network beyond limits",
       With("resnet1d: 32/8", "resnet1d: 1024/128"),
       "s.yaml:4:",
       {"parameters"}},
      {"empty grid",
       With("[{resnet1d: [4/4, 8/4]}, {mlp: {width: [32, 128], depth: 2}}]", "[]"),
       "s.yaml:5:11: students: []",
       {"at least one value"}},
      {"empty inner axis", With("[4/4, 8/4]", "[]"), "s.yaml:5:23: students[0].resnet1d: []", {}},
      {"empty seeds", With("[0, 1]", "[]"), "s.yaml:8:8: seeds: []", {"whole numbers"}},
      {"seeds no list", With("[0, 1]", "3"), "s.yaml:8:8: seeds: '3'", {"a list"}},
      {"negative seed", With("[0, 1]", "[-1]"), "s.yaml:8:9: seeds[0]: -1", {"at least 0"}},
      {"same seed twice", With("[0, 1]", "[1, 1]"), "s.yaml:8:12: seeds[1]: 1", {"once"}},
      {"same student twice",
       With("[4/4, 8/4]", "[4/4, 4/4]"),
       "s.yaml:5:29: students[0].resnet1d[1]:",
       {"already a student"}},
      {"same method twice",
       With("beta: [1, 8]", "beta: [8, 8.0]"),
       "s.yaml:6:",
       {"already a method"}},
      {"key twice",
       With("seeds: [0, 1]", "train: {}"),
       "s.yaml:8:1: train: the key stands twice",
       {}},
      {"no name", With("name: small\n", ""), "s.yaml:1:1: name: missing", {}},
      {"bad name", With("small", "Small One"), "s.yaml:1:7: name: 'Small One'", {"lower-case"}},
      {"no datasets",
       With("datasets: {lab: {path: lab.safetensors}}\n", ""),
       "s.yaml:1:1: datasets: missing",
       {}},
      {"no split", With("split: {kfold: 4}\n", ""), "s.yaml:1:1: split: missing", {}},
      {"two kinds of split",
       With("kfold: 4", "kfold: 4, holdout: 0.2"),
       "s.yaml:3:8: split: kfold and holdout",
       {"exactly one"}},
      {"unit of split",
       With("kfold: 4", "kfold: 4, by: window"),
       "s.yaml:3:23: split.by: 'window'",
       {"subject"}},
      {"more folds than subjects",
       With("kfold: 4", "kfold: 9"),
       "s.yaml:3:16: split.kfold: 9",
       {"8 subjects", "'lab'"}},
      {"fold out of range",
       With("kfold: 4", "kfold: 4, folds: [4]"),
       "s.yaml:3:27: split.folds[0]: 4",
       {"0 to 3"}},
      {"too many validation subjects",
       With("kfold: 4", "kfold: 4, validation: 6"),
       "s.yaml:3:31: split.validation: 6",
       {"at least one"}},
      {"missing dataset file",
       With("lab.safetensors", "none.safetensors"),
       "s.yaml:2:24: datasets.lab.path: 'none.safetensors'",
       {"there is no file", "retort data"}},
      {"dataset without path",
       With("{path: lab.safetensors}", "{}"),
       "s.yaml:2:17: datasets.lab: no path",
       {}},
      {"unknown dataset",
       With("seeds:", "evaluate: [labb]\nseeds:"),
       "s.yaml:8:12: evaluate[0]: 'labb'",
       {"'lab'"}},
      {"same bytes twice",
       With("lab.safetensors}", "lab.safetensors}, b: {path: ./lab.safetensors}"),
       "s.yaml:2:45: datasets.b:",
       {"same bytes", "'lab'"}},
      {"unknown teacher",
       With("beta: [1, 8]", "teachers: [bigg]"),
       "s.yaml:6:61: methods[2].dkd.teachers[0]: 'bigg'",
       {"is no teacher", "'big'"}},
      {"scratch with teachers",
       With("{sigma: 3}", "{teachers: [big]}"),
       "s.yaml:6:",
       {"learns from no teacher"}},
      {"method without any teacher",
       With("teachers: [{name: big, resnet1d: 32/8}]\n", ""),
       "s.yaml:5:",
       {"learns from a teacher"}},
      {"exclude matches nothing",
       With("seeds:", "exclude: [{student: \"mlp-64*\"}]\nseeds:"),
       "s.yaml:8:21: exclude[0].student: 'mlp-64*'",
       {"matches no student"}},
      {"override of an unknown teacher",
       With("seeds:", "overrides: [{teacher: huge, train: {epochs: 3}}]\nseeds:"),
       "s.yaml:8:23: overrides[0].teacher: 'huge'",
       {"matches no teacher"}},
      {"override without train",
       With("seeds:", "overrides: [{teacher: big}]\nseeds:"),
       "s.yaml:8:13: overrides[0]:",
       {"changes nothing"}},
      {"exclude of everything",
       With("seeds:", "exclude: [{}]\nseeds:"),
       "s.yaml:8:11: exclude[0]:",
       {"at least one"}},
      {"zip of an unknown axis",
       With("seeds:", "zip: [[seeds, train.epoch]]\nseeds:"),
       "s.yaml:8:15: zip[0][1]:",
       {"'train.epochs'"}},
      {"zip of what is no list",
       With("seeds:", "zip: [[seeds, train.epochs]]\nseeds:"),
       "s.yaml:8:15: zip[0][1]:",
       {"no list"}},
      {"zip of other lengths",
       With("seeds:", "zip: [[seeds, students]]\nseeds:"),
       "s.yaml:8:15: zip[0][1]:",
       {"4 values", "2"}},
      {"best without validation",
       With("kfold: 4", "kfold: 4, validation: 0") + "select: {by: val.mae_bpm}\n",
       "s.yaml:9:9: select:",
       {"validation"}},
      {"keep best without validation",
       absl::StrReplaceAll(With("kfold: 4", "kfold: 4, validation: 0"),
                           {{"epochs: 20", "keep: best"}}),
       "s.yaml:7:15: train.keep:",
       {"validation"}},
      {"select by test",
       std::string(kGood) + "select: {by: test.mae}\n",
       "s.yaml:9:14: select.by: 'test.mae'",
       {"val.mae_bpm"}},
      {"bad duration",
       std::string(kGood) + "budget: {wall: soon}\n",
       "s.yaml:9:16: budget.wall: 'soon'",
       {"15m"}},
      {"zero budget",
       std::string(kGood) + "budget: {jobs: 0}\n",
       "s.yaml:9:16: budget.jobs: 0",
       {"at least 1"}},
      {"priority",
       std::string(kGood) + "priority: 5000\n",
       "s.yaml:9:11: priority: 5000",
       {"at most 1000"}},
      {"unknown preset",
       With("beta: [1, 8]", "preset: zhao"),
       "s.yaml:6:58: methods[2].dkd.preset: 'zhao'",
       {"zhao2022"}},
      {"a name of two networks",
       With("resnet1d: 32/8", "resnet1d: [32/8, 64/8]"),
       "s.yaml:4:19: teachers[0].name:",
       {"one network"}},
      {"broken YAML", "name: [a\nb: c: d", "s.yaml:", {"not valid YAML"}},
      {"empty file", "", "s.yaml:1:1: the file is empty", {}},
      {"a list", "- a\n", "s.yaml:1:1: a list", {"a mapping"}},
      {"anchors", "a: &x [1]\nb: *x\n", "s.yaml:1:", {"anchors are not taken"}},
      {"two documents",
       std::string(kGood) + "---\nname: b\n",
       "s.yaml:1:1: more than one document",
       {}},
      {"too deep", std::string(500000, '['), "s.yaml:1:9: nested deeper", {}},
      {"too large", std::string(2 << 20, 'a'), "s.yaml: 2097152 bytes", {"1 MiB"}},
  };
  for (const Bad& bad : cases) {
    const std::string message = Refusal(bad.text);
    EXPECT_THAT(message, StartsWith(bad.place)) << bad.what;
    for (const char* fragment : bad.fragments)
      EXPECT_THAT(message, HasSubstr(fragment)) << bad.what;
  }
}

TEST_F(SweepFileTest, MissingDatasetNamesTheCommandThatMakesIt) {
  EXPECT_THAT(Refusal(With("{path: lab.safetensors}", "{path: no.safetensors, prepare: make me}")),
              HasSubstr("make it with:  make me"));
}

TEST_F(SweepFileTest, DamagedDatasetIsNamed) {
  Write("lab.safetensors", DatasetBytes(8).substr(0, 300));
  EXPECT_THAT(Refusal(kGood), AllOf(StartsWith("s.yaml:2:24: datasets.lab.path: "),
                                    HasSubstr(folder_ + "/lab.safetensors")));
  std::string header = DatasetBytes(8);
  header[20] = '\x01';
  Write("lab.safetensors", header);
  EXPECT_THAT(Refusal(kGood), HasSubstr("lab.safetensors"));
}

TEST_F(SweepFileTest, AMissingSweepFileIsNamed) {
  const auto sweep = ReadSweepFile(folder_ + "/none.yaml");
  EXPECT_EQ(sweep.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(MessageOf(sweep.status()), HasSubstr("none.yaml"));
}

TEST_F(SweepFileTest, ReadsPatienceMicrobatchAndPrecision) {
  const auto sweep = Parse(With("epochs: 20",
                                "patience: 3, keep: best, schedule: constant, "
                                "microbatch: [auto, 32], precision: bf16"));
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  EXPECT_EQ(sweep->spec.train().patience(), 3);
  EXPECT_EQ(sweep->spec.train().precision(), v1::PRECISION_BF16);
  ASSERT_EQ(sweep->spec.train_axes_size(), 1);
  EXPECT_TRUE(sweep->spec.train_axes(0).values(0).has_microbatch());
  EXPECT_EQ(sweep->spec.train_axes(0).values(0).microbatch(), 0);
  EXPECT_EQ(sweep->spec.train_axes(0).values(1).microbatch(), 32);
}

TEST_F(SweepFileTest, AxesInAZipGroupMayRepeatValues) {
  const auto sweep = Parse(With("[0, 1]", "[0, 0]") + "zip: [[seeds, methods]]\n");
  EXPECT_FALSE(sweep.ok());  // 2 seeds, 4 methods
  const auto good = Parse(absl::StrReplaceAll(With("[0, 1]", "[0, 0, 1, 1]"),
                                              {{"seeds", "zip: [[seeds, methods]]\nseeds"}}));
  EXPECT_TRUE(good.ok()) << good.status();
}

// Outputs of a teacher for a dataset of 16 windows and one channel.
std::string OutputsBytes(const std::string& dataset, int classes = 180, float value = 1) {
  const std::vector<float> logits(16 * classes, value);
  return SerializeSafetensors({{"format", "retort.outputs.v1"}, {"dataset", dataset}},
                              {{"logits", DType::kF32, {16, 1, classes}, BytesOfVector(logits)}});
}

TEST_F(SweepFileTest, GivenTeachersAreFilesThatFitTheDatasets) {
  const std::string base =
      "name: s\ndatasets: {lab: {path: lab.safetensors}}\nsplit: {kfold: 4}\n"
      "students: [{resnet1d: 4/4}]\nmethods: [METHOD]\nteachers: [TEACHER]\n";
  const auto with = [&](const std::string& teacher, const std::string& method = "soft") {
    return absl::StrReplaceAll(base, {{"TEACHER", teacher}, {"METHOD", method}});
  };
  const std::string lab = ArtifactHash(Sha256Of(DatasetBytes(8))).hex();
  Write("o.safetensors", OutputsBytes(lab));
  const auto good =
      Parse(with("{name: theirs, outputs: o.safetensors, trained_on: ['external:x', lab/s1]}"));
  ASSERT_TRUE(good.ok()) << good.status();
  const v1::NamedTeacher& teacher = good->spec.teachers(0);
  EXPECT_EQ(teacher.outputs_dataset_sha256(), lab);
  EXPECT_THAT(teacher.trained_on(), ElementsAre("external:x", "lab/s1"));
  EXPECT_EQ(good->file_paths.at(teacher.given().outputs_sha256()), folder_ + "/o.safetensors");

  Write("other.safetensors", OutputsBytes(std::string(64, 'a')));
  Write("few.safetensors", OutputsBytes(lab, 100));
  Write("nan.safetensors", OutputsBytes(lab, 180, NAN));
  Write("m.pt", "no module");
  const std::vector<std::pair<std::string, std::string>> wrong = {
      {with("{outputs: o.safetensors}"), "teachers[0]: no name"},
      {with("{name: x, weights: none.safetensors}"), "teachers[0].weights: 'none.saf"},
      {with("{name: x, weights: o.safetensors}"), "weights have 'retort.model.v1'"},
      {with("{name: x, weights: o.safetensors, outputs: o.safetensors}"), "given by one file"},
      {with("{name: x, wieghts: o.safetensors}"), "did you mean 'weights'"},
      {with("{name: x, outputs: o.safetensors, resnet1d: 4/4}"), "resnet1d"},
      {with("{name: x, outputs: other.safetensors}"), "dataset 'lab' has SHA-256 " + lab},
      {with("{name: x, outputs: few.safetensors}"), "100 classes; must have 180"},
      {with("{name: x, outputs: nan.safetensors}"), "not finite at window 0, channel 0"},
      {with("{name: x, outputs: o.safetensors, trained_on: [lba]}"), "'lba' names no subject"},
      {with("{name: x, outputs: o.safetensors}", "feature"), "have no tensor 'features'"},
      {with("{name: x, torchscript: m.pt}"), "no TorchScript module"}};
  for (const auto& [text, message] : wrong) EXPECT_THAT(Refusal(text), HasSubstr(message)) << text;
}

}  // namespace
}  // namespace retort
