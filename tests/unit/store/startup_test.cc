// What the store says to folders that it cannot or must not use.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "common/files.h"
#include "server/store/folder.h"
#include "server/store/schema.h"
#include "server/store/sqlite_store.h"
#include "tests/contract/filled.h"

namespace retort::store {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class StartupTest : public ::testing::Test {
 protected:
  StartupTest() {
    std::string name = "/tmp/retort-startup-XXXXXX";
    base_ = mkdtemp(name.data());
    folder_ = base_ + "/home";
    path_ = folder_ + "/retort.db";
  }
  ~StartupTest() override { fs::remove_all(base_); }

  // A folder with content, which nobody has open. With `wal` the latest commits lie in the log.
  void Fill(bool wal = false) {
    auto store = *OpenSqliteStore(folder_);
    Filled filled(*store);
    dump_ = filled.state().Dump();
    if (!wal) return;
    // As kill -9 leaves it: the last connection to close would empty the log.
    fs::copy(folder_, base_ + "/killed", fs::copy_options::recursive);
    store.reset();
    fs::remove_all(folder_);
    fs::rename(base_ + "/killed", folder_);
  }
  std::string Loaded() {
    auto store = OpenSqliteStore(folder_);
    EXPECT_TRUE(store.ok()) << store.status();
    if (!store.ok()) return "";
    State state;
    EXPECT_TRUE((*store)->Load([&](const Record& record) { state.Load(record); }).ok());
    return state.Dump();
  }
  void ExpectRefused(absl::StatusCode code, const std::string& says) {
    const auto store = OpenSqliteStore(folder_);
    EXPECT_EQ(store.status().code(), code) << store.status();
    EXPECT_THAT(std::string(store.status().message()), HasSubstr(says));
  }
  void Poke(int64_t offset, const std::string& bytes) {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(offset);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  void SetVersion(int version) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    const std::string sql = "PRAGMA user_version=" + std::to_string(version);
    ASSERT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(db);
  }

  std::string base_, folder_, path_, dump_;
};

TEST_F(StartupTest, ADamagedHeaderIsDataLossThatSaysHowToRestore) {
  Fill();
  Poke(0, "not a database at all");
  ExpectRefused(absl::StatusCode::kDataLoss, "restore");
  ExpectRefused(absl::StatusCode::kDataLoss, path_);
}

TEST_F(StartupTest, ADamagedPageOfAnyTableIsDataLossAndNoCrash) {
  Fill();
  const auto pages = static_cast<int64_t>(fs::file_size(path_)) / 8192;
  std::string whole = *ReadFile(path_);
  int refused = 0;
  for (int64_t page = 0; page < pages; ++page) {
    std::ofstream(path_, std::ios::binary) << whole;
    Poke(page * 8192 + (page == 0 ? 100 : 0), std::string(1000, '\xee'));
    auto store = OpenSqliteStore(folder_);
    absl::Status status = store.status();
    State state;
    if (status.ok()) {
      status = (*store)->Load([&](const Record& record) { state.Load(record); });
    }
    // A page of an index, or of what only readers need, is not met.
    if (status.ok()) continue;
    ++refused;
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << "page " << page << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("restore"));
  }
  EXPECT_GE(refused, 6) << "of " << pages;
}

TEST_F(StartupTest, ATruncatedDatabaseIsDataLoss) {
  Fill();
  fs::resize_file(path_, 8192 * 3);
  auto store = OpenSqliteStore(folder_);
  absl::Status status = store.status();
  if (status.ok()) status = (*store)->Load([](const Record&) {});
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("restore"));
}

TEST_F(StartupTest, AnEmptyFileIsANewDatabase) {
  fs::create_directories(folder_);
  std::ofstream(path_).flush();
  EXPECT_EQ(Loaded(), "");
}

TEST_F(StartupTest, WhatAKilledProcessLeftInTheLogIsThere) {
  Fill(/*wal=*/true);
  EXPECT_GT(fs::file_size(path_ + "-wal"), 0u);
  EXPECT_EQ(Loaded(), dump_);
}

