// The program retort-runner, as an agent drives it: pipes on descriptors 3 and 4.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "retort/v1/runner.pb.h"
#include "synthetic.h"

extern char** environ;

namespace retort::runner {
namespace {

using distill::Job;
using distill::ResNet;
using distill::Scratch;
using testing::HasSubstr;

class RunnerProcess {
 public:
  explicit RunnerProcess(const std::string& log) {
    int commands[2], events[2];
    EXPECT_EQ(pipe2(commands, O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(events, O_CLOEXEC), 0);
    // Away from 3 and 4, so that placing one does not close the other.
    const int read_end = fcntl(commands[0], F_DUPFD_CLOEXEC, 10);
    const int write_end = fcntl(events[1], F_DUPFD_CLOEXEC, 10);
    close(commands[0]);
    close(events[1]);
    commands_ = commands[1];
    events_ = events[0];
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, read_end, 3);
    posix_spawn_file_actions_adddup2(&actions, write_end, 4);
    posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT, 0644);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    std::string program = RETORT_BINARY_DIR "/bin/retort-runner";
    char* const arguments[] = {program.data(), nullptr};
    EXPECT_EQ(posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(read_end);
    close(write_end);
  }
  ~RunnerProcess() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    Close();
    close(events_);
  }

  void Send(const std::string& line) {
    const std::string bytes = line + "\n";
    ASSERT_EQ(write(commands_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  void Send(const v1::RunnerCommand& command) {
    std::string line;
    ASSERT_TRUE(google::protobuf::util::MessageToJsonString(command, &line).ok());
    Send(line);
  }
  // Waits for the next event; an event without content if none comes.
  v1::RunnerEvent Next() {
    size_t end;
    while ((end = pending_.find('\n')) == std::string::npos) {
      pollfd waiting{events_, POLLIN, 0};
      char buffer[4096];
      if (poll(&waiting, 1, 30000) != 1) break;
      const ssize_t n = read(events_, buffer, sizeof(buffer));
      if (n <= 0) break;
      pending_.append(buffer, static_cast<size_t>(n));
    }
    v1::RunnerEvent event;
    if (end == std::string::npos) return event;
    const std::string line = pending_.substr(0, end);
    EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(line, &event).ok()) << line;
    pending_.erase(0, end + 1);
    return event;
  }
  // The next event that is no progress.
  v1::RunnerEvent NextBesideProgress() {
    v1::RunnerEvent event;
    do event = Next();
    while (event.has_progress());
    return event;
  }
  void Close() {
    if (commands_ >= 0) close(commands_);
    commands_ = -1;
  }
  // Lets its address space grow by so much.
  void LimitMemory(int64_t room_mib) {
    int64_t pages = 0;
    std::ifstream("/proc/" + std::to_string(pid_) + "/statm") >> pages;
    const auto bytes = static_cast<rlim_t>(pages * getpagesize() + (room_mib << 20));
    const rlimit limit{bytes, RLIM_INFINITY};
    ASSERT_EQ(prlimit(pid_, RLIMIT_AS, &limit, nullptr), 0);
  }
  void Kill() { kill(pid_, SIGKILL); }
  // Exit code, or -1 if it does not leave within some seconds.
  int Wait() {
    for (int i = 0; i < 500; ++i) {
      int status = 0;
      if (waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return -1;
  }

 private:
  pid_t pid_ = -1;
  int commands_ = -1;
  int events_ = -1;
  std::string pending_;
};

class ServeTest : public testing::Test {
 protected:
  ServeTest() : folder_(distill::EmptyFolder("runner")), runner_(folder_ + "/log") {
    std::ofstream(folder_ + "/data") << SerializeDataset(distill::SineDataset(6, 20));
    std::filesystem::create_directories(folder_ + "/work");
    ready_ = runner_.Next();
  }
  ~ServeTest() override { std::filesystem::remove_all(folder_); }

  v1::RunnerCommand Run(int epochs) {
    v1::RunnerCommand command;
    auto& job = *command.mutable_run();
    job.set_job("j");
    job.set_attempt(1);
    *job.mutable_spec() = Job(ResNet(4, 4), Scratch(), epochs);
    (*job.mutable_dataset_paths())["data"] = folder_ + "/data";
    job.set_work_dir(folder_ + "/work");
    job.set_cache_dir(folder_ + "/cache");
    job.set_threads(1);
    return command;
  }

  std::string folder_;
  RunnerProcess runner_;
  v1::RunnerEvent ready_;
};

TEST_F(ServeTest, RunsJobsOneAfterTheOther) {
  EXPECT_NE(ready_.ready().version(), "");
  EXPECT_THAT(ready_.ready().numeric_fingerprint(), HasSubstr("torch="));
  for (int i = 0; i < 2; ++i) {
    runner_.Send(Run(2));
    EXPECT_TRUE(runner_.Next().has_started());
    for (int epoch = 1; epoch <= 2; ++epoch) {
      const auto event = runner_.Next();
      EXPECT_EQ(event.progress().epochs_done(), epoch);
      EXPECT_EQ(event.progress().epochs(), 2);
      EXPECT_GT(event.progress().points_size(), 0);
      EXPECT_GT(event.progress().points(0).unix_ms(), 1'600'000'000'000);
    }
    const auto finished = runner_.Next();
    ASSERT_TRUE(finished.has_finished()) << finished.ShortDebugString();
    EXPECT_TRUE(std::filesystem::exists(finished.finished().weights_path()));
    EXPECT_GT(finished.finished().result().metric_points(), 0);
  }
  runner_.Close();
  EXPECT_EQ(runner_.Wait(), 0);
  std::ifstream log(folder_ + "/log");
  EXPECT_THAT(std::string(std::istreambuf_iterator<char>(log), {}), HasSubstr("epoch 2/2"));
}

TEST_F(ServeTest, StopsAnAttemptAndTakesTheNext) {
  runner_.Send(Run(100000));
  EXPECT_TRUE(runner_.Next().has_started());
  EXPECT_TRUE(runner_.Next().has_progress());
  runner_.Send(R"({"stop":{}})");
  const auto left = runner_.NextBesideProgress();
  EXPECT_TRUE(std::filesystem::exists(left.checkpoint().path())) << left.ShortDebugString();
  const auto event = runner_.NextBesideProgress();
  EXPECT_EQ(event.failed().cause(), v1::FAILURE_CAUSE_PREEMPTED) << event.ShortDebugString();
  runner_.Send(Run(1));
  EXPECT_TRUE(runner_.Next().has_started());
  EXPECT_TRUE(runner_.NextBesideProgress().has_finished());
}

TEST_F(ServeTest, AnswersMalformedCommandsAndBadSpecsWithInvalid) {
  runner_.Send("{\"run\": oops");
  auto event = runner_.Next();
  EXPECT_EQ(event.failed().cause(), v1::FAILURE_CAUSE_INVALID);
  EXPECT_THAT(event.failed().message(), HasSubstr("RunnerCommand"));
  auto command = Run(1);
  command.mutable_run()->mutable_spec()->mutable_train()->set_epochs(-1);
  runner_.Send(command);
  event = runner_.Next();
  EXPECT_EQ(event.failed().cause(), v1::FAILURE_CAUSE_INVALID);
  EXPECT_THAT(event.failed().message(), HasSubstr("spec.train.epochs: -1"));
  runner_.Send(Run(1));
  EXPECT_TRUE(runner_.Next().has_started());
}

// What a worker's limit of memory does to it.
TEST_F(ServeTest, SaysThatItsMemoryIsNotEnoughAndTakesTheNext) {
  runner_.LimitMemory(1000);
  auto large = Run(1);
  *large.mutable_run()->mutable_spec()->mutable_model() = distill::Mlp(32000, 2);
  runner_.Send(large);
  EXPECT_TRUE(runner_.Next().has_started());
  const auto event = runner_.Next();
  EXPECT_EQ(event.failed().cause(), v1::FAILURE_CAUSE_OUT_OF_MEMORY) << event.ShortDebugString();
  EXPECT_THAT(event.failed().message(), HasSubstr("can't allocate memory"));
  runner_.Send(Run(1));
  EXPECT_TRUE(runner_.Next().has_started());
  EXPECT_TRUE(runner_.NextBesideProgress().has_finished());
}

// An agent sees that its events end without an outcome, and calls that CRASHED.
TEST_F(ServeTest, KilledWhileItTrainsItSaysNothingMore) {
  runner_.Send(Run(100000));
  EXPECT_TRUE(runner_.Next().has_started());
  runner_.Kill();
  const auto last = runner_.NextBesideProgress();
  EXPECT_EQ(last.event_case(), v1::RunnerEvent::EVENT_NOT_SET) << last.ShortDebugString();
  EXPECT_EQ(runner_.Wait(), 1000);
}

TEST_F(ServeTest, LeavesInTheMiddleOfTrainingWhenTheAgentIsGone) {
  runner_.Send(Run(100000));
  EXPECT_TRUE(runner_.Next().has_started());
  EXPECT_TRUE(runner_.Next().has_progress());
  runner_.Close();
  EXPECT_EQ(runner_.Wait(), 0);
}

}  // namespace
}  // namespace retort::runner
