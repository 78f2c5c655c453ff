// retort-server as a program: flags, exit codes, how it starts and ends.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/access/access.h"
#include "common/access/link.h"
#include "common/files.h"
#include "retort/v1/sweep_service.grpc.pb.h"
#include "tests/testing/monitoring.h"

extern char** environ;

namespace retort {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class ServerProcessTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "retort-server-" + NewUuid();
    ASSERT_TRUE(MakeFolders(folder_).ok());
  }
  void TearDown() override {
    for (const pid_t process : processes_) {
      kill(process, SIGKILL);
      waitpid(process, nullptr, 0);
    }
    std::filesystem::remove_all(folder_);
  }

  // Starts the program; what it says on standard error goes to a file of its own.
  pid_t Start(std::vector<std::string> flags) {
    std::vector<char*> argv;
    flags.insert(flags.begin(), RETORT_BINARY_DIR "/bin/retort-server");
    for (std::string& flag : flags) argv.push_back(flag.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    errors_ = absl::StrCat(folder_, "/stderr", ++started_);
    posix_spawn_file_actions_addopen(&actions, 2, errors_.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0644);
    pid_t process = 0;
    EXPECT_EQ(posix_spawn(&process, argv[0], &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    processes_.push_back(process);
    return process;
  }
  // Waits for the end; the exit code, or -1 for a signal or after ten seconds.
  int Wait(pid_t process) {
    for (int i = 0; i < 1000; ++i) {
      int status = 0;
      if (waitpid(process, &status, WNOHANG) == process) {
        std::erase(processes_, process);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
      }
      absl::SleepFor(absl::Milliseconds(10));
    }
    return -1;
  }
  // Of the program started last.
  std::string Errors() { return ReadFile(errors_).value_or(""); }
  std::string Address() {
    for (int i = 0; i < 1000; ++i) {
      auto address = ReadFile(folder_ + "/address");
      if (address.ok()) return *address;
      absl::SleepFor(absl::Milliseconds(10));
    }
    return "";
  }
  std::vector<std::string> GoodFlags() {
    return {"--folder",    folder_ + "/data", "--listen",
            "127.0.0.1:0", "--address-file",  folder_ + "/address"};
  }
  std::vector<std::string> GoodFlagsAnd(const std::vector<std::string>& more) {
    auto flags = GoodFlags();
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  }
  bool Answers(const std::string& address) {
    auto stub = v1::SweepService::NewStub(
        OpenChannel(*ReadAccessFile(folder_ + "/data/access/viewer.access"), 0));
    EXPECT_EQ(ReadAccessFile(folder_ + "/data/access/viewer.access")->addresses.front(), address);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    v1::ListSweepsResponse response;
    return stub->ListSweeps(&context, {}, &response).ok();
  }

  std::string folder_;
  std::string errors_;
  int started_ = 0;
  std::vector<pid_t> processes_;
};

TEST_F(ServerProcessTest, ServesUntilItIsAskedToEnd) {
  const pid_t process = Start(GoodFlags());
  const std::string address = Address();
  EXPECT_THAT(address, StartsWith("127.0.0.1:"));
  EXPECT_TRUE(Answers(address)) << Errors();
  EXPECT_EQ(Wait(Start(GoodFlagsAnd({"--address-file", folder_ + "/other"}))), 4)
      << "the folder is taken";
  EXPECT_THAT(Errors(), StartsWith("retort-server: "));
  kill(process, SIGTERM);
  EXPECT_EQ(Wait(process), 0) << Errors();
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/address"));
}

TEST_F(ServerProcessTest, LogsObjectsAndTellsPrometheusAllThatTheDashboardAsksFor) {
  Start(GoodFlagsAnd({"--log-format", "json", "--metrics", "127.0.0.1:0"}));
  ASSERT_NE(Address(), "") << Errors();
  int port = 0;
  std::istringstream lines(Errors());
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    ASSERT_TRUE(json.is_object()) << line;
    EXPECT_EQ(json["program"], "retort-server");
    const std::string message = json["message"];
    const size_t at = message.find("http://127.0.0.1:");
    if (at != std::string::npos) port = std::stoi(message.substr(at + 17));
  }
  const std::string metrics = HttpGet(port, "/metrics");
  int asked = 0;
  for (const std::string& name : DashboardMetrics()) {
    if (name.starts_with("retort_worker_")) continue;
    ++asked;
    EXPECT_THAT(metrics, HasSubstr(absl::StrCat("# TYPE ", name, " ")));
  }
  EXPECT_GE(asked, 10);
}

TEST_F(ServerProcessTest, StartsAgainAfterAKill) {
  const pid_t process = Start(GoodFlags());
  ASSERT_NE(Address(), "");
  kill(process, SIGKILL);
  EXPECT_EQ(Wait(process), -1);
  std::filesystem::remove(folder_ + "/address");
  const pid_t again = Start(GoodFlags());
  EXPECT_TRUE(Answers(Address())) << Errors();
  kill(again, SIGINT);
  EXPECT_EQ(Wait(again), 0) << Errors();
}

TEST_F(ServerProcessTest, EndsWithItsParent) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  fcntl(ends[1], F_SETFD, FD_CLOEXEC);
  const pid_t process = Start(GoodFlagsAnd({"--exit-with-parent", absl::StrCat(ends[0])}));
  close(ends[0]);
  ASSERT_NE(Address(), "") << Errors();
  close(ends[1]);
  EXPECT_EQ(Wait(process), 0) << Errors();
}

