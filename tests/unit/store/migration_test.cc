// Databases of every earlier version, stored as SQL when that version was the newest.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <stdlib.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "server/store/maintenance.h"
#include "server/store/schema.h"
#include "server/store/sqlite_store.h"
#include "tests/contract/filled.h"
#include "tests/unit/store/faulty_vfs.h"

namespace retort::store {
namespace {

// A folder with the stored database of a version.
class OldFolder {
 public:
  explicit OldFolder(int version) {
    std::string name = "/tmp/retort-migration-XXXXXX";
    path = mkdtemp(name.data());
    database = path + "/retort.db";
    const std::string sql =
        *ReadFile(absl::StrCat(RETORT_SOURCE_DIR, "/tests/golden/schema_v", version, ".sql"));
    sqlite3* db = nullptr;
    EXPECT_EQ(sqlite3_open(database.c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, "PRAGMA journal_mode=WAL", nullptr, nullptr, nullptr), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(db);
    sqlite3_close(db);
  }
  ~OldFolder() { std::filesystem::remove_all(path); }

  int64_t Version() const {
    const auto db = Connection::Open(database, SQLITE_OPEN_READONLY);
    return *db->QueryInt("PRAGMA user_version");
  }

  std::string path, database;
};

core::State Loaded(Store& store) {
  core::State state;
  EXPECT_TRUE(store.Load([&](const core::Record& record) { state.Load(record); }).ok());
  Now now;
  now.monotonic = absl::Seconds(1);
  state.Recover(now);
  return state;
}

void ExpectContent(const core::State& state) {
  ASSERT_EQ(state.jobs(), 8);
  const auto state_of = [&](const char* name) {
    return state.job(state.FindJob(JobId(Sha256Of(name)))).row.state;
  };
  EXPECT_EQ(state_of("t"), core::JobState::kSucceeded);
  EXPECT_EQ(state_of("a"), core::JobState::kRunning);
  EXPECT_EQ(state_of("b"), core::JobState::kQueued);
  EXPECT_EQ(state_of("u"), core::JobState::kFailed);
  EXPECT_EQ(state_of("c"), core::JobState::kSkipped);
  EXPECT_EQ(state_of("d"), core::JobState::kCancelled);
  EXPECT_EQ(state_of("e"), core::JobState::kLeased);
  EXPECT_EQ(state_of("f"), core::JobState::kBlocked);
  EXPECT_EQ(state.sweeps(), 4);
  EXPECT_EQ(state.workers(), 2);
  EXPECT_NE(state.FindRequest("request-drain"), nullptr);
  EXPECT_NE(state.weights(state.FindJob(JobId(Sha256Of("t")))), nullptr);
}

class EveryVersion : public testing::TestWithParam<int> {};

TEST_P(EveryVersion, IsBroughtUpToDateWithAllItHeld) {
  OldFolder old(GetParam());
  auto store = OpenSqliteStore(old.path, {.check_references = true});
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(old.Version(), static_cast<int64_t>(Migrations().size()));
  const core::State state = Loaded(**store);
  ExpectContent(state);
  EXPECT_TRUE(state.CheckInvariants().ok()) << state.CheckInvariants();
  const auto job = (*store)->reader().Job(JobId(Sha256Of("u")).hex());
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->failure().message(), "no such \"layer\"");
  EXPECT_EQ((*store)->reader().Job(JobId(Sha256Of("a")).hex())->latest_metrics_size(), 2);
  for (const char* view : {"sweeps", "jobs", "attempts", "results", "metrics", "workers"}) {
    int64_t rows = 0;
    const auto result = (*store)->reader().Query(
        absl::StrCat("SELECT * FROM ", view), {}, [](const std::vector<std::string>&) {},
        [&rows](const std::vector<Cell>&) { return ++rows > 0; });
    EXPECT_TRUE(result.ok()) << view << ": " << result.status();
    EXPECT_GT(rows, 0) << view;
  }
  const auto snapshot = Snapshot::Open(old.database);
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  EXPECT_TRUE((*snapshot)
                  ->Check(false, [](const Finding& f) { ADD_FAILURE() << f.subject << f.message; })
                  .ok());
}

INSTANTIATE_TEST_SUITE_P(Migration, EveryVersion,
                         testing::Range(1, static_cast<int>(Migrations().size())));

TEST(MigrationTest, SweepsOfBeforeCheckpointsHaveNoneAndNoLimit) {
  OldFolder old(2);
  auto store = OpenSqliteStore(old.path);
  ASSERT_TRUE(store.ok()) << store.status();
  const core::State state = Loaded(**store);
  EXPECT_EQ(state.sweep({1}).fixed.checkpoint_every_s, 0);
  EXPECT_EQ(state.sweep({1}).fixed.wall_limit_s, 0);
  EXPECT_TRUE(state.checkpoints().empty());
}

TEST(MigrationTest, ResultsTellWhatTheyOnlyKeptInside) {
  OldFolder old(3);
  auto store = OpenSqliteStore(old.path);
  ASSERT_TRUE(store.ok()) << store.status();
  std::vector<Cell> cells;
  const auto result = (*store)->reader().Query(
      "SELECT r.windows, r.microbatch, r.dataset, r.batch, r.peak_lr, j.batch, j.peak_lr, r.mixed "
      "FROM results r JOIN jobs j USING (job)",
      {}, [](const std::vector<std::string>&) {},
      [&cells](const std::vector<Cell>& row) { return cells = row, true; });
  ASSERT_TRUE(result.ok()) << result.status();
  std::string sha256;
  for (int i = 0; i < 32; ++i) sha256 += "ef";
  EXPECT_THAT(cells, testing::ElementsAre(Cell(int64_t{120}), Cell(int64_t{64}), Cell(sha256),
                                          Cell(int64_t{128}), Cell(0.01), Cell(int64_t{128}),
                                          Cell(0.01), Cell(int64_t{1})));
  // The other jobs' specs say nothing of it.
  EXPECT_EQ((*store)->reader().Job(JobId(Sha256Of("t")).hex())->result().microbatch(), 64);
  EXPECT_EQ(Loaded(**store).checkpoints().size(), 1u);
}

TEST(MigrationTest, WhatWasThereBeforeIsKeptBeside) {
  OldFolder old(1);
  ASSERT_TRUE(OpenSqliteStore(old.path).ok());
  const auto kept = Connection::Open(old.database + ".v1", SQLITE_OPEN_READONLY);
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(*kept->QueryInt("PRAGMA user_version"), 1);
  EXPECT_EQ(*kept->QueryInt("SELECT count(*) FROM job_rows"), 8);
}

// A migration that is interrupted at any of its operations leaves a version whole, and the next
// start ends it.
TEST(MigrationTest, IsAtomic) {
  int old_left = 0, new_left = 0;
  for (int k = 0;; ++k) {
    OldFolder old(1);
    FaultyVfs vfs("faulty-migration");
    // From the k-th on nothing works any more, as for a process that was killed.
    vfs.plan = [k](const FileCall& call) {
      return call.number >= k ? Fault{SQLITE_IOERR, call.number == k} : Fault{};
    };
    const bool opened = OpenSqliteStore(old.path, {.vfs = vfs.name()}).ok();
    ++(old.Version() == 1 ? old_left : new_left);
    auto store = OpenSqliteStore(old.path);
    ASSERT_TRUE(store.ok()) << "after operation " << k << ": " << store.status();
    EXPECT_EQ(old.Version(), static_cast<int64_t>(Migrations().size()));
    ExpectContent(Loaded(**store));
    if (opened || HasFailure()) break;
  }
  EXPECT_GT(old_left, 5);
  EXPECT_GT(new_left, 0);
}

}  // namespace
}  // namespace retort::store