TEST_F(StartupTest, WithoutItsLogADatabaseIsOlderButWhole) {
  Fill(/*wal=*/true);
  fs::remove(path_ + "-wal");
  fs::remove(path_ + "-shm");
  auto store = OpenSqliteStore(folder_);
  ASSERT_TRUE(store.ok()) << store.status();
  State state;
  EXPECT_TRUE((*store)->Load([&](const Record& record) { state.Load(record); }).ok());
  state.Recover(Now{});
  EXPECT_TRUE(state.CheckInvariants().ok());
}

TEST_F(StartupTest, ALogThatIsCutOrDamagedLosesOnlyItsEnd) {
  Fill(/*wal=*/true);
  const std::string wal = *ReadFile(path_ + "-wal"), db = *ReadFile(path_);
  for (const double part : {0.0, 0.2, 0.5, 0.9, 0.999}) {
    std::ofstream(path_, std::ios::binary) << db;
    std::ofstream(path_ + "-wal", std::ios::binary)
        << wal.substr(0, static_cast<size_t>(part * static_cast<double>(wal.size()))) +
               std::string(500, '\xee');
    fs::remove(path_ + "-shm");
    auto store = OpenSqliteStore(folder_);
    ASSERT_TRUE(store.ok()) << store.status();
    State state;
    EXPECT_TRUE((*store)->Load([&](const Record& record) { state.Load(record); }).ok());
    state.Recover(Now{});
    EXPECT_TRUE(state.CheckInvariants().ok()) << part;
  }
}

TEST_F(StartupTest, ANewerVersionNamesBothVersions) {
  Fill();
  const int known = static_cast<int>(Migrations().size());
  SetVersion(known + 7);
  ExpectRefused(absl::StatusCode::kFailedPrecondition,
                "schema version " + std::to_string(known + 7));
  ExpectRefused(absl::StatusCode::kFailedPrecondition, "knows up to " + std::to_string(known));
  ExpectRefused(absl::StatusCode::kFailedPrecondition, "newer Retort");
}

TEST_F(StartupTest, ASecondCoordinatorIsRefusedByAnyPath) {
  auto first = *OpenSqliteStore(folder_);
  fs::create_directory_symlink(folder_, base_ + "/link");
  for (const std::string& path : {folder_, base_ + "/link", base_ + "/./home/../home"}) {
    const auto second = OpenSqliteStore(path);
    EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << path;
    EXPECT_THAT(std::string(second.status().message()), HasSubstr(std::to_string(getpid())));
  }
  // Nothing was changed by those that were refused.
  EXPECT_EQ(*ReadFile(folder_ + "/lock"), std::to_string(getpid()));
  first.reset();
  EXPECT_TRUE(OpenSqliteStore(base_ + "/link").ok());
}

TEST_F(StartupTest, TheLockOfAKilledProcessIsNoObstacle) {
  fs::create_directories(folder_);
  const pid_t child = fork();
  if (child == 0) {
    const auto lock = LockFolder(folder_);
    if (!lock.ok()) _exit(1);
    std::ofstream(folder_ + "/locked").flush();
    while (true) pause();
  }
  for (int i = 0; i < 1000 && !fs::exists(folder_ + "/locked"); ++i) usleep(10'000);
  ExpectRefused(absl::StatusCode::kFailedPrecondition, std::to_string(child));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(*ReadFile(folder_ + "/lock"), std::to_string(child)) << "it could not clean up";
  EXPECT_TRUE(OpenSqliteStore(folder_).ok());
}

TEST_F(StartupTest, NetworkFilesystemsAreRefused) {
  for (const uint32_t magic : {0x6969u, 0xff534d42u, 0x47504653u}) {
    const auto store = OpenSqliteStore(folder_, {.filesystem_magic = magic});
    EXPECT_EQ(store.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(store.status().message()), HasSubstr("local disk"));
  }
  EXPECT_TRUE(OpenSqliteStore(folder_, {.filesystem_magic = 0xef53}).ok()) << "ext4";
}

TEST_F(StartupTest, AFolderThatCannotBeWrittenSaysSo) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  Fill();
  chmod(path_.c_str(), 0444);
  chmod(folder_.c_str(), 0555);
  const auto store = OpenSqliteStore(folder_);
  chmod(folder_.c_str(), 0755);
  EXPECT_FALSE(store.ok());
  EXPECT_THAT(std::string(store.status().message()), HasSubstr(folder_));
}

}  // namespace
}  // namespace retort::store
