// Bad input, one by one: one clear message that names field or file, value, and what would be
// right; exit code 2; and nothing is left half-made.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "common/files.h"
#include "tests/e2e/cluster.h"

namespace retort::e2e {
namespace {

constexpr char kGood[] =
    "name: s\n"
    "datasets: {d: {path: d.safetensors}}\n"
    "split: {kfold: 2}\n"
    "teachers: [{resnet1d: 8/4}]\n"
    "students: [{resnet1d: 4/4}]\n"
    "methods: [scratch, soft]\n"
    "train: {epochs: 2}\n"
    "seeds: [0]\n";

std::string Replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

struct Case {
  std::string name;
  std::string from, to;             // a change of the good sweep file
  std::vector<std::string> tokens;  // what the message must name
};

void PrintTo(const Case& value, std::ostream* out) { *out << value.name; }

class BadSweepFile : public testing::TestWithParam<Case> {};

TEST_P(BadSweepFile, IsRefusedWithOneMessageThatNamesWhatIsWrong) {
  Cluster cluster;
  cluster.MakeDataset();
  const std::string file =
      cluster.Write("sweep.yaml", Replaced(kGood, GetParam().from, GetParam().to));
  const std::string data = cluster.folder() + "/data";
  const Outcome outcome = RunCommand({"retort", "local", file, "--folder", data}, cluster.folder());
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_EQ(outcome.out, "");
  for (const std::string& token : GetParam().tokens) {
    EXPECT_NE(outcome.err.find(token), std::string::npos)
        << "'" << token << "' is missing in: " << outcome.err;
  }
  EXPECT_LE(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 2) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(data)) << "a folder was left behind";
}

INSTANTIATE_TEST_SUITE_P(
    EveryKey, BadSweepFile,
    testing::Values(
        Case{"UnknownKey", "seeds:", "sedes:", {"sweep.yaml:8:1", "sedes", "seeds"}},
        Case{
            "UnknownNestedKey", "{epochs: 2}", "{epoch: 2}", {"sweep.yaml:7:9", "epoch", "epochs"}},
        Case{"WrongType", "{epochs: 2}", "{epochs: many}", {"epochs", "many", "whole number"}},
        Case{"WrongShape", "[scratch, soft]", "{a: 1}", {"methods", "list"}},
        Case{"UnknownMethod", "soft]", "sofd]", {"methods[1]", "sofd", "soft"}},
        Case{"NegativeEpochs", "epochs: 2", "epochs: -5", {"epochs", "-5", "at least 1"}},
        Case{"MissingDataset", "d.safetensors", "no.safetensors", {"no.safetensors"}},
        Case{"UndefinedTeacher", "soft]", "{soft: {teachers: [huge]}}]", {"huge", "resnet1d-8/4"}},
        Case{"UnknownFamily", "{resnet1d: 8/4}", "{resnet2d: 8/4}", {"resnet2d", "resnet1d"}},
        Case{"MalformedSize", "8/4", "8-4", {"8-4", "BASE/BLOCKS"}},
        Case{"EmptyGrid", "[{resnet1d: 4/4}]", "[]", {"students", "at least one value"}},
        Case{"EmptySeeds", "[0]", "[]", {"seeds", "at least one value"}},
        Case{"NoDataset", "datasets: {d: {path: d.safetensors}}\n", "", {"datasets"}},
        Case{"TooManyFolds", "kfold: 2", "kfold: 7", {"kfold", "7", "6 subjects"}},
        Case{"BadName", "name: s", "name: 'My Sweep'", {"name", "My Sweep", "lower-case"}},
        Case{"NotYaml", "seeds: [0]", "seeds: [0", {"sweep.yaml:"}}),
    [](const auto& info) { return info.param.name; });

TEST(BadInput, ADamagedDatasetIsNamed) {
  Cluster cluster;
  cluster.MakeDataset();
  auto bytes = ReadFile(cluster.folder() + "/d.safetensors");
  ASSERT_TRUE(bytes.ok());
  const std::string file = cluster.Write("sweep.yaml", kGood);
  for (auto damage : {+[](std::string& b) { b.resize(b.size() / 2); },
                      +[](std::string& b) { b[0] = b[1] = b[2] = b[3] = '\xff'; },
                      +[](std::string& b) { b[9] = '!'; }, +[](std::string& b) { b.clear(); }}) {
    std::string damaged = *bytes;
    damage(damaged);
    cluster.Write("d.safetensors", damaged);
    const Outcome outcome = RunCommand(
        {"retort", "local", file, "--folder", cluster.folder() + "/data"}, cluster.folder());
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find("d.safetensors"), std::string::npos) << outcome.err;
    EXPECT_FALSE(std::filesystem::exists(cluster.folder() + "/data"));
  }
}

TEST(BadInput, ARecordingCutShortIsNamedAndNothingIsWritten) {
  const std::string data = std::string(RETORT_SOURCE_DIR) + "/../shared/data/ieee_spc_2015";
  if (!std::filesystem::exists(data)) GTEST_SKIP() << "no IEEE recordings at " << data;
  Cluster cluster;
  const std::string copy = cluster.folder() + "/ieee";
  std::filesystem::copy(data, copy, std::filesystem::copy_options::recursive);
  const std::string file = copy + "/Training_data/DATA_05_TYPE02.mat";
  ASSERT_TRUE(std::filesystem::exists(file));
  std::filesystem::permissions(file, std::filesystem::perms::owner_write,
                               std::filesystem::perm_options::add);
  std::filesystem::resize_file(file, std::filesystem::file_size(file) / 2);
  const std::string out = cluster.folder() + "/out.safetensors";
  const Outcome outcome =
      RunCommand({"retort", "data", "prepare", "ieee-spc-2015", "--from", copy, "--out", out},
                 cluster.folder());
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_NE(outcome.err.find("DATA_05_TYPE02.mat"), std::string::npos) << outcome.err;
  EXPECT_FALSE(std::filesystem::exists(out));
}

TEST(BadInput, AFolderThatCannotBeMadeIsNamed) {
  Cluster cluster;
  cluster.MakeDataset();
  const Outcome outcome =
      RunCommand({"retort", "local", cluster.Write("sweep.yaml", kGood), "--folder", "/proc/none"},
                 cluster.folder());
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_NE(outcome.err.find("--folder: /proc/none"), std::string::npos) << outcome.err;
}

TEST(BadInput, ACoordinatorThatIsNotThereIsSaidSo) {
  Cluster cluster;
  const Outcome outcome =
      RunCommand({"retort", "sweep", "list", "--coordinator", "127.0.0.1:1"}, cluster.folder());
  EXPECT_EQ(outcome.exit_code, 4) << outcome.err;
  EXPECT_NE(outcome.err.find("127.0.0.1:1"), std::string::npos) << outcome.err;
}

TEST(BadInput, WhatDoesNotExistIsNotFound) {
  Cluster cluster;
  cluster.StartServer();
  EXPECT_EQ(cluster.Cli({"sweep", "show", "nothing"}).exit_code, 3);
  EXPECT_EQ(cluster.Cli({"job", "show", "abcdef123456"}).exit_code, 3);
  EXPECT_EQ(cluster.Cli({"results", "nothing"}).exit_code, 3);
  EXPECT_EQ(cluster.Cli({"sweep", "lsit"}).exit_code, 2);
}

}  // namespace
}  // namespace retort::e2e
