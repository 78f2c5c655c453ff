// `retort worker launch slurm` with a real Slurm.
#include "tests/launch/slurm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "tests/e2e/cluster.h"

namespace retort::e2e {
namespace {

using testing::HasSubstr;

// Jobs of an epoch's time each; `epochs` epochs.
std::string Sweep(const std::string& name, int epochs, int seeds) {
  std::string list;
  for (int i = 0; i < seeds; ++i) absl::StrAppend(&list, i > 0 ? ", " : "", i);
  return absl::StrCat("name: ", name,
                      "\ndatasets: {d: {path: d.safetensors}}\nsplit: {kfold: 2, folds: [0]}\n"
                      "students: [{resnet1d: 4/4}]\nmethods: [scratch]\ntrain: {epochs: ",
                      epochs, "}\nseeds: [", list, "]\ncheckpoint_every: 1h\n");
}

class SlurmTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string missing = Slurm::Missing();
    if (!missing.empty()) GTEST_SKIP() << "no Slurm: " << missing;
    setenv("RETORT_FAKE_EPOCH_MS", "20", 1);
    cluster_.StartServer();
    cluster_.MakeDataset();
    ASSERT_TRUE(MakeFolders(cluster_.folder() + "/slurm").ok());
    slurm_ = std::make_unique<Slurm>(cluster_.folder() + "/slurm");
  }

  std::vector<std::string> LaunchLine(const std::vector<std::string>& more) {
    std::vector<std::string> line = {
        "worker",
        "launch",
        "slurm",
        "--name",
        "test",
        "--logs",
        cluster_.folder() + "/logs",
        "--folder",
        cluster_.folder() + "/nodes",
        "--worker-option=--runner",
        std::string("--worker-option=") + RETORT_BINARY_DIR + "/bin/retort-fake-runner"};
    line.insert(line.end(), more.begin(), more.end());
    return line;
  }
  // The number of the job. `behind`: what comes behind `--`.
  std::string Launch(const std::vector<std::string>& more,
                     const std::vector<std::string>& behind = {}) {
    std::vector<std::string> line = LaunchLine(more);
    line.insert(line.begin(), "retort");
    line.insert(line.end(), {"--coordinator", cluster_.address(), "-o", "json", "--"});
    line.insert(line.end(), behind.begin(), behind.end());
    const Outcome outcome = RunCommand(line, cluster_.folder());
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    const auto launched = nlohmann::json::parse(outcome.out, nullptr, false);
    return launched.contains("job") ? absl::StrCat(launched["job"].get<int64_t>()) : "";
  }
  void Submit(const std::string& name, int epochs, int seeds) {
    const Outcome submitted = cluster_.Cli(
        {"sweep", "submit", cluster_.Write(name + ".yaml", Sweep(name, epochs, seeds))});
    ASSERT_EQ(submitted.exit_code, 0) << submitted.err;
  }
  int WaitFor(const std::string& name) {
    return cluster_.Cli({"sweep", "wait", name, "--timeout", "50s"}).exit_code;
  }
  nlohmann::json Query(const std::string& sql) { return cluster_.Json({"query", sql}); }
  // A job trains and has come so far that a checkpoint says something.
  bool Trains() {
    return Eventually(absl::Seconds(90), [&] {
      return !Query("SELECT job FROM metrics WHERE step >= 5 LIMIT 1").empty();
    });
  }
  // All that there is to see if something goes wrong.
  std::string Logs() {
    std::string all;
    for (const auto& entry : std::filesystem::directory_iterator(cluster_.folder() + "/logs")) {
      all += entry.path().filename().string() + ":\n" +
             ReadFile(entry.path().string()).value_or("") + "\n";
    }
    return all;
  }
  // The only job was stopped on one worker, with a checkpoint, and ended on another from there.
  void ExpectWentOnElsewhere(const std::string& sweep) {
    const nlohmann::json attempts =
        Query("SELECT attempt, worker, failure FROM attempts ORDER BY attempt");
    ASSERT_EQ(attempts.size(), 2u) << attempts << Logs();
    EXPECT_EQ(attempts[0]["failure"], "PREEMPTED");
    EXPECT_NE(attempts[0]["worker"], attempts[1]["worker"]);
    const nlohmann::json jobs = cluster_.Json({"job", "list", "--sweep", sweep});
    const Outcome log = cluster_.Cli({"job", "logs", jobs[0]["job"].get<std::string>()});
    EXPECT_THAT(log.out, HasSubstr("goes on from epoch"));
  }
  bool NothingIsLeft() {
    return Eventually(absl::Seconds(90), [&] { return slurm_->Alive().empty(); });
  }

