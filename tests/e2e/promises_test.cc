// The promises of the project with real processes: what was acknowledged survives `kill -9`, only
// the current attempt's result counts, a restart kills no training, reads stop nothing. Each fails
// when its promise is broken.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <set>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/processes.h"
#include "tests/e2e/records.h"

namespace retort::e2e {
namespace {

using ::testing::HasSubstr;

// `seeds` x 2 folds teachers, and as many students from scratch and as many by `soft`.
std::string SweepOf(int seeds, int epochs, const std::string& name = "s") {
  std::string list;
  for (int i = 0; i < seeds; ++i) absl::StrAppend(&list, i == 0 ? "" : ", ", i);
  return absl::StrCat("name: ", name,
                      "\ndatasets: {d: {path: d.safetensors}}\nsplit: {kfold: 2}\n"
                      "teachers: [{resnet1d: 8/4}]\nstudents: [{resnet1d: 4/4}]\n"
                      "methods: [scratch, soft]\ntrain: {epochs: ",
                      epochs, "}\nseeds: [", list, "]\n");
}

class PromiseTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_.FixAddress();
    cluster_.set_lease("2s");
    cluster_.StartServer();
    cluster_.MakeDataset();
  }
  std::string Submit(const std::string& yaml) {
    return cluster_.Json({"sweep", "submit", cluster_.Write("sweep.yaml", yaml)})["sweep"];
  }
  nlohmann::json Jobs(const std::string& sweep) {
    return cluster_.Json({"job", "list", "--sweep", sweep});
  }
  int Running(const std::string& sweep) { return CountJobs(Jobs(sweep), "running"); }
  void WaitForSuccess(const std::string& sweep) {
    const Outcome wait =
        cluster_.Cli({"sweep", "wait", sweep, "--timeout", "60s"}, absl::Seconds(90));
    ASSERT_EQ(wait.exit_code, 0) << wait.out << wait.err << cluster_.ServerLog();
  }
  int64_t Number(const std::string& sql) {
    const auto rows = cluster_.Json({"query", sql});
    return rows.empty() ? -1 : rows[0]["n"].get<int64_t>();
  }
  // Ends everything and looks for contradictions.
  void ExpectSound(std::vector<Process*> workers) {
    for (Process* worker : workers) worker->Signal(SIGTERM);
    for (Process* worker : workers) EXPECT_EQ(worker->Wait(absl::Seconds(30)).value_or(-1), 0);
    cluster_.server().Signal(SIGTERM);
    EXPECT_EQ(cluster_.server().Wait(absl::Seconds(20)).value_or(-1), 0);
    for (const std::string& line : FindContradictions(cluster_.server_folder())) {
      ADD_FAILURE() << line;
    }
  }

  Cluster cluster_;
};

// ------------------------------------------------------------ 1: what was acknowledged is durable

TEST_F(PromiseTest, AcknowledgedSubmitAndCancelSurviveAKillRightAfterTheReply) {
  for (int round = 0; round < 5; ++round) {
    const std::string name = absl::StrCat("round", round);
    const std::string sweep = Submit(SweepOf(2, 3, name));
    cluster_.KillServer();
    cluster_.StartServer();
    ASSERT_EQ(Jobs(sweep).size(), 12u) << "submit";
    ASSERT_EQ(cluster_.Cli({"sweep", "cancel", sweep}).exit_code, 0);
    cluster_.KillServer();
    cluster_.StartServer();
    EXPECT_EQ(cluster_.Json({"sweep", "show", sweep})["state"], "cancelled");
    EXPECT_TRUE(
        Eventually(absl::Seconds(5), [&] { return CountJobs(Jobs(sweep), "cancelled") == 12; }));
  }
}

