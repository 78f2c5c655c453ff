#include "worker/agent/process_pool.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "common/clock.h"
#include "worker/agent/runner_ledger.h"
#include "worker/agent/runner_process.h"

namespace retort {
namespace {

using ::testing::HasSubstr;

// Runs retort-fake-runner, which stands beside this test, or a shell script.
class ProcessPoolTest : public ::testing::Test {
 protected:
  ProcessPoolTest() {
    char folder[] = "/tmp/retort-pool-XXXXXX";
    folder_ = mkdtemp(folder);
  }
  ~ProcessPoolTest() override {
    pool_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Start(RunnerCommandLine command = {.path = RETORT_BINARY_DIR "/bin/retort-fake-runner",
                                          .arguments = {},
                                          .environment = {"RETORT_FAKE_EPOCH_MS=1"}}) {
    ProcessPool::Answers answers;
    answers.event = [this](int, const v1::RunnerEvent& event) { events_.push_back(event); };
    answers.output = [this](int, std::string_view bytes) { output_ += bytes; };
    answers.exit = [this](int, const std::string& reason) { exits_.push_back(reason); };
    pool_ = std::make_unique<ProcessPool>(loop_, std::move(command), 1, answers);
  }
  void StartScript(const std::string& script) {
    Start({.path = "/bin/sh", .arguments = {"-c", script}, .environment = {}});
  }
  v1::RunJob MakeJob(int64_t seed = 1) {
    v1::RunJob job;
    job.set_job(std::string(64, 'a'));
    job.set_attempt(1);
    job.set_work_dir(folder_);
    v1::TrainingSpec* spec = job.mutable_spec();
    spec->mutable_model()->mutable_resnet1d()->set_base(4);
    spec->mutable_model()->mutable_resnet1d()->set_blocks(4);
    spec->mutable_method()->mutable_scratch();
    spec->mutable_train()->set_epochs(3);
    spec->add_evaluate()->set_sha256("d");
    spec->set_seed(seed);
    return job;
  }
  // Turns the loop until the condition holds, for at most 20 seconds.
  template <typename Condition>
  bool Until(Condition condition) {
    const absl::Time end = absl::Now() + absl::Seconds(20);
    while (!condition()) {
      if (absl::Now() > end) return false;
      loop_.Wait(std::min(pool_->ReapWithin(), absl::Milliseconds(50)));
      pool_->Reap(clock_.Read().monotonic);
    }
    return true;
  }
  int Count(v1::RunnerEvent::EventCase kind) const {
    return static_cast<int>(std::count_if(events_.begin(), events_.end(), [&](const auto& event) {
      return event.event_case() == kind;
    }));
  }

  SystemClock clock_;
  EventLoop loop_;
  std::string folder_;
  std::unique_ptr<ProcessPool> pool_;
  std::vector<v1::RunnerEvent> events_;
  std::string output_;
  std::vector<std::string> exits_;
};

TEST_F(ProcessPoolTest, RunnerStaysWarmBetweenJobs) {
  Start();
  pool_->Run(0, MakeJob());
  ASSERT_TRUE(Until([&] { return Count(v1::RunnerEvent::kFinished) == 1; }));
  const std::string first = events_.back().SerializeAsString();
  EXPECT_TRUE(std::filesystem::exists(events_.back().finished().weights_path()));
  EXPECT_EQ(Count(v1::RunnerEvent::kProgress), 3);
  pool_->Run(0, MakeJob());
  ASSERT_TRUE(Until([&] { return Count(v1::RunnerEvent::kFinished) == 2; }));
  EXPECT_EQ(Count(v1::RunnerEvent::kReady), 1);
  EXPECT_EQ(events_.back().SerializeAsString(), first) << "the result is a function of the spec";
  EXPECT_TRUE(exits_.empty());
  EXPECT_THAT(output_, HasSubstr("model resnet1d-4/4, method scratch"));
}

TEST_F(ProcessPoolTest, SignalIsNamedAndTheRunnerIsReplaced) {
  Start();
  pool_->Run(0, MakeJob(9001));
  ASSERT_TRUE(Until([&] { return exits_.size() == 1; }));
  EXPECT_THAT(exits_[0], HasSubstr("killed by signal 11 (Segmentation fault)"));
  pool_->Run(0, MakeJob());
  EXPECT_TRUE(Until([&] { return Count(v1::RunnerEvent::kFinished) == 1; }));
}

TEST_F(ProcessPoolTest, ExitStatusIsNamed) {
  Start();
  pool_->Run(0, MakeJob(9008));
  ASSERT_TRUE(Until([&] { return exits_.size() == 1; }));
  EXPECT_THAT(exits_[0], HasSubstr("exit status 3"));
  EXPECT_EQ(Count(v1::RunnerEvent::kProgress), 2) << "what it said before counts";
}

TEST_F(ProcessPoolTest, StopIsObeyed) {
  Start();
  pool_->Run(0, MakeJob(9010));
  ASSERT_TRUE(Until([&] { return Count(v1::RunnerEvent::kProgress) == 2; }));
  pool_->Stop(0);
  ASSERT_TRUE(Until([&] { return Count(v1::RunnerEvent::kFailed) == 1; }));
  EXPECT_EQ(events_.back().failed().cause(), v1::FAILURE_CAUSE_PREEMPTED);
}

TEST_F(ProcessPoolTest, KillEndsARunnerThatIsDeafAndItsChildren) {
  StartScript("sleep 1000 & echo $! >&2; wait");
  pool_->Run(0, MakeJob());
  ASSERT_TRUE(Until([&] { return absl::StrContains(output_, "\n"); }));
  const pid_t child = std::stoi(output_);
  EXPECT_EQ(kill(child, 0), 0);
  pool_->Stop(0);
  pool_->Kill(0);
  ASSERT_TRUE(Until([&] { return exits_.size() == 1; }));
  EXPECT_THAT(exits_[0], HasSubstr("killed by signal 9"));
  // Gone, or a zombie that nobody has collected.
  EXPECT_TRUE(Until([&] {
    std::ifstream stat("/proc/" + std::to_string(child) + "/stat");
    std::string pid, name, state;
    return !(stat >> pid >> name >> state) || state == "Z";
  }));
}

TEST_F(ProcessPoolTest, StrayOutputIsLogAndNotProtocol) {
  Start();
  pool_->Run(0, MakeJob(9007));
  ASSERT_TRUE(Until([&] { return Count(v1::RunnerEvent::kFinished) == 1; }));
  EXPECT_EQ(Count(v1::RunnerEvent::kFailed), 0);
  EXPECT_THAT(output_, HasSubstr("stray line 99 of epoch 2"))
      << "all of a job's output comes before its end";
  EXPECT_THAT(output_, HasSubstr("and on standard error"));
}

TEST_F(ProcessPoolTest, LineThatIsNoJsonEndsTheRunnerAndIsShown) {
  Start();
  pool_->Run(0, MakeJob(9009));
  ASSERT_TRUE(Until([&] { return exits_.size() == 1; }));
  EXPECT_THAT(exits_[0], HasSubstr("this is not JSON"));
}

TEST_F(ProcessPoolTest, NumbersThatAreNotFiniteComeThrough) {
  Start();
  pool_->Run(0, MakeJob(9003));
  ASSERT_TRUE(Until([&] { return Count(v1::RunnerEvent::kFailed) == 1; }));
  EXPECT_EQ(events_.back().failed().cause(), v1::FAILURE_CAUSE_NUMERIC);
  EXPECT_TRUE(std::isnan(events_[events_.size() - 2].progress().points(0).value()));
}

TEST_F(ProcessPoolTest, RunnerSeesItsDescriptorsAloneAndTheEnvironmentItWasGiven) {
  // As in an agent with its low descriptors free, and with one that was left open on purpose.
  const int leaked = open("/dev/null", O_RDONLY);
  Start({.path = "/bin/sh",
         .arguments = {"-c", "ls -l /proc/$$/fd; echo threads=$OMP_NUM_THREADS; echo end"},
         .environment = {"OMP_NUM_THREADS=3"}});
  pool_->Run(0, MakeJob());
  ASSERT_TRUE(Until([&] { return exits_.size() == 1; }));
  close(leaked);
  EXPECT_THAT(output_, HasSubstr("threads=3"));
  for (const char* fd :
       {" 0 -> /dev/null", " 1 -> pipe", " 2 -> pipe", " 3 -> pipe", " 4 -> pipe"}) {
    EXPECT_THAT(output_, HasSubstr(fd));
  }
  EXPECT_THAT(output_, ::testing::Not(HasSubstr(" 5 -> ")));
  EXPECT_EQ(std::count(output_.begin(), output_.end(), '>'), 5) << output_;
}

TEST_F(ProcessPoolTest, RunnerLeavesWhenItsCommandsClose) {
  Start();
  pool_->Run(0, MakeJob());
  ASSERT_TRUE(Until([&] { return Count(v1::RunnerEvent::kFinished) == 1; }));
  const absl::Time begin = absl::Now();
  pool_->Shutdown(absl::Seconds(20));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  ASSERT_TRUE(Until([&] { return exits_.size() == 1; }));
  EXPECT_THAT(exits_[0], HasSubstr("exit status 0"));
}

TEST_F(ProcessPoolTest, TrainingWaitsWhileItsEventsAreNotRead) {
  Start();
  v1::RunJob job = MakeJob();
  job.mutable_spec()->mutable_train()->set_epochs(2000);  // more events than a pipe holds
  pool_->Run(0, job);
  ASSERT_TRUE(Until([&] { return Count(v1::RunnerEvent::kProgress) >= 1; }));
  pool_->SetReading(0, false);
  const int before = Count(v1::RunnerEvent::kProgress);
  const absl::Time end = absl::Now() + absl::Milliseconds(300);
  Until([&] { return absl::Now() > end; });
  EXPECT_EQ(Count(v1::RunnerEvent::kProgress), before);
  pool_->SetReading(0, true);
  ASSERT_TRUE(Until([&] { return Count(v1::RunnerEvent::kFinished) == 1; }));
  EXPECT_EQ(Count(v1::RunnerEvent::kProgress), 2000) << "nothing is lost";
}

TEST_F(ProcessPoolTest, ProgramThatCannotBeStartedIsAnExitThatNamesIt) {
  Start({.path = folder_ + "/none", .arguments = {}, .environment = {}});
  pool_->Run(0, MakeJob());
  EXPECT_TRUE(exits_.empty()) << "not from inside the call";
  ASSERT_TRUE(Until([&] { return exits_.size() == 1; }));
  EXPECT_THAT(exits_[0], HasSubstr(folder_ + "/none: cannot be started"));
}

TEST(RunnerProtocolTest, EventWithoutContentIsRefused) {
  EXPECT_FALSE(ParseEvent("{}").ok());
  EXPECT_FALSE(ParseEvent("").ok());
  EXPECT_TRUE(ParseEvent(R"({"started": {}, "newer": 1})").ok());
}

TEST(RunnerProtocolTest, SeriesThatTheCoordinatorWouldRefuseIsNamed) {
  EXPECT_TRUE(ParseEvent(R"({"progress": {"points": [{"series": "val.mae_bpm"}]}})").ok());
  const auto event = ParseEvent(R"({"progress": {"points": [{"series": "Train/Loss"}]}})");
  EXPECT_THAT(std::string(event.status().message()), HasSubstr("'Train/Loss'; must be"));
}

TEST(RunnerProtocolTest, StepThatTheCoordinatorWouldRefuseIsNamed) {
  const auto event = ParseEvent(R"({"progress": {"points": [{"series": "a", "step": "-1"}]}})");
  EXPECT_THAT(std::string(event.status().message()), HasSubstr("step: -1; must not be negative"));
}

class LedgerTest : public ::testing::Test {
 protected:
  LedgerTest() {
    char folder[] = "/tmp/retort-ledger-XXXXXX";
    folder_ = mkdtemp(folder);
  }
  ~LedgerTest() override { std::filesystem::remove_all(folder_); }
  // A shell with a child, in a group of their own.
  std::unique_ptr<RunnerProcess> StartPair(const std::string& mark) {
    auto process = RunnerProcess::Start(
        {.path = "/bin/sh", .arguments = {"-c", "sleep 1000 & wait"}, .environment = {mark}});
    EXPECT_TRUE(process.ok());
    return *std::move(process);
  }
  int EndLeftovers() { return RunnerLedger(folder_ + "/runners").EndLeftovers(absl::Seconds(5)); }
  std::string folder_;
};

TEST_F(LedgerTest, RunnerAndItsChildrenAreEndedByTheNextStart) {
  RunnerLedger ledger(folder_ + "/runners");
  const auto process = StartPair(ledger.mark());
  ledger.Add(process->pid());
  absl::SleepFor(absl::Milliseconds(200));  // for its child to be there
  EXPECT_EQ(EndLeftovers(), 2);
  EXPECT_TRUE(process->Reap().has_value());
  EXPECT_EQ(EndLeftovers(), 0);
}

TEST_F(LedgerTest, ChildrenOfARunnerThatIsGoneAreEndedToo) {
  RunnerLedger ledger(folder_ + "/runners");
  const auto process = StartPair(ledger.mark());
  ledger.Add(process->pid());
  absl::SleepFor(absl::Milliseconds(200));
  ASSERT_EQ(kill(process->pid(), SIGKILL), 0);  // alone; it may still be dying
  EXPECT_GE(EndLeftovers(), 1);
  EXPECT_EQ(EndLeftovers(), 0);
}

TEST_F(LedgerTest, StrangerWithTheNumberOfARunnerIsLeftAlone) {
  RunnerLedger ledger(folder_ + "/runners");
  const auto process = StartPair("RETORT_RUNNER_OF=another");
  ledger.Add(process->pid());
  std::string text;
  {
    std::ifstream in(folder_ + "/runners");
    std::getline(in, text);
  }
  // The same number, started at another time: by another process, after the runner had gone.
  const size_t start = text.find(' ') + 1;
  text[start] = text[start] == '1' ? '2' : '1';
  std::ofstream(folder_ + "/runners") << text << "\n";
  EXPECT_EQ(EndLeftovers(), 0);
  EXPECT_FALSE(process->Reap().has_value());
}

TEST(RunnerProtocolTest, MessageIsOneLine) {
  v1::RunnerEvent event;
  event.mutable_failed()->set_message("two\nlines");
  const auto line = ToLine(event);
  ASSERT_TRUE(line.ok());
  EXPECT_EQ(line->find('\n'), line->size() - 1);
  EXPECT_EQ(ParseEvent(*line)->failed().message(), "two\nlines");
}

}  // namespace
}  // namespace retort
