// The full-screen view in a terminal of its own: it is given back as it was, however the view ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <map>

#include "absl/strings/str_cat.h"
#include "tests/e2e/cluster.h"

namespace retort::e2e {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kEnter[] = "\x1b[?1049h";
constexpr char kLeave[] = "\x1b[?1049l";
constexpr char kShowCursor[] = "\x1b[?25h";

// A program with a terminal, and what it wrote on it.
class Pty {
 public:
  Pty(std::vector<std::string> arguments, const std::map<std::string, std::string>& environment) {
    winsize size{};
    size.ws_col = 80;
    size.ws_row = 24;
    std::vector<char*> pointers;
    for (std::string& argument : arguments) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    pid_ = forkpty(&fd_, nullptr, nullptr, &size);
    if (pid_ == 0) {
      unsetenv("NO_COLOR");
      for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
      execv(pointers[0], pointers.data());
      _exit(127);
    }
  }
  ~Pty() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    close(fd_);
  }

  // Reads until the text has come (again, after what was read so far); false after ten seconds.
  bool Read(const std::string& text) {
    const size_t from = out_.size();
    return Eventually(absl::Seconds(10), [&] {
      Drain();
      return out_.find(text, from) != std::string::npos;
    });
  }
  void Type(const std::string& keys) {
    EXPECT_EQ(write(fd_, keys.data(), keys.size()), static_cast<ssize_t>(keys.size()));
  }
  void Signal(int signal) { kill(pid_, signal); }
  void Resize(int width, int height) {
    winsize size{};
    size.ws_col = static_cast<uint16_t>(width);
    size.ws_row = static_cast<uint16_t>(height);
    ioctl(fd_, TIOCSWINSZ, &size);
  }
  // The exit code (128 + signal if killed), or -1 after ten seconds.
  int Wait() {
    int status = 0;
    const bool ended = Eventually(absl::Seconds(10), [&] {
      Drain();
      return waitpid(pid_, &status, WNOHANG) == pid_;
    });
    if (!ended) return -1;
    pid_ = -1;
    Drain();
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
  bool EchoesLines() const {
    termios settings{};
    tcgetattr(fd_, &settings);
    return (settings.c_lflag & ICANON) != 0 && (settings.c_lflag & ECHO) != 0;
  }
  const std::string& out() const { return out_; }

 private:
  void Drain() {
    pollfd file{fd_, POLLIN, 0};
    std::array<char, 4096> part;
    while (poll(&file, 1, 0) > 0) {
      const ssize_t count = read(fd_, part.data(), part.size());
      if (count <= 0) return;
      out_.append(part.data(), static_cast<size_t>(count));
    }
  }

  pid_t pid_ = -1;
  int fd_ = -1;
  std::string out_;
};

class WatchTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_.FixAddress();
    cluster_.StartServer();
    cluster_.MakeDataset();
    const std::string file =
        cluster_.Write("s.yaml",
                       "name: s\ndatasets: {d: {path: d.safetensors}}\nsplit: {kfold: 2}\n"
                       "students: [{resnet1d: [4/4, 8/4]}]\nmethods: [scratch]\n"
                       "train: {epochs: 200}\nseeds: [0, 1]\n");
    ASSERT_EQ(cluster_.Cli({"sweep", "submit", file}).exit_code, 0);
    worker_ = cluster_.StartWorker("w1", 2, 500);
  }

  Pty Watch(std::map<std::string, std::string> environment = {}) {
    environment.try_emplace("TERM", "xterm");
    return Pty({std::string(RETORT_BINARY_DIR) + "/bin/retort", "sweep", "watch", "s",
                "--coordinator", cluster_.address()},
               environment);
  }

  // The terminal was taken once, and given back. A last line stays, unless somebody who pressed
  // Ctrl-C again would have had to wait for it.
  void ExpectGivenBack(const Pty& pty, bool with_last_line = true) {
    const size_t leave = pty.out().rfind(kLeave);
    ASSERT_NE(leave, std::string::npos) << pty.out();
    EXPECT_LT(pty.out().rfind(kEnter), leave);
    EXPECT_LT(pty.out().rfind("\x1b[?25l"), pty.out().rfind(kShowCursor));
    EXPECT_LT(pty.out().rfind("\x1b[?7l"), pty.out().rfind("\x1b[?7h"));
    EXPECT_TRUE(pty.EchoesLines());
    if (!with_last_line) return;
    EXPECT_THAT(pty.out().substr(leave), HasSubstr("s [")) << "a last line stays";
  }

  Cluster cluster_;
  std::unique_ptr<Process> worker_;
};

