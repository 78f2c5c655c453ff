// Disks that are full, read-only or damaged, folders that are taken, databases of another version.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/records.h"
#include "tests/e2e/small_disk.h"

namespace retort::e2e {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

std::string SweepOf(const std::string& name, int epochs) {
  return absl::StrCat("name: ", name,
                      "\ndatasets: {d: {path: d.safetensors}}\nsplit: {kfold: 2}\n"
                      "teachers: [{resnet1d: 8/4}]\nstudents: [{resnet1d: [4/4, 8/4]}]\n"
                      "methods: [scratch, soft]\ntrain: {epochs: ",
                      epochs, "}\nseeds: [0, 1, 2, 3]\n");
}
constexpr int kJobs = 8 + 2 * 8 * 2;

class DiskTest : public testing::Test {
 protected:
  void SetUp() override {
    cluster_.FixAddress();
    cluster_.MakeDataset();
  }
  std::string Submit(const std::string& name, int epochs) {
    const std::string file = cluster_.Write(name + ".yaml", SweepOf(name, epochs));
    return cluster_.Json({"sweep", "submit", file})["sweep"];
  }
  int Succeeded(const std::string& sweep) {
    return cluster_.Json({"sweep", "show", sweep})["succeeded"];
  }
  void WaitForSuccess(const std::string& sweep) {
    const Outcome wait =
        cluster_.Cli({"sweep", "wait", sweep, "--timeout", "60s"}, absl::Seconds(90));
    ASSERT_EQ(wait.exit_code, 0) << wait.out << wait.err << cluster_.ServerLog();
    EXPECT_EQ(cluster_.Json({"results", sweep}).size(), static_cast<size_t>(kJobs));
  }
  std::string WorkerLog(const std::string& id) const {
    return ReadFile(cluster_.folder() + "/" + id + ".err").value_or("");
  }
  // A coordinator on the folder of the cluster: how it ends, which must be soon.
  Outcome StartInVain() {
    return RunCommand(
        {"retort-server", "--folder", cluster_.server_folder(), "--listen", "127.0.0.1:0"},
        cluster_.folder(), absl::Seconds(10));
  }

  Cluster cluster_;
};

// The coordinator's folder on a small disk.
class SmallDiskTest : public DiskTest {
 protected:
  void SetUp() override {
    DiskTest::SetUp();
    disk_ = std::make_unique<SmallDisk>(cluster_.folder() + "/disk", 24);
    if (!disk_->works()) GTEST_SKIP() << "this machine allows no mounts in a user namespace";
  }
  void PutServerOnDisk() {
    cluster_.set_server_folder(cluster_.folder() + "/disk/server");
    cluster_.set_server_prefix(disk_->prefix());
    cluster_.StartServer();
  }

  std::unique_ptr<SmallDisk> disk_;
};

TEST_F(SmallDiskTest, CoordinatorWhoseDiskIsFullSaysSoAndGoesOnWhenThereIsRoomAgain) {
  PutServerOnDisk();
  auto worker = cluster_.StartWorker("w1", 2, 25);
  const std::string sweep = Submit("s", 10);
  ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return Succeeded(sweep) >= 3; }));
  disk_->Fill();
  Pause(absl::Seconds(1));
  const int before = Succeeded(sweep);
  const pid_t pid = cluster_.server().pid();
  const std::string file = cluster_.Write("more.yaml", SweepOf("more", 3));
  const Outcome refused = cluster_.Cli({"sweep", "submit", file});
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_THAT(refused.err, AnyOf(HasSubstr("full"), HasSubstr("No space"))) << "clear to clients";
  Pause(absl::Seconds(3));  // a lease
  EXPECT_TRUE(cluster_.server().Running());
  EXPECT_TRUE(worker->Running());
  EXPECT_EQ(Succeeded(sweep), before) << "reads are answered; nothing is taken without being kept";
  disk_->Free();
  WaitForSuccess(sweep);
  EXPECT_EQ(cluster_.server().pid(), pid);
  EXPECT_TRUE(cluster_.server().Running()) << "the same process all the time";
  int again = 0;
  for (const auto& row : cluster_.Json({"results", sweep})) again += row["attempt"] > 1;
  EXPECT_EQ(again, 0) << "workers went on and spooled meanwhile";
  // Errors come with a back-off: not thousands of lines.
  const std::string log = cluster_.ServerLog();
  EXPECT_LT(std::count(log.begin(), log.end(), '\n'), 400) << log.substr(0, 4000);
  WaitForSuccess(Submit("more", 3));
}

