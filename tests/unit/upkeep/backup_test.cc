#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "server/upkeep/manifest.h"
#include "server/upkeep/tasks.h"
#include "tests/unit/upkeep/home.h"

namespace retort {
namespace {

using ::testing::HasSubstr;

TEST(BackupTest, HoldsEverythingAndSaysSo) {
  Home home;
  home.Put("nothing refers to this");
  const auto report = home.upkeep->Backup(home.base + "/backup");
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->manifest.sweeps, 1);
  EXPECT_EQ(report->manifest.jobs, 3);
  EXPECT_EQ(report->manifest.results, 1);
  EXPECT_EQ(report->manifest.artifacts, 2);
  EXPECT_EQ(report->manifest.artifact_bytes, 14);
  EXPECT_EQ(report->manifest.logs, 1);
  EXPECT_EQ(report->linked, 2) << "on one disk";
  EXPECT_FALSE(std::filesystem::exists(home.base + "/backup.partial"));
  EXPECT_FALSE(std::filesystem::exists(home.base + "/backup/retort.db-wal"));
  const auto manifest = ParseManifest(*ReadFile(home.base + "/backup/manifest.json"));
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->database_sha256, report->manifest.database_sha256);
  EXPECT_EQ(manifest->time_ms, absl::ToUnixMillis(home.clock.now.wall));
  const auto check = CheckFolder(home.base + "/backup", {});
  ASSERT_TRUE(check.ok()) << check.status();
  EXPECT_EQ(check->all_findings, 0);
  EXPECT_EQ(check->unreferenced, 0);
}

