#include "server/store/gathered_writes.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "absl/strings/str_cat.h"
#include "server/store/sqlite.h"
#include "tests/unit/store/faulty_vfs.h"

namespace retort::store {
namespace {

class GatheredWritesTest : public testing::Test {
 protected:
  GatheredWritesTest() {
    std::string name = "/tmp/retort-gathered-XXXXXX";
    folder_ = mkdtemp(name.data());
    db_ = Open(GatheringVfsOver(vfs_.name()));
    vfs_.plan = [this](const FileCall& call) {
      const bool log_write = call.wal && call.op == FileCall::Op::kWrite;
      writes_ += log_write;
      syncs_ += call.wal && call.op == FileCall::Op::kSync;
      return log_write && fail_ ? Fault{SQLITE_FULL, true} : Fault{};
    };
    // A cache of 20 pages, so that a large transaction is in the log before it ends.
    Do(db_,
       "PRAGMA page_size=8192; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
       "PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=20; CREATE TABLE t (x BLOB)");
    writes_ = syncs_ = 0;
  }
  ~GatheredWritesTest() override {
    db_ = Connection();
    std::filesystem::remove_all(folder_);
  }

  Connection Open(const std::string& vfs) {
    return *Connection::Open(folder_ + "/x.db", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                             vfs.empty() ? nullptr : vfs.c_str());
  }
  static void Do(const Connection& db, const std::string& sql) {
    const absl::Status status = db.Execute(sql);
    EXPECT_TRUE(status.ok()) << status;
  }
  static std::string Insert(int rows) {
    return absl::StrCat(
        "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 "
        "FROM n WHERE i < ",
        rows, ") SELECT randomblob(8000) FROM n");
  }
  static int64_t Rows(const Connection& db) { return *db.QueryInt("SELECT count(*) FROM t"); }

  std::string folder_;
  FaultyVfs vfs_{"faulty-gathered"};
  int writes_ = 0, syncs_ = 0;
  bool fail_ = false;
  Connection db_;
};

TEST_F(GatheredWritesTest, AThousandPagesTakeAHundredWritesAndOneFlush) {
  Do(db_, Insert(1000));
  EXPECT_LT(writes_, 100) << "1,000 pages, each with a header";
  EXPECT_GT(writes_, 60);
  EXPECT_EQ(syncs_, 1);
}

TEST_F(GatheredWritesTest, WhatIsCommittedIsThereForAllOthers) {
  const Connection reader = Open("");
  for (int i = 1; i <= 20; ++i) {
    Do(db_, Insert(1));
    EXPECT_EQ(Rows(reader), i);
  }
}

TEST_F(GatheredWritesTest, ATransactionReadsWhatItWroteBefore) {
  Do(db_, "BEGIN");
  Do(db_, Insert(100));
  EXPECT_EQ(Rows(db_), 100);
  EXPECT_EQ(*db_.QueryInt("SELECT sum(length(x)) FROM t"), 800'000);
  Do(db_, "COMMIT");
  EXPECT_EQ(Rows(Open("")), 100);
}

TEST_F(GatheredWritesTest, NothingIsLeftOfATransactionThatIsTakenBack) {
  Do(db_, "BEGIN");
  Do(db_, Insert(100));
  Do(db_, "ROLLBACK");
  Do(db_, Insert(3));
  EXPECT_EQ(Rows(Open("")), 3);
  Do(db_, "PRAGMA wal_checkpoint(TRUNCATE)");
  EXPECT_EQ(Rows(Open("")), 3);
}

TEST_F(GatheredWritesTest, ACommitHearsOfAWriteThatFails) {
  Do(db_, Insert(2));
  fail_ = true;
  for (const int rows : {1, 100}) {
    EXPECT_TRUE(absl::IsResourceExhausted(db_.Execute(Insert(rows)))) << rows;
  }
  fail_ = false;
  EXPECT_EQ(Rows(db_), 2);
  Do(db_, Insert(3));
  EXPECT_EQ(Rows(Open("")), 5) << "what failed is written over";
}

}  // namespace
}  // namespace retort::store
