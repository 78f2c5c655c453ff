// `retort admin doctor` and `retort-worker doctor` on real programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>

#include "absl/time/clock.h"
#include "tests/e2e/cluster.h"

namespace retort::e2e {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kWorker[] = RETORT_BINARY_DIR "/bin/retort-worker";

using Found = std::map<std::pair<std::string, std::string>, nlohmann::json>;

// By machine and word.
Found Read(const std::string& json) {
  Found found;
  for (const auto& row : nlohmann::json::parse(json)) {
    found[{row.at("where"), row.at("what")}] = row;
  }
  return found;
}

class DoctorTest : public testing::Test {
 protected:
  void SetUp() override { cluster_.StartServer(); }
  std::string AccessOf(const std::string& role) {
    return cluster_.server_folder() + "/access/" + role + ".access";
  }
  Cluster cluster_;
};

TEST_F(DoctorTest, LooksAtBothSidesAndTheWayBetween) {
  const Outcome outcome = cluster_.Cli({"admin", "doctor", "-o", "json"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
  const Found found = Read(outcome.out);
  for (const char* what : {"address", "coordinator", "version", "clock"}) {
    EXPECT_EQ(found.at({"client", what})["state"], "ok") << what;
  }
  for (const char* what : {"version", "database", "permissions", "security"}) {
    EXPECT_EQ(found.at({"coordinator", what})["state"], "ok") << what;
  }
  EXPECT_EQ(found.at({"coordinator", "workers"})["state"], "warning") << "there are none";
  EXPECT_THAT(outcome.err, HasSubstr(" checkups, "));
  for (const auto& [key, row] : found) {
    EXPECT_EQ(row.size(), 5u);
    EXPECT_EQ(row["state"] == "ok", row["advice"] == "") << row;
  }
}

TEST_F(DoctorTest, TellsPeopleWhatToDo) {
  const Outcome outcome = cluster_.Cli({"admin", "doctor"});
  EXPECT_THAT(outcome.out, HasSubstr("\ncoordinator\n  ok      version"));
  EXPECT_THAT(outcome.out, HasSubstr("-> nothing runs until a worker joins: retort-worker"));
}

TEST_F(DoctorTest, AnAccessFileThatOthersReadIsAnError) {
  ASSERT_EQ(chmod(AccessOf("admin").c_str(), 0644), 0);
  const Outcome outcome =
      cluster_.Cli({"admin", "doctor", "-o", "json", "--access", AccessOf("admin")});
  EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
  const Found found = Read(outcome.out);
  EXPECT_EQ(found.at({"client", "permissions"})["state"], "error");
  EXPECT_EQ(found.at({"coordinator", "permissions"})["state"], "error");
}

TEST_F(DoctorTest, NobodyThereIsSaidWithTheAddressAndTheRestIsLookedAtAllTheSame) {
  cluster_.KillServer();
  const Outcome outcome = cluster_.Cli({"admin", "doctor", "--worker", "-o", "json"});
  EXPECT_EQ(outcome.exit_code, 4) << outcome.err;
  const Found found = Read(outcome.out);
  EXPECT_EQ(found.at({"client", "address"})["state"], "error");
  EXPECT_THAT(found.at({"client", "address"})["found"].get<std::string>(),
              HasSubstr(cluster_.address()));
  EXPECT_EQ(found.count({"coordinator", "version"}), 0u);
  EXPECT_EQ(found.count({"worker", "disk"}), 1u);
}

TEST_F(DoctorTest, AWorkerLooksAtItsMachineAndStartsNothing) {
  const std::string folder = cluster_.folder() + "/nothing/here/yet";
  const Outcome outcome =
      cluster_.Cli({"admin", "doctor", "--worker", "-o", "json", "--", "--folder", folder,
                    "--access", AccessOf("worker"), "--threads", "64"});
  const Found found = Read(outcome.out);
  EXPECT_EQ(found.at({"worker", "coordinator"})["state"], "ok") << outcome.out;
  EXPECT_EQ(found.at({"worker", "slots"})["state"], "warning");
  EXPECT_NE(found.at({"worker", "disk"})["state"], "error") << "the folder would be made";
  EXPECT_FALSE(std::filesystem::exists(folder));
  EXPECT_EQ(found.at({"worker", "runner"})["state"], "ok") << outcome.out;
  EXPECT_THAT(found.at({"worker", "blas"})["found"].get<std::string>(), HasSubstr("GFLOP/s"));
  const Outcome gpu = RunCommand(
      {kWorker, "doctor", "--access", AccessOf("worker"), "--device", "cuda:7"}, cluster_.folder());
  EXPECT_EQ(gpu.exit_code, 1);
  EXPECT_THAT(gpu.out, HasSubstr("--device says cuda:7"));
}

TEST_F(DoctorTest, AnAccessFileThatCannotBeReadIsACheckupLikeOthers) {
  const std::string broken = cluster_.Write("broken.access", "{");
  const Outcome outcome = cluster_.Cli({"admin", "doctor", "-o", "json", "--access", broken});
  EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
  const Found found = Read(outcome.out);
  EXPECT_EQ(found.at({"client", "access"})["state"], "error");
  EXPECT_THAT(found.at({"client", "access"})["found"].get<std::string>(), HasSubstr(broken));
  EXPECT_EQ(found.count({"client", "config"}), 1u);
}

TEST_F(DoctorTest, AWorkerThatRunsThereIsSaid) {
  const auto worker = cluster_.StartWorker("w1", 1, 1);
  const std::string folder = cluster_.folder() + "/w1";
  for (int i = 0; i < 100 && !std::filesystem::exists(folder + "/lock"); ++i) {
    absl::SleepFor(absl::Milliseconds(50));
  }
  const Outcome outcome = RunCommand(
      {kWorker, "doctor", "--access", AccessOf("worker"), "--folder", folder}, cluster_.folder());
  EXPECT_THAT(outcome.out, HasSubstr("a retort-worker runs in " + folder));
}

TEST_F(DoctorTest, AWrongTokenAndAWrongRunnerAreNamed) {
  const std::string wrong = cluster_.Write(
      "wrong.access", "{\"retort_access\": 1, \"addresses\": [\"" + cluster_.address() +
                          "\"], \"tls\": false, \"token\": \"rt_0123456789abcdef_x\", \"role\": "
                          "\"worker\"}");
  const Outcome outcome =
      RunCommand({kWorker, "doctor", "--json", "--access", wrong, "--runner", "/bin/false"},
                 cluster_.folder());
  EXPECT_EQ(outcome.exit_code, 1) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("ask for a new access file"));
  EXPECT_THAT(outcome.out, HasSubstr("/bin/false: exit code 1"));
  // Somebody is there: this is not what exit code 4 is for.
  EXPECT_EQ(cluster_.Cli({"admin", "doctor", "--access", wrong}).exit_code, 1);
}

}  // namespace
}  // namespace retort::e2e