TEST_F(PromiseTest, AcknowledgedResultsAndPointsSurviveAKill) {
  auto worker = cluster_.StartWorker("w1", 2, 5);
  const std::string sweep = Submit(SweepOf(4, 6));
  int64_t results = 0, points = 0;
  for (int round = 0; round < 6; ++round) {
    // What any reader has seen was acknowledged.
    ASSERT_TRUE(Eventually(absl::Seconds(30), [&] {
      const int64_t now = Number("SELECT count(*) AS n FROM results");
      return now > results || now == 24;
    }));
    results = Number("SELECT count(*) AS n FROM results");
    points = Number("SELECT count(*) AS n FROM metrics");
    cluster_.KillServer();
    cluster_.StartServer();
    EXPECT_GE(Number("SELECT count(*) AS n FROM results"), results);
    EXPECT_GE(Number("SELECT count(*) AS n FROM metrics"), points);
  }
  WaitForSuccess(sweep);
  for (const auto& row : cluster_.Json({"results", sweep})) EXPECT_EQ(row["attempt"], 1) << row;
  ExpectSound({worker.get()});
}

// ------------------------------------------------------------------------ 2: one accepted result

TEST_F(PromiseTest, WorkerThatSleptBeyondItsLeaseIsRefusedAndOneResultCounts) {
  auto sleeper = cluster_.StartWorker("sleeper", 1, 100);
  const std::string sweep = Submit(SweepOf(1, 10));
  ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return Running(sweep) == 1; }));
  const std::string job =
      cluster_.Json({"query", "SELECT job FROM jobs WHERE state = 'running'"})[0]["job"];
  const std::string of_job = " WHERE job = '" + job + "'";
  // The agent alone sleeps: its runner trains to the end meanwhile, and all it says waits.
  sleeper->Signal(SIGSTOP);
  ASSERT_TRUE(Eventually(absl::Seconds(20), [&] {
    return Number("SELECT count(*) AS n FROM attempts" + of_job + " AND failure = 'LOST'") == 1;
  }));
  // It comes back while another worker is in the middle of the second attempt.
  auto other = cluster_.StartWorker("other", 2, 400);
  ASSERT_TRUE(Eventually(absl::Seconds(20), [&] {
    return Number("SELECT count(*) AS n FROM attempts" + of_job +
                  " AND attempt = 2 AND start_ms IS NOT NULL") == 1;
  }));
  sleeper->Signal(SIGCONT);
  ASSERT_TRUE(Eventually(absl::Seconds(20), [&] {
    return absl::StrContains(ReadFile(cluster_.folder() + "/sleeper.err").value_or(""),
                             job.substr(0, 12) + "/1 is not wanted any more");
  }));
  WaitForSuccess(sweep);
  EXPECT_EQ(Number("SELECT attempt AS n FROM results" + of_job), 2);
  EXPECT_EQ(Number("SELECT count(*) AS n FROM attempts" + of_job), 2);
  EXPECT_EQ(Number("SELECT count(*) AS n FROM metrics" + of_job), 20);
  EXPECT_EQ(Number("SELECT count(*) AS n FROM metrics" + of_job +
                   " AND unix_ms < (SELECT start_ms FROM attempts a WHERE a.job = metrics.job AND "
                   "a.attempt = 2)"),
            0)
      << "not a point of the older attempt came in";
  ExpectSound({sleeper.get(), other.get()});
}

// ---------------------------------------------------------- 3: a restart of the coordinator kills
// no training

TEST_F(PromiseTest, CoordinatorThatIsAwayLongerThanALeaseKillsNoTraining) {
  auto worker = cluster_.StartWorker("w1", 2, 100);
  const std::string sweep = Submit(SweepOf(1, 80));  // 8 s for each job
  ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return Running(sweep) == 2; }));
  const auto runners = RunnersOf({worker->pid()});
  ASSERT_EQ(runners.size(), 2u);
  cluster_.KillServer();
  Pause(absl::Seconds(5));  // the lease is 2 s
  EXPECT_EQ(RunnersOf({worker->pid()}), runners);
  cluster_.StartServer();
  ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return Running(sweep) == 2; }));
  // What was spooled arrives, of the same attempts by the same processes, without a gap.
  ASSERT_TRUE(Eventually(absl::Seconds(30),
                         [&] { return Number("SELECT count(*) AS n FROM results") >= 2; }));
  EXPECT_EQ(RunnersOf({worker->pid()}), runners);
  EXPECT_EQ(Number("SELECT count(*) AS n FROM results WHERE attempt != 1"), 0);
  EXPECT_EQ(Number("SELECT count(*) AS n FROM metrics m JOIN results r ON r.job = m.job"),
            160 * Number("SELECT count(*) AS n FROM results"));
  EXPECT_EQ(Number("SELECT count(*) AS n FROM attempts WHERE failure IS NOT NULL"), 0);
  EXPECT_EQ(cluster_.Cli({"sweep", "cancel", sweep}).exit_code, 0);
}