  Cluster cluster_;
  std::unique_ptr<Slurm> slurm_;
};

TEST_F(SlurmTest, ArrayOfWorkersRunsASweep) {
  const Outcome shown = cluster_.Cli(LaunchLine({"-n", "2", "--dry-run"}));
  EXPECT_THAT(shown.out, HasSubstr("#SBATCH --array=0-1\n"));
  EXPECT_TRUE(slurm_->Alive().empty());
  const std::string job = Launch({"-n", "2", "--cpus", "2"}, {"--comment=a sweep's workers"});
  Submit("s", 50, 8);
  EXPECT_EQ(WaitFor("s"), 0) << Logs();
  // The sweep may be done by the first before the second is there.
  nlohmann::json workers;
  EXPECT_TRUE(Eventually(absl::Seconds(90), [&] {
    workers = cluster_.Json({"worker", "list"});
    return workers.size() == 2;
  }));
  ASSERT_EQ(workers.size(), 2u) << Logs();
  EXPECT_EQ(workers[0]["worker"], "test-" + job + "-0");
  EXPECT_EQ(workers[0]["slots"], 2) << "of two CPUs";
  EXPECT_EQ(workers[1]["worker"], "test-" + job + "-1");
  // Told to leave, they leave nothing behind.
  slurm_->Run({"scancel", "--signal=TERM", "--batch", job});
  EXPECT_TRUE(NothingIsLeft());
  EXPECT_TRUE(std::filesystem::is_empty(cluster_.folder() + "/nodes")) << Logs();
}

TEST_F(SlurmTest, TimeLimitIsLeftBeforeWithACheckpoint) {
  Submit("s", 250, 1);
  // Leaving may take 20 s: it works for two.
  Launch({"--drain-timeout", "0s", "--time", "5", "--time-limit", "22s"});
  ASSERT_TRUE(Trains()) << Logs();
  EXPECT_TRUE(NothingIsLeft()) << Logs();
  Launch({});
  EXPECT_EQ(WaitFor("s"), 0) << Logs();
  ExpectWentOnElsewhere("s");
}

TEST_F(SlurmTest, SignalOfSlurmDrainsWithACheckpoint) {
  Submit("s", 250, 1);
  const std::string job = Launch({"--drain-timeout", "0s"});
  ASSERT_TRUE(Trains()) << Logs();
  Launch({});
  slurm_->Run({"scancel", "--signal=TERM", "--batch", job});
  EXPECT_EQ(WaitFor("s"), 0) << Logs();
  ExpectWentOnElsewhere("s");
}

// As when it is preempted, or its time is over: every process of the job gets the signal.
TEST_F(SlurmTest, CancelledJobLeavesWithACheckpoint) {
  Submit("s", 250, 1);
  const std::string job = Launch({"--drain-timeout", "0s"});
  ASSERT_TRUE(Trains()) << Logs();
  Launch({});
  slurm_->Run({"scancel", job});
  EXPECT_EQ(WaitFor("s"), 0) << Logs();
  ExpectWentOnElsewhere("s");
}

TEST_F(SlurmTest, ArrayGrowsAndShrinksWithTheQueue) {
  std::vector<std::string> line = LaunchLine({"--autoscale", "0:3", "--poll", "300ms", "--idle",
                                              "1s", "--coordinator", cluster_.address()});
  line.insert(line.begin(), "retort");
  Process autoscaler(line, cluster_.folder(), "autoscale");
  Pause(absl::Seconds(1));
  EXPECT_TRUE(slurm_->Alive().empty()) << "nothing waits";
  Submit("s", 100, 12);
  size_t most = 0;
  EXPECT_TRUE(Eventually(absl::Seconds(90),
                         [&] {
                           const std::vector<std::string> alive = slurm_->Alive();
                           most = std::max(most, alive.size());
                           return most == 3;
                         }))
      << most << Logs();
  EXPECT_EQ(WaitFor("s"), 0) << Logs();
  EXPECT_TRUE(NothingIsLeft()) << "they go when nothing is left to do";
  // On a busy machine a lease may run out; nobody was sent away from a job.
  EXPECT_TRUE(Query("SELECT job FROM attempts WHERE failure = 'PREEMPTED'").empty());
  // A second wave.
  Submit("t", 50, 6);
  EXPECT_EQ(WaitFor("t"), 0) << Logs();
  EXPECT_TRUE(NothingIsLeft());
  EXPECT_TRUE(autoscaler.Running());
  autoscaler.Signal(SIGINT);
  EXPECT_EQ(autoscaler.Wait(absl::Seconds(10)), 0);
}

}  // namespace
}  // namespace retort::e2e
