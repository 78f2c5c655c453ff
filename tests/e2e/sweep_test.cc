// A sweep through real processes: coordinator, workers, runners and the command line. The runner is
// the one made for tests.
#include <gtest/gtest.h>
#include <signal.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "tests/e2e/cluster.h"

namespace retort::e2e {
namespace {

// 2 folds x 2 seeds: 4 teachers, and for each student 4 x (scratch + soft).
std::string SweepOf(const std::string& students, const std::string& name = "s", int epochs = 3) {
  return absl::StrCat("name: ", name,
                      "\ndatasets: {d: {path: d.safetensors}}\n"
                      "split: {kfold: 2}\nteachers: [{resnet1d: 8/4}]\nstudents: [",
                      students, "]\nmethods: [scratch, soft]\ntrain: {epochs: ", epochs,
                      "}\nseeds: [0, 1]\n");
}

class SweepTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_.StartServer();
    cluster_.MakeDataset();
  }

  // Submits and returns the sweep's name.
  std::string Submit(const std::string& yaml) {
    const auto sweep = cluster_.Json({"sweep", "submit", cluster_.Write("sweep.yaml", yaml)});
    return sweep["sweep"].get<std::string>();
  }
  void WaitForSuccess(const std::string& sweep) {
    const Outcome wait =
        cluster_.Cli({"sweep", "wait", sweep, "--timeout", "60s"}, absl::Seconds(90));
    ASSERT_EQ(wait.exit_code, 0) << wait.out << wait.err;
  }
  nlohmann::json Jobs(const std::string& sweep) {
    return cluster_.Json({"job", "list", "--sweep", sweep});
  }
  int Running(const std::string& sweep) { return CountJobs(Jobs(sweep), "running"); }

  Cluster cluster_;
};

TEST_F(SweepTest, EveryJobSucceedsOnceAndResultsAreComplete) {
  auto worker = cluster_.StartWorker("w1", 2, 1);
  const std::string sweep = Submit(SweepOf("{resnet1d: [4/4, 8/4]}"));
  WaitForSuccess(sweep);
  const auto results = cluster_.Json({"results", sweep});
  ASSERT_EQ(results.size(), 4u + 2 * 4 * 2);
  std::set<std::string> jobs;
  for (const auto& row : results) {
    EXPECT_TRUE(jobs.insert(row["job"]).second);
    EXPECT_EQ(row["state"], "succeeded");
    EXPECT_EQ(row["attempt"], 1);
    for (const char* key :
         {"mae_bpm", "mae_argmax_bpm", "mae_expectation_bpm", "rmse_bpm", "within_5_bpm", "params",
          "params_body", "macs", "latency_ms", "floor_mean_bpm", "floor_fft_bpm"}) {
      EXPECT_TRUE(row[key].is_number()) << key << " in " << row;
    }
    for (const char* key : {"kind", "method", "teacher", "student", "seed", "fold"}) {
      EXPECT_TRUE(row.contains(key)) << key;
    }
  }
  // Every student that learns from a teacher began after that teacher had ended; the coordinator
  // says so of each job.
  const auto shown = cluster_.Json({"sweep", "show", sweep});
  EXPECT_EQ(shown["succeeded"], 20);
}

TEST_F(SweepTest, SubmittingAgainRunsNothingAndAnotherStudentRunsOnlyItsJobs) {
  auto worker = cluster_.StartWorker("w1", 2, 1);
  WaitForSuccess(Submit(SweepOf("{resnet1d: 4/4}")));
  const std::string again = Submit(SweepOf("{resnet1d: 4/4}"));
  WaitForSuccess(again);
  EXPECT_EQ(cluster_.Json({"sweep", "show", again})["known_jobs"], 12);
  for (const auto& job : Jobs(again)) EXPECT_EQ(job["attempt"], 1) << job;
  const std::string more = Submit(SweepOf("{resnet1d: [4/4, 8/4]}"));
  WaitForSuccess(more);
  EXPECT_EQ(cluster_.Json({"sweep", "show", more})["known_jobs"], 12);
  EXPECT_EQ(Jobs(more).size(), 20u);
  for (const auto& job : Jobs(more)) EXPECT_EQ(job["attempt"], 1) << job;
}

TEST_F(SweepTest, TwoSweepsShareTheirTeachers) {
  auto worker = cluster_.StartWorker("w1", 2, 1);
  const std::string a = Submit(SweepOf("{resnet1d: 4/4}", "a"));
  const std::string b = Submit(SweepOf("{mlp: {width: 8, depth: 1}}", "b"));
  WaitForSuccess(a);
  WaitForSuccess(b);
  std::set<std::string> teachers_a, teachers_b;
  for (const auto& job : Jobs(a)) {
    if (job["kind"] == "teacher") teachers_a.insert(job["job"]);
  }
  for (const auto& job : Jobs(b)) {
    if (job["kind"] == "teacher") teachers_b.insert(job["job"]);
    EXPECT_EQ(job["attempt"], 1);
  }
  EXPECT_EQ(teachers_a.size(), 4u);
  EXPECT_EQ(teachers_a, teachers_b);
}

