// retort-worker as a process, with retort-fake-runner, against a coordinator in this process.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/time/clock.h"
#include "tests/testing/fake_coordinator.h"
#include "tests/testing/monitoring.h"

extern char** environ;

namespace retort {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kLimit = absl::Seconds(30);

class WorkerTest : public ::testing::Test {
 protected:
  WorkerTest() {
    char folder[] = "/tmp/retort-worker-XXXXXX";
    folder_ = mkdtemp(folder);
    dataset_ = coordinator_.AddArtifact("a dataset");
  }
  ~WorkerTest() override {
    for (const pid_t pid : workers_) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
    coordinator_.Stop();
    if (HasFailure()) std::cerr << Errors();
    std::filesystem::remove_all(folder_);
  }

  // Starts the program; its messages go to a file.
  pid_t Spawn(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), RETORT_BINARY_DIR "/bin/retort-worker");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, (folder_ + "/errors").c_str(),
                                     O_WRONLY | O_CREAT | O_APPEND, 0644);
    pid_t pid = -1;
    EXPECT_EQ(posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
  }
  void StartWorker(std::vector<std::string> more = {}, const std::string& slots = "2") {
    std::vector<std::string> arguments = {
        "--coordinator", coordinator_.address(),
        "--folder",      folder_ + "/w",
        "--slots",       slots,
        "--runner",      RETORT_BINARY_DIR "/bin/retort-fake-runner"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    workers_.push_back(Spawn(arguments));
  }
  // Waits for the latest worker; its exit status.
  int Wait() {
    int status = 0;
    waitpid(workers_.back(), &status, 0);
    workers_.pop_back();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  std::string Errors() const {
    std::ifstream in(folder_ + "/errors");
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // A job of a few epochs of 20 ms.
  v1::Lease Job(char name, int64_t seed = 1, int epochs = 3) {
    v1::Lease lease;
    lease.mutable_id()->set_job(std::string(64, name));
    lease.mutable_id()->set_attempt(1);
    v1::TrainingSpec* spec = lease.mutable_spec();
    spec->mutable_dataset()->set_sha256(dataset_.sha256());
    spec->add_evaluate()->set_sha256(dataset_.sha256());
    spec->mutable_model()->mutable_resnet1d()->set_base(4);
    spec->mutable_model()->mutable_resnet1d()->set_blocks(4);
    spec->mutable_method()->mutable_scratch();
    spec->mutable_train()->set_epochs(epochs);
    spec->set_seed(seed);
    *lease.add_inputs() = dataset_;
    return lease;
  }
  bool WaitForFinished(size_t count) {
    return coordinator_.WaitFor(kLimit, [&] { return coordinator_.finished().size() >= count; });
  }
  bool WaitForPoints(char name, size_t count) {
    return coordinator_.WaitFor(
        kLimit, [&] { return coordinator_.points(std::string(64, name)).size() >= count; });
  }

  // Of the only runner that was started so far.
  pid_t RunnerPid() const {
    const std::string mark = "runner has pid ", errors = Errors();
    const size_t at = errors.find(mark);
    EXPECT_NE(at, std::string::npos) << errors;
    return at == std::string::npos ? -1 : std::stoi(errors.substr(at + mark.size()));
  }
  // True if it is gone, or a zombie that nobody has collected.
  static bool HasEnded(pid_t pid) {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string number, name, state;
    return !(stat >> number >> name >> state) || state == "Z";
  }

  std::string folder_;
  FakeCoordinator coordinator_;
  v1::ArtifactRef dataset_;
  std::vector<pid_t> workers_;
};

TEST_F(WorkerTest, LogsObjectsWithIdsAndTellsPrometheusWhatItDoes) {
  coordinator_.Start();
  StartWorker({"--id", "w7", "--log-format", "json", "--metrics", "127.0.0.1:0"});
  coordinator_.Offer(Job('a'));
  ASSERT_TRUE(WaitForFinished(1)) << Errors();
  nlohmann::json attempt;
  int port = 0;
  std::istringstream lines(Errors());
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    ASSERT_TRUE(json.is_object()) << line;
    EXPECT_EQ(json["worker"], "w7") << line;
    const std::string message = json["message"];
    const size_t at = message.find("http://127.0.0.1:");
    if (at != std::string::npos) port = std::stoi(message.substr(at + 17));
    if (message.find("succeeded") != std::string::npos) attempt = json;
  }
  EXPECT_EQ(attempt["job"], std::string(64, 'a')) << Errors();
  EXPECT_EQ(attempt["attempt"], 1);
  const std::string metrics = HttpGet(port, "/metrics");
  EXPECT_THAT(metrics, HasSubstr("retort_worker_attempts_ended_total{outcome=\"succeeded\"} 1\n"));
  EXPECT_THAT(metrics, HasSubstr("retort_worker_slots{state=\"free\"} 2\n"));
  int asked = 0;
  for (const std::string& name : DashboardMetrics()) {
    if (!name.starts_with("retort_worker_")) continue;
    ++asked;
    EXPECT_THAT(metrics, HasSubstr("# TYPE " + name + " "));
  }
  EXPECT_GE(asked, 6);
}

TEST_F(WorkerTest, RunsJobsWithMetricsLogsAndWeights) {
  coordinator_.Start();
  for (const char name : {'a', 'b', 'c', 'd', 'e'}) coordinator_.Offer(Job(name));
  StartWorker();
  ASSERT_TRUE(WaitForFinished(5));
  for (const v1::FinishedAttempt& finished : coordinator_.finished()) {
    ASSERT_TRUE(finished.has_result()) << finished.DebugString();
    const std::string& job = finished.id().job();
    EXPECT_EQ(finished.result().metric_points(), 6);
    EXPECT_EQ(coordinator_.points(job).size(), 6u);
    EXPECT_GT(finished.device_s(), 0.05);
    const auto& weights = finished.result().weights();
    EXPECT_EQ(coordinator_.artifact(weights.sha256()).size(),
              static_cast<size_t>(weights.size_bytes()));
    EXPECT_TRUE(coordinator_.WaitFor(kLimit, [&] { return !coordinator_.log(job).empty(); }));
    EXPECT_THAT(coordinator_.log(job), HasSubstr("fake runner: job"));
  }
  kill(workers_.back(), SIGTERM);
  EXPECT_EQ(Wait(), 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/w/attempts"));
}

TEST_F(WorkerTest, StudentGetsItsTeachersWeights) {
  coordinator_.Start();
  coordinator_.Offer(Job('a'));
  StartWorker();
  ASSERT_TRUE(WaitForFinished(1));
  v1::Lease student = Job('b');
  student.mutable_spec()->mutable_method()->mutable_soft();
  const v1::ArtifactRef weights = coordinator_.finished()[0].result().weights();
  *student.add_inputs() = weights;
  student.set_teacher_weights_sha256(weights.sha256());
  coordinator_.Offer(student);
  ASSERT_TRUE(WaitForFinished(2));
  EXPECT_TRUE(coordinator_.finished()[1].has_result());
}

TEST_F(WorkerTest, FailuresHaveTheirCauses) {
  coordinator_.Start();
  coordinator_.Offer(Job('a', 9001));
  coordinator_.Offer(Job('b', 9003));
  coordinator_.Offer(Job('c', 9011));
  v1::Lease without_input = Job('d');
  without_input.mutable_inputs(0)->set_sha256(std::string(64, '0'));
  coordinator_.Offer(without_input);
  coordinator_.Offer(Job('e'));
  StartWorker();
  ASSERT_TRUE(WaitForFinished(5));
  const auto finished = coordinator_.finished();
  EXPECT_EQ(finished[0].failure().cause(), v1::FAILURE_CAUSE_CRASHED);
  EXPECT_THAT(finished[0].failure().message(), HasSubstr("signal 11"));
  EXPECT_EQ(finished[1].failure().cause(), v1::FAILURE_CAUSE_NUMERIC);
  EXPECT_EQ(finished[2].failure().cause(), v1::FAILURE_CAUSE_CRASHED);
  EXPECT_THAT(finished[2].failure().message(), HasSubstr("none.safetensors"));
  EXPECT_EQ(finished[3].failure().cause(), v1::FAILURE_CAUSE_ARTIFACT);
  EXPECT_TRUE(finished[4].has_result()) << "the worker goes on";
}

TEST_F(WorkerTest, TrainingGoesOnWhileTheCoordinatorIsAway) {
  coordinator_.Start();
  coordinator_.Offer(Job('a', 1, 50));  // a second
  StartWorker();
  ASSERT_TRUE(WaitForPoints('a', 4));
  coordinator_.Stop();
  absl::SleepFor(absl::Seconds(2));
  ASSERT_LT(coordinator_.points(std::string(64, 'a')).size(), 100u);
  coordinator_.Start();
  ASSERT_TRUE(WaitForFinished(1));
  ASSERT_TRUE(coordinator_.finished()[0].has_result());
  EXPECT_EQ(coordinator_.finished()[0].id().attempt(), 1);
  const auto points = coordinator_.points(std::string(64, 'a'));
  ASSERT_EQ(points.size(), 100u);
  for (size_t i = 0; i < points.size(); ++i) {
    EXPECT_EQ(points[i].step(), static_cast<int64_t>(i / 2));
  }
}

TEST_F(WorkerTest, WorkerThatStartsFirstWaitsForItsCoordinator) {
  coordinator_.Start();
  coordinator_.Stop();  // only its port is known now
  coordinator_.Offer(Job('a'));
  StartWorker();
  absl::SleepFor(absl::Seconds(1));
  coordinator_.Start();
  EXPECT_TRUE(WaitForFinished(1));
  EXPECT_THAT(Errors(), HasSubstr("no answer from the coordinator"));
}

TEST_F(WorkerTest, StopFromTheCoordinatorFreesTheSlot) {
  coordinator_.Start();
  coordinator_.Offer(Job('a', 9010));
  coordinator_.Offer(Job('b'));
  StartWorker({}, "1");
  ASSERT_TRUE(WaitForPoints('a', 4));
  coordinator_.StopAttempt(Job('a').id());
  ASSERT_TRUE(WaitForFinished(1));
  EXPECT_EQ(coordinator_.finished()[0].id().job(), Job('b').id().job());
}

TEST_F(WorkerTest, DrainLetsAJobEnd) {
  coordinator_.Start();
  coordinator_.Offer(Job('a', 1, 50));
  StartWorker({}, "1");
  ASSERT_TRUE(WaitForPoints('a', 4));
  coordinator_.Offer(Job('b'));
  kill(workers_.back(), SIGTERM);
  EXPECT_EQ(Wait(), 0);
  ASSERT_EQ(coordinator_.finished().size(), 1u);
  EXPECT_TRUE(coordinator_.finished()[0].has_result());
}

TEST_F(WorkerTest, DrainThatTakesTooLongReportsPreempted) {
  coordinator_.Start();
  coordinator_.Offer(Job('a', 9010));
  StartWorker({"--drain-timeout", "200ms"}, "1");
  ASSERT_TRUE(WaitForPoints('a', 4));
  kill(workers_.back(), SIGTERM);
  EXPECT_EQ(Wait(), 0);
  ASSERT_EQ(coordinator_.finished().size(), 1u);
  EXPECT_EQ(coordinator_.finished()[0].failure().cause(), v1::FAILURE_CAUSE_PREEMPTED);
}

TEST_F(WorkerTest, SecondSignalLeavesAtOnce) {
  coordinator_.Start();
  coordinator_.Offer(Job('a', 9002));
  StartWorker({}, "1");
  ASSERT_TRUE(WaitForPoints('a', 4));
  kill(workers_.back(), SIGTERM);
  ASSERT_TRUE(coordinator_.WaitFor(kLimit, [&] { return coordinator_.syncs().back().draining(); }));
  kill(workers_.back(), SIGINT);
  EXPECT_EQ(Wait(), 0);
  EXPECT_TRUE(coordinator_.finished().empty());
}

TEST_F(WorkerTest, SecondSigtermStopsWhatStillRuns) {
  coordinator_.Start();
  coordinator_.Offer(Job('a', 9010));
  StartWorker({"--drain-timeout", "1h"}, "1");
  ASSERT_TRUE(WaitForPoints('a', 4));
  kill(workers_.back(), SIGTERM);
  ASSERT_TRUE(coordinator_.WaitFor(kLimit, [&] { return coordinator_.syncs().back().draining(); }));
  // One that comes with the first is the first.
  kill(workers_.back(), SIGTERM);
  absl::SleepFor(absl::Milliseconds(1100));
  EXPECT_TRUE(coordinator_.finished().empty());
  kill(workers_.back(), SIGTERM);
  EXPECT_EQ(Wait(), 0);
  ASSERT_EQ(coordinator_.finished().size(), 1u);
  EXPECT_EQ(coordinator_.finished()[0].failure().cause(), v1::FAILURE_CAUSE_PREEMPTED);
}

TEST_F(WorkerTest, TimeLimitIsLeftBeforeAndTheFolderRemoved) {
  coordinator_.Start();
  coordinator_.Offer(Job('a', 9010));
  // Leaving may take 20 s beside the drain timeout.
  StartWorker({"--drain-timeout", "0s", "--time-limit", "22s", "--remove-folder"}, "1");
  ASSERT_TRUE(WaitForPoints('a', 4));
  EXPECT_EQ(Wait(), 0);
  ASSERT_EQ(coordinator_.finished().size(), 1u);
  EXPECT_EQ(coordinator_.finished()[0].failure().cause(), v1::FAILURE_CAUSE_PREEMPTED);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/w"));
}

TEST_F(WorkerTest, SignalToTheWholeJobDoesNotKillItsRunners) {
  coordinator_.Start();
  coordinator_.Offer(Job('a', 9010));
  StartWorker({"--drain-timeout", "200ms"}, "1");
  ASSERT_TRUE(WaitForPoints('a', 4));
  const pid_t runner = RunnerPid();
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) kill(runner, signal);
  kill(workers_.back(), SIGTERM);
  EXPECT_EQ(Wait(), 0);
  ASSERT_EQ(coordinator_.finished().size(), 1u);
  EXPECT_EQ(coordinator_.finished()[0].failure().cause(), v1::FAILURE_CAUSE_PREEMPTED);
}

TEST_F(WorkerTest, WorkerThatWasKilledLeavesNoRunnerAndStartsCleanAsANewIncarnation) {
  coordinator_.Start();
  coordinator_.Offer(Job('a', 9002));
  StartWorker({}, "1");
  ASSERT_TRUE(WaitForPoints('a', 4));
  const pid_t runner = RunnerPid();
  ASSERT_EQ(kill(runner, 0), 0);
  kill(workers_.back(), SIGKILL);
  EXPECT_EQ(Wait(), 128 + SIGKILL);
  EXPECT_TRUE(coordinator_.WaitFor(kLimit, [&] { return HasEnded(runner); }));
  const int64_t before = coordinator_.syncs().back().incarnation();
  // A clock that is set back must not make the new start look older.
  std::ofstream(folder_ + "/w/incarnation") << before + 1'000'000'000;
  StartWorker({}, "1");
  ASSERT_TRUE(coordinator_.WaitFor(
      kLimit, [&] { return coordinator_.syncs().back().incarnation() != before; }));
  EXPECT_EQ(coordinator_.syncs().back().incarnation(), before + 1'000'000'001);
  EXPECT_TRUE(coordinator_.syncs().back().live().empty());
  EXPECT_TRUE(std::filesystem::is_empty(folder_ + "/w/attempts"));
}

TEST_F(WorkerTest, RunnerThatIsWedgedDoesNotOutliveItsAgent) {
  coordinator_.Start();
  coordinator_.Offer(Job('a', 9012));
  StartWorker({}, "1");
  ASSERT_TRUE(WaitForPoints('a', 4));
  const pid_t runner = RunnerPid();
  ASSERT_FALSE(HasEnded(runner));
  kill(workers_.back(), SIGKILL);
  Wait();
  EXPECT_TRUE(coordinator_.WaitFor(absl::Seconds(5), [&] { return HasEnded(runner); }))
      << "it dies with its parent";
}

TEST_F(WorkerTest, ResultThatWasReadyWhenTheAgentWasKilledIsHandedInByTheNextStart) {
  coordinator_.Start();
  coordinator_.Offer(Job('a', 1, 20));
  StartWorker({}, "1");
  ASSERT_TRUE(WaitForPoints('a', 4));
  coordinator_.Stop();
  const std::string job(64, 'a');
  const std::string result = folder_ + "/w/attempts/" + job + "-1/result";
  ASSERT_TRUE(coordinator_.WaitFor(kLimit, [&] { return std::filesystem::exists(result); }));
  ASSERT_TRUE(coordinator_.finished().empty());
  kill(workers_.back(), SIGKILL);
  Wait();
  coordinator_.Start();
  StartWorker({}, "1");
  ASSERT_TRUE(WaitForFinished(1));
  const v1::FinishedAttempt finished = coordinator_.finished()[0];
  ASSERT_TRUE(finished.has_result()) << finished.DebugString();
  EXPECT_EQ(finished.result().metric_points(), 40);
  ASSERT_EQ(coordinator_.points(job).size(), 40u);
  EXPECT_FALSE(coordinator_.artifact(finished.result().weights().sha256()).empty());
  EXPECT_GT(finished.device_s(), 0.1) << "as the first start measured it";
  ASSERT_TRUE(coordinator_.WaitFor(kLimit, [&] { return !coordinator_.log(job).empty(); }));
  const std::string log = coordinator_.log(job);
  EXPECT_EQ(log.find("fake runner: job"), log.rfind("fake runner: job")) << "it ran once";
  EXPECT_TRUE(coordinator_.WaitFor(
      kLimit, [&] { return std::filesystem::is_empty(folder_ + "/w/attempts"); }));
}

TEST_F(WorkerTest, CurveUpToAFailureArrivesBeforeTheFailure) {
  coordinator_.Start();
  coordinator_.Offer(Job('a', 9003, 20));
  StartWorker({}, "1");
  ASSERT_TRUE(WaitForFinished(1));
  EXPECT_EQ(coordinator_.finished()[0].failure().cause(), v1::FAILURE_CAUSE_NUMERIC);
  EXPECT_EQ(coordinator_.points(std::string(64, 'a')).size(), 4u) << "with the NaN";
}

TEST_F(WorkerTest, SecondWorkerOnTheSameFolderIsRefused) {
  coordinator_.Start();
  StartWorker();
  ASSERT_TRUE(coordinator_.WaitFor(kLimit, [&] { return !coordinator_.syncs().empty(); }));
  StartWorker();
  EXPECT_EQ(Wait(), 2);
  EXPECT_THAT(Errors(), HasSubstr("/w is used by another retort-worker"));
}

TEST_F(WorkerTest, WrongArgumentsAreUsageErrorsThatSayWhatWouldBeRight) {
  const std::string runner = RETORT_BINARY_DIR "/bin/retort-fake-runner";
  const struct {
    std::vector<std::string> arguments;
    std::string message;
  } cases[] = {
      {{"--coordinator", "somewhere", "--runner", runner}, "'somewhere'; expected HOST:PORT"},
      {{"--coordinator", "10.1.2.3:7641", "--runner", runner}, "allow it with --insecure"},
      {{"--runner", "/nowhere"}, "--runner: /nowhere is no program"},
      {{"--id", "Not A Name", "--runner", runner}, "--id"},
      {{"--slots", "0", "--runner", runner}, "--slots"},
      {{"--device", "cuda:0,gpu", "--runner", runner}, "--device: 'gpu'; expected cpu or cuda:N"},
      {{"--device-memory-gib", "-1", "--runner", runner}, "--device-memory-gib"},
      {{"--drain-timeout", "soon", "--runner", runner}, "--drain-timeout"},
      {{"--time-limit", "30s", "--runner", runner},
       "--time-limit: 30s leaves no time to work; expected more than 50s"},
      {{"--slurm", "--runner", runner}, "SLURM_JOB_ID is not set"},
      {{"--log-level", "loud", "--runner", runner}, "--log-level loud: expected"},
      {{"--colour", "blue"}, "--colour"},
  };
  for (const auto& c : cases) {
    std::filesystem::remove(folder_ + "/errors");
    std::vector<std::string> arguments = c.arguments;
    arguments.insert(arguments.end(), {"--folder", folder_ + "/x"});
    workers_.push_back(Spawn(arguments));
    EXPECT_EQ(Wait(), 2) << c.message;
    EXPECT_THAT(Errors(), HasSubstr(c.message));
  }
}

}  // namespace
}  // namespace retort
