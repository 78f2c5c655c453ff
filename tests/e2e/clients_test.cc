// Other people's programs: a C++ project against the installed library, and the Python package as
// pip installs it, both with a real coordinator.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "tests/e2e/cluster.h"

namespace retort::e2e {
namespace {

using testing::HasSubstr;

constexpr char kPython[] = "/usr/bin/python3";

class ClientsTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_.StartServer();
    cluster_.MakeDataset();
    worker_ = cluster_.StartWorker("w1", 2, 1);
  }
  // A program of the system, which must succeed.
  Outcome Must(const std::vector<std::string>& arguments, absl::Duration limit) {
    const Outcome outcome = RunCommand(arguments, cluster_.folder(), limit);
    EXPECT_EQ(outcome.exit_code, 0) << arguments[0] << " " << arguments[1] << ":\n"
                                    << outcome.out << outcome.err;
    return outcome;
  }
  std::string Path(const std::string& name) { return cluster_.folder() + "/" + name; }

  const std::string source_ = RETORT_SOURCE_DIR;
  Cluster cluster_;
  std::unique_ptr<Process> worker_;
};

TEST_F(ClientsTest, ACppProjectBuildsAgainstTheInstalledLibrary) {
  const std::string prefix = Path("prefix");
  const std::string flags = std::string("-DCMAKE_CXX_FLAGS=") + CONSUMER_FLAGS;
  Must({CMAKE_PROGRAM, "--install", RETORT_BINARY_DIR, "--component", "sdk", "--prefix", prefix},
       absl::Seconds(60));
  Must({CMAKE_PROGRAM, "-S", source_ + "/tests/e2e/installed_sdk", "-B", Path("installed"), "-G",
        "Ninja", flags, "-DCMAKE_PREFIX_PATH=" + prefix},
       absl::Seconds(120));
  Must({CMAKE_PROGRAM, "-S", source_ + "/client/sdk/example", "-B", Path("example"), "-G", "Ninja",
        flags, "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_PREFIX_PATH=" + prefix},
       absl::Seconds(120));
  Must({CMAKE_PROGRAM, "--build", Path("example")}, absl::Seconds(400));
  const std::string sweep = cluster_.Write(
      "sweep.yaml",
      "name: example\ndatasets: {d: {path: d.safetensors}}\nsplit: {kfold: 2}\n"
      "students: [{resnet1d: [4/4, 8/4]}]\nmethods: [scratch]\ntrain: {epochs: 2}\n");
  const Outcome ran = Must({Path("example/sweep"), cluster_.address(), sweep}, absl::Seconds(60));
  EXPECT_THAT(ran.out, HasSubstr("resnet1d-4/4 scratch seed 0 fold 0: "));
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 4);
  const Outcome wrong =
      RunCommand({Path("example/sweep"), cluster_.address(), Path("none.yaml")}, cluster_.folder());
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.err, HasSubstr("none.yaml"));
}

TEST_F(ClientsTest, ThePythonPackageWorksAsPipInstallsIt) {
  Must({kPython, "-m", "venv", "--system-site-packages", Path("venv")}, absl::Seconds(60));
  const std::string python = Path("venv/bin/python");
  Must({python, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-index", "--no-deps",
        source_ + "/client/python"},
       absl::Seconds(60));
  // What a checkout does not have is not left there.
  for (const char* left : {"build", "retort.egg-info", "retort/v1"}) {
    EXPECT_FALSE(std::filesystem::exists(source_ + "/client/python/" + left)) << left;
  }
  const std::string program = std::string(RETORT_BINARY_DIR) + "/bin/retort";
  const Outcome tests = Must({python, source_ + "/tests/e2e/python_client.py", cluster_.address(),
                              program, Path("d.safetensors")},
                             absl::Seconds(120));
  EXPECT_THAT(tests.err, HasSubstr("OK"));
  const Outcome study = Must({"/usr/bin/env", "RETORT_PROGRAM=" + program, python,
                              source_ + "/client/python/examples/study.py", cluster_.address()},
                             absl::Seconds(120));
  EXPECT_THAT(study.out, HasSubstr("10 of 10 jobs are done"));
  EXPECT_THAT(study.out, HasSubstr("resnet1d-2/4"));
}

}  // namespace
}  // namespace retort::e2e