TEST_F(SweepTest, ACoordinatorThatIsKilledLosesNothingAndInterruptsNoRun) {
  auto worker = cluster_.StartWorker("w1", 2, 100);
  const std::string sweep = Submit(SweepOf("{resnet1d: 4/4}", "s", 10));
  ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return Running(sweep) == 2; }));
  cluster_.KillServer();
  Pause(absl::Seconds(1));
  cluster_.StartServer();
  WaitForSuccess(sweep);
  const auto results = cluster_.Json({"results", sweep});
  EXPECT_EQ(results.size(), 12u);
  // Nothing ran twice: the two runs that were under way when the coordinator died are attempt 1 of
  // their jobs still.
  for (const auto& row : results) EXPECT_EQ(row["attempt"], 1) << row;
}

TEST_F(SweepTest, AWorkerThatIsKilledGivesItsJobsBack) {
  auto first = cluster_.StartWorker("w1", 2, 200);
  const std::string sweep = Submit(SweepOf("{resnet1d: 4/4}", "s", 10));
  ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return Running(sweep) == 2; }));
  first->Signal(SIGKILL);
  auto second = cluster_.StartWorker("w2", 2, 1);
  WaitForSuccess(sweep);
  int again = 0;
  for (const auto& row : cluster_.Json({"results", sweep})) again += row["attempt"] == 2;
  EXPECT_EQ(again, 2) << "the two jobs that the first worker had";
}

// The epochs that are done are not done again, and their points stay.
TEST_F(SweepTest, AnotherWorkerGoesOnFromTheCheckpointsOfOneThatIsKilled) {
  auto first = cluster_.StartWorker("w1", 2, 100);
  const std::string sweep =
      Submit(SweepOf("{resnet1d: 4/4}", "s", 60) + "checkpoint_every: 0.1s\n");
  const auto epochs = [&] {
    const std::string sql = "SELECT step FROM metrics WHERE series = 'train.loss' AND step >= 20";
    return cluster_.Json({"query", sql}).size();
  };
  ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return epochs() > 0; }));
  first->Signal(SIGKILL);
  auto second = cluster_.StartWorker("w2", 2, 1);
  WaitForSuccess(sweep);
  int again = 0;
  for (const auto& row : cluster_.Json({"results", sweep})) {
    const std::string job = row["job"];
    EXPECT_EQ(cluster_
                  .Json({"query",
                         "SELECT step FROM metrics WHERE series = 'train.loss' AND "
                         "job = '" +
                             job + "'"})
                  .size(),
              60u);
    if (row["attempt"] == 1) continue;
    ++again;
    const Outcome logs = cluster_.Cli({"job", "logs", job});
    const size_t at = logs.out.rfind("goes on from epoch ");
    ASSERT_NE(at, std::string::npos) << logs.out;
    EXPECT_GE(std::atoi(logs.out.c_str() + at + 19), 10);
  }
  EXPECT_EQ(again, 2) << "the two jobs that the first worker had";
}

TEST_F(SweepTest, AWorkerThatIsAskedToGoHandsItsJobsBackAtOnce) {
  auto first = cluster_.StartWorker("w1", 2, 60000, {{"RETORT_DRAIN_TIMEOUT", "1s"}});
  const std::string sweep = Submit(SweepOf("{resnet1d: 4/4}", "s", 10));
  ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return Running(sweep) == 2; }));
  first->Signal(SIGTERM);
  const auto code = first->Wait(absl::Seconds(30));
  ASSERT_TRUE(code.has_value()) << "did not leave";
  EXPECT_EQ(*code, 0);
  int preempted = 0;
  for (const auto& job : Jobs(sweep)) {
    EXPECT_NE(job["state"], "running");
    preempted += job["failure"] == "preempted";
  }
  EXPECT_EQ(preempted, 2) << "reported by the worker before it left, not found out later";
  auto second = cluster_.StartWorker("w2", 2, 1);
  WaitForSuccess(sweep);
}

TEST_F(SweepTest, CancellingStopsRunsAndLeavesNothingQueued) {
  auto worker = cluster_.StartWorker("w1", 2, 60000);
  const std::string sweep = Submit(SweepOf("{resnet1d: 4/4}"));
  ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return Running(sweep) == 2; }));
  EXPECT_EQ(cluster_.Cli({"sweep", "cancel", sweep}).exit_code, 0);
  EXPECT_EQ(CountJobs(Jobs(sweep), "cancelled"), 12);
  // Asked for again, the same jobs run to their end.
  worker.reset();
  auto fast = cluster_.StartWorker("w2", 2, 1);
  WaitForSuccess(Submit(SweepOf("{resnet1d: 4/4}")));
}

}  // namespace
}  // namespace retort::e2e