TEST_F(ServerProcessTest, BadFlagsAreNamed) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{}, "--folder"},
      {GoodFlagsAnd({"--no-such-flag"}), "--no-such-flag"},
      {GoodFlagsAnd({"--advertise", "a/b"}), "--advertise: 'a/b"},
      {GoodFlagsAnd({"--tls", "--insecure"}), "--insecure: contradicts"},
      {GoodFlagsAnd({"--tls-cert", "/c.pem"}), "--tls-cert and --tls-key go together"},
      {GoodFlagsAnd({"--client-ca", "/c.pem"}), "--client-ca: means nothing"},
      {GoodFlagsAnd({"--listen", "nowhere"}), "'nowhere'"},
      {GoodFlagsAnd({"--lease", "1s"}), "--lease 1s"},
      {GoodFlagsAnd({"--max-jobs", "0"}), "--max-jobs"},
      {GoodFlagsAnd({"--log-level", "loud"}), "--log-level loud"},
      {GoodFlagsAnd({"--exit-with-parent", "77"}), "77"},
      {{"--folder", "/proc/none"}, "/proc/none"},
  };
  for (const auto& [flags, says] : cases) {
    EXPECT_EQ(Wait(Start(flags)), 2) << says;
    EXPECT_THAT(Errors(), HasSubstr(says));
  }
}

TEST_F(ServerProcessTest, PortInUseIsSaidInOneLine) {
  Start(GoodFlags());
  const std::string address = Address();
  ASSERT_NE(address, "");
  EXPECT_EQ(Wait(Start({"--folder", folder_ + "/more", "--listen", address})), 4);
  EXPECT_THAT(Errors(), StartsWith("retort-server: " + address));
  EXPECT_EQ(Errors().find('\n'), Errors().size() - 1) << Errors();
}

TEST_F(ServerProcessTest, DamagedDatabaseIsSaid) {
  ASSERT_TRUE(MakeFolders(folder_ + "/data").ok());
  std::ofstream(folder_ + "/data/retort.db") << std::string(8192, 'x');
  EXPECT_EQ(Wait(Start(GoodFlags())), 4);
  EXPECT_THAT(Errors(), HasSubstr(folder_ + "/data: "));
}

}  // namespace
}  // namespace retort