// ------------------------------------------------------------------------ 5: reads stop nothing

TEST_F(PromiseTest, ReaderThatStopsReadingAndLoopsOfListsHoldUpNoJob) {
  auto worker = cluster_.StartWorker("w1", 2, 0);
  const std::string first = Submit(SweepOf(4, 40, "first"));
  WaitForSuccess(first);
  // A query of many rows whose reader stands still: its snapshot stays open.
  Process reader({"retort", "query",
                  "SELECT a.job, b.value FROM metrics a, metrics b, metrics c LIMIT 50000000",
                  "--max-rows", "50000000", "--coordinator", cluster_.address()},
                 cluster_.folder(), "reader");
  Pause(absl::Milliseconds(500));
  reader.Signal(SIGSTOP);
  std::vector<std::unique_ptr<Process>> loops;
  for (int i = 0; i < 2; ++i) {
    loops.push_back(std::make_unique<Process>(
        std::vector<std::string>{
            "/bin/sh", "-c",
            absl::StrCat("while :; do ", RETORT_BINARY_DIR, "/bin/retort job list --coordinator ",
                         cluster_.address(), "; done")},
        cluster_.folder(), absl::StrCat("loop", i)));
  }
  const std::string second = Submit(SweepOf(20, 2, "second"));
  const absl::Time begin = WallNow();
  WaitForSuccess(second);
  EXPECT_LT(WallNow() - begin, absl::Seconds(30));
  EXPECT_EQ(Number("SELECT count(*) AS n FROM attempts WHERE failure IS NOT NULL"), 0);
  reader.Signal(SIGKILL);
}

// ---------------------------------------------------------------------------------- the agent

TEST_F(PromiseTest, ResultThatWasReadyWhenItsAgentWasKilledCountsAndTheJobRunsOnce) {
  auto worker = cluster_.StartWorker("w1", 1, 50);
  const std::string sweep = Submit(SweepOf(1, 20));
  ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return Running(sweep) == 1; }));
  const std::string job =
      cluster_.Json({"query", "SELECT job FROM jobs WHERE state = 'running'"})[0]["job"];
  cluster_.KillServer();
  const std::string result = cluster_.folder() + "/w1/attempts/" + job + "-1/result";
  ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return std::filesystem::exists(result); }));
  worker->Signal(SIGKILL);
  worker->Wait(absl::Seconds(10));
  cluster_.StartServer();
  worker = cluster_.StartWorker("w1", 1, 1);
  WaitForSuccess(sweep);
  EXPECT_EQ(Number("SELECT count(*) AS n FROM attempts WHERE failure IS NOT NULL"), 0);
  EXPECT_EQ(Number(absl::StrCat("SELECT attempt AS n FROM results WHERE job = '", job, "'")), 1);
  ExpectSound({worker.get()});
}

// -------------------------------------------------------------------------------- the command line

TEST_F(PromiseTest, WaitOutlivesRestartsOfTheCoordinatorAndSaysSo) {
  auto worker = cluster_.StartWorker("w1", 2, 100);
  const std::string sweep = Submit(SweepOf(1, 20));  // 2 s for each job
  Process wait({"retort", "sweep", "wait", sweep, "--coordinator", cluster_.address()},
               cluster_.folder(), "wait");
  Pause(absl::Milliseconds(300));
  cluster_.KillServer();
  Pause(absl::Milliseconds(2700));
  cluster_.StartServer();
  // One that is asked to go cancels its calls itself: nobody here interrupted anything.
  for (int i = 0; i < 3; ++i) {
    Pause(absl::Milliseconds(200));
    cluster_.server().Signal(SIGTERM);
    EXPECT_EQ(cluster_.server().Wait(absl::Seconds(20)).value_or(-1), 0);
    cluster_.StartServer();
  }
  EXPECT_EQ(wait.Wait(absl::Seconds(60)).value_or(-1), 0)
      << ReadFile(cluster_.folder() + "/wait.err").value_or("");
  EXPECT_THAT(ReadFile(cluster_.folder() + "/wait.err").value_or(""),
              HasSubstr("coordinator away for"));
}