TEST_F(SmallDiskTest, CoordinatorWhoseDiskBecomesReadOnlyGoesOnWhenItIsWritableAgain) {
  PutServerOnDisk();
  auto worker = cluster_.StartWorker("w1", 2, 25);
  const std::string sweep = Submit("s", 10);
  ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return Succeeded(sweep) >= 3; }));
  // A file that is open for writing keeps a mount from becoming read-only: what a failing disk does
  // by itself, a restart has to do here.
  cluster_.KillServer();
  disk_->SetReadOnly(true);
  const std::vector<std::string> prefix = disk_->prefix();
  std::vector<std::string> command = prefix;
  for (const std::string& word :
       {std::string(RETORT_BINARY_DIR) + "/bin/retort-server", std::string("--folder"),
        cluster_.server_folder(), std::string("--listen"), cluster_.address()}) {
    command.push_back(word);
  }
  const Outcome refused = RunCommand(command, cluster_.folder(), absl::Seconds(10));
  EXPECT_THAT(refused.exit_code, AnyOf(2, 4));
  EXPECT_THAT(refused.err, HasSubstr("ead-only")) << "names the reason";
  EXPECT_TRUE(worker->Running());
  disk_->SetReadOnly(false);
  cluster_.StartServer();
  WaitForSuccess(sweep);
}

TEST_F(SmallDiskTest, WorkerWhoseDiskIsFullWaitsAndGoesOnWhenThereIsRoomAgain) {
  cluster_.StartServer();
  // Only the worker's folder lies on the small disk.
  const std::string folder = cluster_.folder() + "/disk/w1";
  const std::string sweep = Submit("s", 10);
  auto worker = cluster_.StartWorker("w1", 2, 25, {}, disk_->prefix(), folder);
  ASSERT_TRUE(Eventually(absl::Seconds(30), [&] { return Succeeded(sweep) >= 3; }))
      << WorkerLog("w1");
  disk_->Fill();
  Pause(absl::Seconds(5));
  EXPECT_TRUE(worker->Running()) << WorkerLog("w1");
  const std::string log = WorkerLog("w1");
  EXPECT_THAT(log, HasSubstr("o space left"));
  EXPECT_LT(std::count(log.begin(), log.end(), '\n'), 400) << log;
  disk_->Free();
  WaitForSuccess(sweep);
  // Each series is whole.
  const auto rows = cluster_.Json({"query",
                                   "SELECT job, count(*) AS n FROM metrics GROUP BY job "
                                   "HAVING n != 20"});
  EXPECT_TRUE(rows.empty()) << rows;
  for (const auto& row : cluster_.Json({"query",
                                        "SELECT failure, message FROM attempts WHERE "
                                        "failure IS NOT NULL AND failure != 'PREEMPTED'"})) {
    ADD_FAILURE() << "the job was blamed: " << row;
  }
}

TEST_F(DiskTest, SecondCoordinatorOnAFolderIsRefusedAndNamesTheFirst) {
  cluster_.StartServer();
  const Outcome second = StartInVain();
  EXPECT_EQ(second.exit_code, 4);
  EXPECT_THAT(second.err, HasSubstr("is used by another coordinator, process " +
                                    std::to_string(cluster_.server().pid())));
  EXPECT_EQ(cluster_.Cli({"sweep", "list"}).exit_code, 0) << "the first is not disturbed";
}

TEST_F(DiskTest, DatabaseThatIsDamagedIsAClearErrorAndNotALoop) {
  cluster_.StartServer();
  Submit("s", 3);
  cluster_.server().Signal(SIGTERM);
  ASSERT_EQ(cluster_.server().Wait(absl::Seconds(20)).value_or(-1), 0);
  const std::string path = cluster_.server_folder() + "/retort.db";
  const std::string good = *ReadFile(path);
  struct {
    const char* what;
    size_t from, bytes;
  } const damages[] = {{"the header", 0, 100},
                       {"the schema", 100, 3000},
                       {"everything behind the schema's first page", 4096, good.size() - 4096}};
  for (const auto& damage : damages) {
    std::string bad = good;
    for (size_t i = damage.from; i < damage.from + damage.bytes; ++i) bad[i] = '\xa5';
    std::ofstream(path, std::ios::binary) << bad;
    const absl::Time begin = WallNow();
    const Outcome outcome = StartInVain();
    EXPECT_EQ(outcome.exit_code, 4) << damage.what << ": " << outcome.err;
    EXPECT_LT(WallNow() - begin, absl::Seconds(5)) << damage.what;
    EXPECT_THAT(outcome.err, HasSubstr("retort.db")) << damage.what;
    EXPECT_THAT(outcome.err, AnyOf(HasSubstr("malformed"), HasSubstr("not a database")))
        << damage.what;
  }
  std::ofstream(path, std::ios::binary) << good;
  cluster_.StartServer();
  EXPECT_EQ(cluster_.Json({"job", "list", "--sweep", "s"}).size(), static_cast<size_t>(kJobs));
}

TEST_F(DiskTest, DatabaseOfANewerVersionIsRefusedAndLeftAsItIs) {
  cluster_.StartServer();
  Submit("s", 3);
  cluster_.server().Signal(SIGTERM);
  ASSERT_EQ(cluster_.server().Wait(absl::Seconds(20)).value_or(-1), 0);
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((cluster_.server_folder() + "/retort.db").c_str(), &db), SQLITE_OK);
  EXPECT_EQ(sqlite3_exec(db, "PRAGMA user_version=999", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  const Outcome outcome = StartInVain();
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_THAT(outcome.err, HasSubstr("schema version 999"));
  EXPECT_THAT(outcome.err, HasSubstr("use the newer Retort that wrote it"));
}

}  // namespace
}  // namespace retort::e2e