TEST_F(WatchTest, GivesTheTerminalBackHoweverItEnds) {
  struct Case {
    std::function<void(Pty&)> end;
    int code = 0;
    bool with_last_line = true;
  };
  const auto hasty = [](Pty& pty) {
    for (int i = 0; i < 5; ++i) pty.Signal(SIGINT);
  };
  const Case cases[] = {
      {[](Pty& pty) { pty.Type("q"); }, 0},
      {[](Pty& pty) { pty.Type("\x03"); }, 130},
      {[](Pty& pty) { pty.Signal(SIGTERM); }, 130},
      {[](Pty& pty) { pty.Signal(SIGHUP); }, 130},
      {hasty, 130, false},
  };
  for (const auto& [end, code, with_last_line] : cases) {
    Pty pty = Watch();
    ASSERT_TRUE(pty.Read("sweep s: active")) << pty.out();
    EXPECT_FALSE(pty.EchoesLines());
    end(pty);
    EXPECT_EQ(pty.Wait(), code);
    ExpectGivenBack(pty, with_last_line);
  }
}

TEST_F(WatchTest, FollowsTheTerminalsSize) {
  Pty pty = Watch();
  ASSERT_TRUE(pty.Read("sweep s: active"));
  pty.Resize(120, 40);
  EXPECT_TRUE(pty.Read("attempt")) << "a wide terminal has columns that a narrow one has not";
  pty.Type("q");
  EXPECT_EQ(pty.Wait(), 0);
  ExpectGivenBack(pty);
}

TEST_F(WatchTest, WaitsForACoordinatorThatIsAwayAndGoesOn) {
  Pty pty = Watch({{"NO_COLOR", "1"}});
  ASSERT_TRUE(pty.Read("sweep s: active"));
  cluster_.KillServer();
  EXPECT_TRUE(pty.Read("The coordinator is away for"));
  cluster_.StartServer();
  // The line goes: what comes next under the counts is empty.
  EXPECT_TRUE(Eventually(absl::Seconds(60), [&] {
    if (!pty.Read("\x1b[H")) return false;
    const std::string frame = pty.out().substr(pty.out().rfind("\x1b[H"));
    return frame.find("sweep s: active") != std::string::npos &&
           frame.find("away") == std::string::npos;
  }));
  EXPECT_THAT(pty.out(), Not(HasSubstr("\x1b[31m"))) << "NO_COLOR";
  pty.Type("\x03");
  EXPECT_EQ(pty.Wait(), 130);
  ExpectGivenBack(pty);
}

TEST_F(WatchTest, WritesPlainLinesOnADumbTerminalAndWhenPiped) {
  Pty pty = Watch({{"TERM", "dumb"}});
  ASSERT_TRUE(pty.Read("0/8 done"));
  pty.Type("\x03");
  EXPECT_EQ(pty.Wait(), 130);
  EXPECT_THAT(pty.out(), Not(HasSubstr("\x1b")));

  ASSERT_EQ(cluster_.Cli({"sweep", "cancel", "s"}).exit_code, 0);
  const Outcome piped = cluster_.Cli({"sweep", "watch", "s"});
  EXPECT_EQ(piped.exit_code, 1) << "a cancelled sweep has no results to go on with";
  EXPECT_THAT(piped.out, HasSubstr("8 cancelled"));
  const auto lines = cluster_.Cli({"sweep", "watch", "s", "-o", "jsonl"});
  EXPECT_EQ(nlohmann::json::parse(lines.out)["state"], "cancelled");
}

TEST_F(WatchTest, NobodyThereIsAnErrorAndNoView) {
  cluster_.KillServer();
  Pty pty = Watch();
  EXPECT_EQ(pty.Wait(), 4);
  EXPECT_THAT(pty.out(), Not(HasSubstr(kEnter)));
  EXPECT_THAT(pty.out(), HasSubstr("no coordinator answers"));
  EXPECT_TRUE(pty.EchoesLines());
}

}  // namespace
}  // namespace retort::e2e