// Stepping beside a writer begins again after each of its commits; it has to end all the same, and
// to be of one moment.
TEST(BackupTest, EndsBesideABusyWriterAndIsOfOneMoment) {
  Home home;
  Sql(home.folder + "/retort.db",
      "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) "
      "INSERT INTO point_rows SELECT 3, 1, i, i, i FROM n");
  std::atomic<bool> done{false};
  std::atomic<int> commits{0};
  std::thread writer([&] {
    // Each commit adds to two rows: a copy that mixes moments would hold them apart.
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open((home.folder + "/retort.db").c_str(), &db), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA synchronous=OFF; PRAGMA busy_timeout=5000", nullptr, nullptr, nullptr);
    while (!done) {
      sqlite3_exec(db,
                   "BEGIN; UPDATE sweep_rows SET known=known+1; UPDATE point_rows SET "
                   "unix_ms=(SELECT known FROM sweep_rows) WHERE job=3 AND step>199990; COMMIT",
                   nullptr, nullptr, nullptr);
      ++commits;
    }
    sqlite3_close(db);
  });
  while (commits < 5) std::this_thread::yield();
  const int before = commits;
  UpkeepWatch watch;
  int calls = 0;
  watch.progress = [&](const UpkeepProgress&) {
    // The writer gets its commits in between.
    const int seen = commits;
    for (int i = 0; i < 1000 && commits < seen + 2; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    ++calls;
  };
  const auto report = home.upkeep->Backup(home.base + "/backup", watch);
  const int during = commits - before;
  done = true;
  writer.join();
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_GT(calls, 3);
  EXPECT_GT(during, 3);
  const auto db = *store::Connection::Open(home.base + "/backup/retort.db", SQLITE_OPEN_READONLY);
  EXPECT_EQ(*db.QueryInt("SELECT known FROM sweep_rows"),
            *db.QueryInt("SELECT max(unix_ms) FROM point_rows WHERE job=3 AND step>199990"));
  EXPECT_EQ(*db.QueryInt("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check='ok'"),
            1);
}

TEST(BackupTest, RefusesTargetsThatWouldDoHarm) {
  Home home;
  std::filesystem::create_directory(home.base + "/there");
  EXPECT_EQ(home.upkeep->Backup("relative").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(home.upkeep->Backup(home.folder + "/inside").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(home.upkeep->Backup(home.base + "/x/../home/inside").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(home.upkeep->Backup(home.base + "/there").status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(home.upkeep->Backup(home.base + "/no/such/folder").status().code(),
            absl::StatusCode::kInvalidArgument);
  std::filesystem::create_directory(home.base + "/mine.partial");
  std::ofstream(home.base + "/mine.partial/letters") << "dear";
  EXPECT_EQ(home.upkeep->Backup(home.base + "/mine").status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(std::filesystem::exists(home.base + "/mine.partial/letters"));
}

TEST(BackupTest, WhatAnEarlierOneLeftWhenItWasKilledIsInNobodysWay) {
  Home home;
  std::filesystem::create_directories(home.base + "/backup.partial/artifacts/00");
  std::ofstream(home.base + "/backup.partial/retort.db") << "half";
  EXPECT_TRUE(home.upkeep->Backup(home.base + "/backup").ok());
  EXPECT_TRUE(CheckFolder(home.base + "/backup", {})->findings.empty());
}

TEST(BackupTest, LeavesNothingWhenItIsCancelledAtAnyPoint) {
  Home home;
  for (int allowed = 0;; ++allowed) {
    int asked = 0;
    UpkeepWatch watch;
    watch.cancelled = [&] { return asked++ >= allowed; };
    const auto report = home.upkeep->Backup(home.base + "/backup", watch);
    if (report.ok()) {
      EXPECT_GT(allowed, 5);
      break;
    }
    EXPECT_EQ(report.status().code(), absl::StatusCode::kCancelled) << report.status();
    EXPECT_FALSE(std::filesystem::exists(home.base + "/backup"));
    EXPECT_FALSE(std::filesystem::exists(home.base + "/backup.partial"));
  }
}

// Nothing of it is there, and all that was there before is.
void ExpectNoTrace(const Home& home) {
  EXPECT_FALSE(std::filesystem::exists(home.base + "/backup"));
  EXPECT_FALSE(std::filesystem::exists(home.base + "/backup.partial"));
  EXPECT_TRUE(std::filesystem::exists(home.folder + "/retort.db"));
}

// The log is one hole: it takes no room here, but a copy is counted with all its bytes.
TEST(BackupTest, SaysBeforeItCopiesHowMuchRoomIsLacking) {
  Home home;
  const std::string log = home.folder + "/logs/huge";
  std::ofstream(log) << "x";
  const auto free = std::filesystem::space(home.base).available;
  std::error_code error;
  std::filesystem::resize_file(log, free + (uint64_t{1} << 30), error);
  if (error) GTEST_SKIP() << "no such large files here: " << error.message();
  const absl::Status status = home.upkeep->Backup(home.base + "/backup").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("bytes are needed"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("are free"));
  ExpectNoTrace(home);
  std::filesystem::remove(log);
  EXPECT_TRUE(home.upkeep->Backup(home.base + "/backup").ok());
}

// No file of this process may grow beyond so many bytes, while this lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    handler_ = signal(SIGXFSZ, SIG_IGN);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_;
  void (*handler_)(int);
};

// Room that was there when it began may be gone before it ends.
TEST(BackupTest, LeavesNothingWhenAWriteFailsAtAnyPoint) {
  Home home;
  std::ofstream(home.folder + "/logs/long") << std::string(3 << 20, 'x');
  const auto database = std::filesystem::file_size(home.folder + "/retort.db");
  for (const uintmax_t bytes : {uintmax_t{1000}, database / 2, database + 1, uintmax_t{2} << 20}) {
    absl::Status status;
    {
      const FileSizeLimit limit(bytes);
      status = home.upkeep->Backup(home.base + "/backup").status();
    }
    EXPECT_FALSE(status.ok()) << bytes;
    EXPECT_THAT(std::string(status.message()), HasSubstr("backup.partial/")) << "which file";
    ExpectNoTrace(home);
  }
  EXPECT_TRUE(home.upkeep->Backup(home.base + "/backup").ok());
}

TEST(BackupTest, EndsWithTheCoordinator) {
  Home home;
  UpkeepWatch watch;
  std::thread stopper;
  watch.progress = [&](const UpkeepProgress&) {
    if (!stopper.joinable()) {
      stopper = std::thread([&] { home.upkeep->Stop(); });
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  };
  EXPECT_EQ(home.upkeep->Backup(home.base + "/backup", watch).status().code(),
            absl::StatusCode::kCancelled);
  stopper.join();
  EXPECT_EQ(home.upkeep->Backup(home.base + "/backup").status().code(),
            absl::StatusCode::kUnavailable);
}

TEST(BackupTest, SaysWhichArtifactsTheCoordinatorLackedItself) {
  Home home;
  std::filesystem::remove(home.PathOf(home.weights));
  const auto report = home.upkeep->Backup(home.base + "/backup");
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->manifest.missing, 1);
  EXPECT_EQ(report->manifest.artifacts, 1);
  EXPECT_TRUE(RestoreBackup(home.base + "/backup", home.base + "/new", home.clock.now).ok());
}

TEST(BackupTest, AManifestThatMeansNothingIsRefusedByField) {
  EXPECT_FALSE(ParseManifest("").ok());
  EXPECT_FALSE(ParseManifest("[]").ok());
  EXPECT_THAT(std::string(ParseManifest(R"({"format": 2})").status().message()),
              HasSubstr("format: 2"));
  Manifest manifest;
  manifest.database_sha256 = "x";
  std::string text = ManifestText(manifest);
  EXPECT_TRUE(ParseManifest(text).ok());
  text.replace(text.find("\"jobs\": 0"), 9, "\"jobs\": -1");
  EXPECT_THAT(std::string(ParseManifest(text).status().message()), HasSubstr("jobs: -1"));
}

}  // namespace
}  // namespace retort
