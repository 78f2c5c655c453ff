// Weights out: fetched, read by NumPy, run. Real training.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/files.h"
#include "tests/e2e/cluster.h"

namespace retort::e2e {
namespace {

using testing::HasSubstr;

constexpr char kSweep[] =
    "name: s\ndatasets: {d: {path: d.safetensors}}\nsplit: {holdout: 0.34}\n"
    "students: [{mlp: {width: 8, depth: 2}}]\nmethods: [scratch]\ntrain: {epochs: 2}\n";

class ModelTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_.MakeDataset();
    const Outcome local = RunCommand({"retort", "local", cluster_.Write("sweep.yaml", kSweep),
                                      "--folder", cluster_.folder() + "/data", "-o", "json"},
                                     cluster_.folder(), absl::Seconds(60));
    ASSERT_EQ(local.exit_code, 0) << local.err;
    job_ = nlohmann::json::parse(local.out)[0]["job"];
    cluster_.set_server_folder(cluster_.folder() + "/data/coordinator");
    cluster_.StartServer();
  }
  std::string Path(const std::string& name) { return cluster_.folder() + "/" + name; }
  Outcome Predict(const std::string& weights, const std::string& input,
                  std::vector<std::string> more = {}) {
    std::vector<std::string> args = {"model",       "predict", "--weights",
                                     Path(weights), "--input", Path(input)};
    args.insert(args.end(), more.begin(), more.end());
    return cluster_.Cli(args);
  }

  Cluster cluster_;
  std::string job_;
};

TEST_F(ModelTest, FetchedWeightsSayTheSameInNumpy) {
  const auto fetched =
      cluster_.Json({"model", "fetch", job_.substr(0, 8), "--out", Path("w.safetensors")});
  EXPECT_EQ(fetched["job"], job_);
  EXPECT_EQ(fetched["size_bytes"], std::filesystem::file_size(Path("w.safetensors")));
  const auto rows = cluster_.Json(
      {"model", "predict", "--weights", Path("w.safetensors"), "--input", Path("d.safetensors")});
  const Outcome python = RunCommand(
      {"/usr/bin/python3", std::string(RETORT_SOURCE_DIR) + "/tests/e2e/numpy_predict.py",
       Path("w.safetensors"), Path("d.safetensors")},
      cluster_.folder());
  ASSERT_EQ(python.exit_code, 0) << python.err;
  const auto expected = nlohmann::json::parse(python.out);
  size_t alone = 0;
  for (const auto& row : rows) {
    if (row["channel"] == "all") continue;
    ASSERT_LT(alone, expected.size());
    const auto& want = expected[alone++];
    // The median may fall on either side of a half.
    EXPECT_NEAR(row["median_bpm"].get<double>(), want[0].get<double>(), 1) << row;
    EXPECT_EQ(row["argmax_bpm"].get<double>(), want[1].get<double>()) << row;
    EXPECT_NEAR(row["expectation_bpm"].get<double>(), want[2].get<double>(), 1e-3) << row;
  }
  EXPECT_EQ(alone, expected.size());
}

TEST_F(ModelTest, ReportRunsTheBestStudentAndIsOneFile) {
  const Outcome html = cluster_.Cli({"report", "s", "-o", Path("r.html")});
  ASSERT_EQ(html.exit_code, 0) << html.err;
  EXPECT_EQ(html.out, "");
  const std::string page = ReadFile(Path("r.html")).value();
  const auto result = cluster_.Json({"results", "s"})[0];
  EXPECT_THAT(page, HasSubstr(absl::StrFormat("mlp-8x2, scratch, with %.2f BPM on test",
                                              result["mae_bpm"].get<double>())));
  const auto estimates = cluster_.Json({"query", "SELECT bias_bpm FROM results"})[0];
  const int channels = 2;
  EXPECT_THAT(page,
              HasSubstr(absl::StrFormat("Bias %.2f BPM", estimates["bias_bpm"].get<double>())))
      << "its networks, run again, err as they did";
  EXPECT_THAT(page, HasSubstr(absl::StrCat("over ", channels * result["windows"].get<int>(),
                                           " estimates")));
  EXPECT_THAT(page, HasSubstr("Bland-Altman"));

  ASSERT_EQ(cluster_.Cli({"report", "s", "-o", Path("r.md")}).exit_code, 0);
  EXPECT_THAT(ReadFile(Path("r.md")).value(), HasSubstr("| student | mlp-8x2 | scratch |"));

  const Outcome pdf = cluster_.Cli({"report", "s", "-o", "r.pdf"});
  EXPECT_EQ(pdf.exit_code, 2);
  EXPECT_THAT(pdf.err, HasSubstr("--out: 'r.pdf'; must end with .html or .md"));
  EXPECT_EQ(cluster_.Cli({"report", "t", "-o", Path("t.html")}).exit_code, 3);
  EXPECT_FALSE(std::filesystem::exists(Path("t.html")));
}