TEST_F(PromiseTest, InterruptAtBadMomentsExits130AndLeavesNothingHalfDone) {
  // During a wait.
  const std::string sweep = Submit(SweepOf(1, 3));
  Process wait({"retort", "sweep", "wait", sweep, "--coordinator", cluster_.address()},
               cluster_.folder(), "wait");
  Pause(absl::Milliseconds(500));
  wait.Signal(SIGINT);
  EXPECT_EQ(wait.Wait(absl::Seconds(5)).value_or(-1), 130);
  // During a submit, at any of its moments: either there is a whole sweep or none.
  for (int i = 0; i < 8; ++i) {
    const std::string name = absl::StrCat("cut", i);
    const std::string file = cluster_.Write(name + ".yaml", SweepOf(100, 3 + i, name));
    Process submit({"retort", "sweep", "submit", file, "--coordinator", cluster_.address()},
                   cluster_.folder(), name);
    Pause(absl::Milliseconds(15 * i));
    submit.Signal(SIGINT);
    const int code = submit.Wait(absl::Seconds(20)).value_or(-1);
    EXPECT_TRUE(code == 0 || code == 130) << code;
    if (code == 0) {
      EXPECT_EQ(Jobs(name).size(), 600u) << "acknowledged";
    }
    const auto sweeps = cluster_.Json({"sweep", "list"});
    for (const auto& row : sweeps) {
      if (row["sweep"] != name) continue;
      EXPECT_TRUE(Eventually(absl::Seconds(20), [&] { return Jobs(name).size() == 600u; }));
    }
  }
  // While the coordinator is away.
  cluster_.KillServer();
  const std::string file = cluster_.Write("away.yaml", SweepOf(1, 3, "away"));
  Process away({"retort", "sweep", "submit", file, "--coordinator", cluster_.address()},
               cluster_.folder(), "away");
  Pause(absl::Milliseconds(500));
  away.Signal(SIGINT);
  EXPECT_EQ(away.Wait(absl::Seconds(5)).value_or(-1), 130);
}

TEST_F(PromiseTest, LocalOutlivesItsCoordinatorAndItsWorkerAndGoesOnAfterAnInterrupt) {
  const std::string file = cluster_.Write("local.yaml", SweepOf(1, 15, "local"));
  const std::vector<std::string> command = {
      "retort", "local", file, "--folder", cluster_.folder() + "/local", "--slots", "2"};
  const std::map<std::string, std::string> environment = {
      {"RETORT_RUNNER", std::string(RETORT_BINARY_DIR) + "/bin/retort-fake-runner"},
      {"RETORT_FAKE_EPOCH_MS", "100"}};
  const auto said = [&] { return ReadFile(cluster_.folder() + "/local.err").value_or(""); };
  {
    Process local(command, cluster_.folder(), "local", environment);
    for (const char* program : {"retort-server", "retort-worker"}) {
      pid_t pid = 0;
      ASSERT_TRUE(Eventually(absl::Seconds(30), [&] {
        for (const ProcessInfo& info : ListProcesses()) {
          if (info.parent == local.pid() && info.name == program) pid = info.pid;
        }
        return pid != 0 && absl::StrContains(said(), "running");
      })) << said();
      kill(pid, SIGKILL);
      ASSERT_TRUE(Eventually(absl::Seconds(10), [&] {
        return absl::StrContains(said(), program == std::string("retort-server")
                                             ? "the coordinator died"
                                             : "the worker 0 died");
      })) << said();
    }
    local.Signal(SIGINT);
    EXPECT_EQ(local.Wait(absl::Seconds(40)).value_or(-1), 130) << said();
    EXPECT_THAT(said(), HasSubstr("nothing is lost, and the same command goes on"));
  }
  Process again(command, cluster_.folder(), "local", environment);
  EXPECT_EQ(again.Wait(absl::Seconds(60)).value_or(-1), 0) << said();
}

}  // namespace
}  // namespace retort::e2e
