// `retort worker launch ssh`, with a program named ssh that runs commands here, in a home folder
// for each host.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "tests/e2e/cluster.h"

namespace retort::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// The last two arguments are the host and the command; all of them are written down.
constexpr char kSsh[] = R"sh(#!/bin/sh
printf '%s\n' "$*" >>"$HOSTS/arguments"
while [ $# -gt 2 ]; do shift; done
[ "$1" != down ] || { echo "ssh: connect to host down port 22: Connection refused" >&2; exit 255; }
mkdir -p "$HOSTS/$1"
echo "Welcome to $1!"
HOME=$HOSTS/$1 exec sh -c "$2"
)sh";

// A worker as far as launching goes: it says what it was given, and leaves when it is told to.
constexpr char kWorker[] = R"sh(#!/bin/sh
echo "$@" >given
trap 'exit 0' TERM
while :; do sleep 0.1; done
)sh";

class SshTest : public testing::Test {
 protected:
  SshTest() : hosts_(cluster_.folder() + "/hosts") {
    EXPECT_TRUE(MakeFolders(hosts_).ok());
    setenv("HOSTS", hosts_.c_str(), 1);
    setenv("PATH", absl::StrCat(cluster_.folder(), ":", getenv("PATH")).c_str(), 1);
    Program("ssh", kSsh);
    cluster_.FixAddress();
  }
  ~SshTest() override { Launch({"--stop"}); }

  std::string Program(const std::string& name, const char* text) {
    const std::string path = cluster_.Write(name, text);
    chmod(path.c_str(), 0755);
    return path;
  }
  // `retort worker launch ssh` with the file `hosts.txt`.
  Outcome Launch(std::vector<std::string> more) {
    std::vector<std::string> line = {"worker", "launch", "ssh", "--hosts",
                                     cluster_.folder() + "/hosts.txt"};
    line.insert(line.end(), more.begin(), more.end());
    return cluster_.Cli(line);
  }
  nlohmann::json Rows(const Outcome& outcome) {
    auto rows = nlohmann::json::parse(outcome.out, nullptr, false);
    EXPECT_FALSE(rows.is_discarded()) << outcome.out << outcome.err;
    return rows;
  }
  std::string On(const std::string& host, const std::string& file) {
    return hosts_ + "/" + host + "/.retort-worker/" + file;
  }

  Cluster cluster_;
  const std::string hosts_;
};

TEST_F(SshTest, WorkersOfAListRunJobsUntilTheyAreStopped) {
  cluster_.StartServer();
  cluster_.Write("hosts.txt", "alpha slots=2\ndown\nbeta\n");
  const std::string bin = std::string(RETORT_BINARY_DIR) + "/bin/";
  std::vector<std::string> line = {"--program",
                                   bin + "retort-worker",
                                   "--worker-option=--runner",
                                   "--worker-option=" + bin + "retort-fake-runner",
                                   "-o",
                                   "json"};
  // A host has no access files of its own.
  const std::string access = cluster_.server_folder() + "/access/worker.access";
  if (std::filesystem::exists(access)) line.insert(line.end(), {"--worker-access", access});
  const Outcome started = Launch(line);
  EXPECT_EQ(started.exit_code, 4) << "one failed";
  const nlohmann::json rows = Rows(started);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_THAT(rows[0]["answer"].get<std::string>(), StartsWith("started as process "));
  EXPECT_EQ(rows[1]["ok"], false);
  EXPECT_THAT(rows[1]["answer"].get<std::string>(), HasSubstr("Connection refused"));
  EXPECT_THAT(rows[2]["answer"].get<std::string>(), StartsWith("started as process "));
  nlohmann::json workers;
  EXPECT_TRUE(Eventually(absl::Seconds(10),
                         [&] {
                           workers = cluster_.Json({"worker", "list"});
                           return workers.size() == 2;
                         }))
      << workers << ReadFile(On("alpha", "log")).value_or("");
  // Once more: they are left alone.
  const nlohmann::json again = Rows(Launch(line));
  EXPECT_THAT(again[0]["answer"].get<std::string>(), StartsWith("running as process "));

  cluster_.Write("hosts.txt", "alpha\nbeta\ngamma\n");
  const Outcome stopped = Launch({"--stop", "-o", "json"});
  EXPECT_EQ(stopped.exit_code, 0) << stopped.err;
  EXPECT_EQ(Rows(stopped)[0]["answer"], "stopped");
  EXPECT_EQ(Rows(stopped)[2]["answer"], "nothing runs");
}

TEST_F(SshTest, AccessFileArrivesThroughThePipeAlone) {
  cluster_.Write("hosts.txt", "alpha device=cpu\n");
  const std::string access = cluster_.Write("worker.access", "{\"token\": \"very-secret\"}");
  const std::string program = Program("retort-worker", kWorker);
  const std::vector<std::string> line = {"--worker-access", access, "--program", program};
  std::vector<std::string> dry = line;
  dry.push_back("--dry-run");
  const Outcome shown = Launch(dry);
  EXPECT_THAT(shown.out, AllOf(StartsWith("ssh -o BatchMode=yes "), Not(HasSubstr("very-secret"))));
  EXPECT_FALSE(std::filesystem::exists(hosts_ + "/alpha"));

  const Outcome started = Launch(line);
  EXPECT_EQ(started.exit_code, 0) << started.out << started.err;
  EXPECT_EQ(ReadFile(On("alpha", "worker.access")).value_or(""), "{\"token\": \"very-secret\"}");
  struct stat info {};
  ASSERT_EQ(stat(On("alpha", "worker.access").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
  EXPECT_EQ(ReadFile(On("alpha", "given")).value_or(""),
            "--folder . --device cpu --access worker.access\n");
  EXPECT_THAT(*ReadFile(hosts_ + "/arguments"),
              AllOf(HasSubstr(" -- alpha "), Not(HasSubstr("very-secret"))));
}

TEST_F(SshTest, WorkerThatDoesNotStartIsSaid) {
  cluster_.Write("hosts.txt", "alpha\n");
  const Outcome none = Launch({"--program", "no-such-worker", "-o", "json"});
  EXPECT_EQ(none.exit_code, 4);
  EXPECT_THAT(Rows(none)[0]["answer"].get<std::string>(),
              HasSubstr("no-such-worker: there is no such program"));
  const std::string program =
      Program("retort-worker", "#!/bin/sh\necho 'retort-worker: no good' >&2; exit 2\n");
  const Outcome bad = Launch({"--program", program, "-o", "json"});
  EXPECT_EQ(bad.exit_code, 4);
  EXPECT_THAT(Rows(bad)[0]["answer"].get<std::string>(), HasSubstr("retort-worker: no good"));
}

}  // namespace
}  // namespace retort::e2e