TEST_F(ModelTest, PredictsFromCsvAndRefusesWhatIsWrong) {
  ASSERT_EQ(cluster_.Cli({"model", "fetch", job_, "--out", Path("w.safetensors")}).exit_code, 0);
  std::string csv = "time_s,ppg\n";
  for (int i = 0; i < 64 * 20; ++i) {
    absl::StrAppend(&csv, i / 64.0, ",", std::sin(2 * 3.14159265 * 1.2 * i / 64.0), "\n");
  }
  cluster_.Write("ppg.csv", csv);
  const auto rows = cluster_.Json(
      {"model", "predict", "--weights", Path("w.safetensors"), "--input", Path("ppg.csv")});
  ASSERT_EQ(rows.size(), 7u) << "20 s: windows of 8 s every 2 s";
  EXPECT_TRUE(rows[0]["reference_bpm"].is_null());
  EXPECT_EQ(rows[6]["start_s"], 12);
  EXPECT_THAT(Predict("w.safetensors", "ppg.csv", {"-o", "csv"}).out, HasSubstr("median_bpm"));

  cluster_.Write("gap.csv", "time_s,ppg\n0,1\n1,2\n2,3\n9,1\n10,1\n");
  cluster_.Write("word.csv", "ppg\n0\nx\n");
  cluster_.Write("empty.csv", "time_s,ppg\n0,1\n1,\n");
  cluster_.Write("bare.csv", "0,1\n1,2\n");
  cluster_.Write("bad.safetensors", "nothing");
  const std::vector<std::pair<Outcome, std::string>> wrong = {
      {Predict("w.safetensors", "gap.csv"), "time_s"},
      {Predict("w.safetensors", "word.csv", {"--rate", "64"}), "word.csv, line 3, column ppg: 'x'"},
      {Predict("w.safetensors", "empty.csv"), "empty.csv: ppg: row 2 is nan"},
      {Predict("w.safetensors", "bare.csv"), "bare.csv: its first line holds numbers"},
      {Predict("w.safetensors", "none.csv"), "none.csv"},
      {Predict("bad.safetensors", "ppg.csv"), "bad.safetensors"},
      {Predict("d.safetensors", "ppg.csv"), "'format' is 'retort.dataset.v1'"},
      {Predict("w.safetensors", "w.safetensors"), "w.safetensors"}};
  for (const auto& [outcome, message] : wrong) {
    EXPECT_EQ(outcome.exit_code, 2) << message << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(message));
    EXPECT_EQ(outcome.out, "");
  }
  EXPECT_EQ(cluster_.Cli({"model", "fetch", "abcdef"}).exit_code, 3);
}

TEST_F(ModelTest, GivenWeightsAndGivenOutputsTeachByLogitsAndByFeatures) {
  ASSERT_EQ(cluster_.Cli({"model", "fetch", job_, "--out", Path("w.safetensors")}).exit_code, 0);
  const Outcome python = RunCommand(
      {"/usr/bin/python3", std::string(RETORT_SOURCE_DIR) + "/client/teachers/write_outputs.py",
       Path("d.safetensors"), "--out", Path("o.safetensors")},
      cluster_.folder());
  ASSERT_EQ(python.exit_code, 0) << python.err;
  const std::string sweep =
      "name: g\ndatasets: {d: {path: d.safetensors}}\nsplit: {holdout: 0.34}\n"
      "teachers: [{name: mine, weights: w.safetensors, trained_on: [d]},\n"
      "  {name: spectrum, outputs: o.safetensors, trained_on: ['external:none']}]\n"
      "students: [{mlp: {width: 4, depth: 1}}]\nmethods: [soft, feature]\ntrain: {epochs: 2}\n";
  const Outcome local = RunCommand({"retort", "local", cluster_.Write("given.yaml", sweep),
                                    "--folder", Path("given"), "-o", "json"},
                                   cluster_.folder(), absl::Seconds(100));
  ASSERT_EQ(local.exit_code, 0) << local.err;
  std::map<std::string, int> teachers;
  for (const auto& row : nlohmann::json::parse(local.out)) {
    EXPECT_EQ(row["state"], "succeeded");
    ++teachers[row["teacher"].get<std::string>()];
  }
  EXPECT_EQ(teachers,
            (std::map<std::string, int>{{"mine (HAS SEEN TEST SUBJECTS)", 2}, {"spectrum", 2}}));
}

}  // namespace
}  // namespace retort::e2e
