#include "client/cli/process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "common/files.h"

namespace retort {
namespace {

class ProcessTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  // Waits until the file holds something.
  std::string WaitFor(const std::string& path) {
    for (int i = 0; i < 500; ++i) {
      const auto text = ReadFile(path);
      if (text.ok() && !text->empty() && text->back() == '\n') return *text;
      absl::SleepFor(absl::Milliseconds(10));
    }
    return "";
  }

  const std::string folder_ = ::testing::TempDir() + "process_" +
                              ::testing::UnitTest::GetInstance()->current_test_info()->name();
  const std::string log_ = folder_ + "/log";
};

TEST_F(ProcessTest, RunsTheProgramAndKeepsWhatItPrints) {
  auto child = ChildProcess::Start({"/bin/sh", "-c", "echo out; echo err >&2; exit 3"}, log_);
  ASSERT_TRUE(child.ok()) << child.status();
  child->WaitOrKill(absl::Seconds(10));
  EXPECT_EQ(child->Ended(), "exit code 3");
  EXPECT_EQ(LastLines(log_, 2), "out\nerr\n");
  EXPECT_EQ(LastLines(log_, 1), "err\n");
}

TEST_F(ProcessTest, SaysBySignalHowItDied) {
  auto child = ChildProcess::Start({"/bin/sleep", "100"}, log_);
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ(child->Ended(), std::nullopt);
  child->Signal(SIGKILL);
  child->WaitOrKill(absl::Seconds(10));
  EXPECT_EQ(child->Ended(), "signal 9");
}

TEST_F(ProcessTest, KillsWhatIgnoresTheRequestToEnd) {
  auto child = ChildProcess::Start(
      {"/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"}, log_);
  ASSERT_TRUE(child.ok()) << child.status();
  ASSERT_EQ(WaitFor(log_), "up\n");
  child->Signal(SIGTERM);
  child->WaitOrKill(absl::Milliseconds(300));
  EXPECT_EQ(child->Ended(), "signal 9");
}

TEST_F(ProcessTest, AChildDoesNotOutliveAParentThatIsKilled) {
  // A parent of its own: it starts a child, writes its process id and waits to be killed.
  const pid_t parent = fork();
  if (parent == 0) {
    const auto child = ChildProcess::Start({"/bin/sh", "-c", "echo $$; exec sleep 100"}, log_);
    pause();
    _exit(child.ok());
  }
  int pid = 0;
  ASSERT_TRUE(absl::SimpleAtoi(WaitFor(log_), &pid));
  EXPECT_EQ(kill(pid, 0), 0);
  kill(parent, SIGKILL);
  waitpid(parent, nullptr, 0);
  // The child is now nobody's of this process; its death shows by its state.
  std::string state;
  for (int i = 0; i < 500 && state != "gone"; ++i) {
    const auto stat = ReadFile("/proc/" + std::to_string(pid) + "/stat");
    const bool ended = !stat.ok() || stat->find(") Z") != std::string::npos;
    state = ended ? "gone" : "there";
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_EQ(state, "gone");
}

TEST_F(ProcessTest, NamesAProgramThatIsNowhere) {
  EXPECT_TRUE(absl::IsFailedPrecondition(FindProgram("retort-nothing").status()));
  EXPECT_TRUE(FindProgram("sh").ok());
}

}  // namespace
}  // namespace retort
