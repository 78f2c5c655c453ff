// Disks that fail: what the store says of a commit must be true of what is there afterwards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <ostream>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/store/sqlite.h"
#include "server/store/sqlite_store.h"
#include "tests/contract/filled.h"
#include "tests/unit/store/faulty_vfs.h"

namespace retort::store {
namespace {

using Op = FileCall::Op;
using Outcome = CommitResult::Outcome;

class TempFolder {
 public:
  TempFolder() {
    std::string name = "/tmp/retort-faults-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A commit of a sweep of its own, large enough for many pages. Sweep n is whole if its row, its
// spec and its jobs are there.
constexpr int64_t kJobsEach = 12;
std::vector<Record> Commit(int64_t n, int64_t jobs = kJobsEach) {
  auto spec = std::make_shared<v1::SweepSpec>();
  spec->set_description(std::string(3000, 'x'));
  SweepRow row;
  row.state = SweepState::kActive;
  row.counts[IndexOf(JobState::kQueued)] = jobs;
  std::vector<Record> records = {
      SweepCreated{{n}, {absl::StrCat("s", n), 0, jobs, 1, {}}, row, spec}};
  for (int64_t i = 1; i <= jobs; ++i) {
    auto details = std::make_shared<NewJob>();
    details->spec = std::string(200, 'j');
    JobCreated job;
    job.key = {(n - 1) * jobs + i};
    job.id = JobId(Sha256Of(std::to_string(job.key.value)));
    job.row.state = JobState::kQueued;
    job.details = details;
    records.emplace_back(job);
    records.push_back(MemberAdded{{n}, job.key, i - 1});
  }
  return records;
}

CommitResult Do(Store& store, const std::vector<Record>& records) {
  std::vector<const Record*> pointers;
  for (const Record& record : records) pointers.push_back(&record);
  CommitResult result = store.Commit(pointers);
  store.TidyUp();
  return result;
}

CommitResult Do(Store& store, int64_t n) { return Do(store, Commit(n)); }

// Sweeps that are there, by a connection that knows no faults. Fails if one is there in part.
std::set<int64_t> Present(const std::string& folder) {
  std::set<int64_t> sweeps;
  auto db = Connection::Open(folder + "/retort.db", SQLITE_OPEN_READONLY);
  EXPECT_TRUE(db.ok()) << db.status();
  auto rows = db->Prepare(
      "SELECT s.key, (SELECT count(*) FROM members m JOIN job_rows j ON j.key=m.job "
      "JOIN job_states n ON n.job=j.key JOIN job_specs d ON d.key=j.key WHERE m.sweep=s.key), "
      "(SELECT count(*) FROM sweep_specs d WHERE d.key=s.key) "
      "FROM sweep_rows s");
  if (!rows.ok()) return sweeps;  // not even the tables
  while (true) {
    const auto row = rows->Step();
    EXPECT_TRUE(row.ok()) << row.status();
    if (!row.ok() || !*row) break;
    EXPECT_EQ(rows->Int(1), kJobsEach) << "half of a commit";
    EXPECT_EQ(rows->Int(2), 1) << "half of a commit";
    sweeps.insert(rows->Int(0));
  }
  EXPECT_EQ(*db->QueryInt("SELECT count(*) FROM job_rows"),
            static_cast<int64_t>(sweeps.size()) * kJobsEach);
  return sweeps;
}

// Three commits, a reopening, three more, with checkpoints in between.
constexpr int64_t kCommits = 6;

struct Told {
  int outcomes[3] = {};
  std::set<int64_t> done;     // said to be durable
  std::set<int64_t> present;  // in the end
};

// The store as the coordinator uses it: what failed is tried again; after an unknown outcome it is
// opened again and looked at.
Told Script(FaultyVfs& vfs, const std::string& folder) {
  Told run;
  const SqliteOptions options{.check_references = true, .checkpoint_pages = 20, .vfs = vfs.name()};
  auto store = OpenSqliteStore(folder, options);
  for (int i = 0; !store.ok() && i < 3; ++i) store = OpenSqliteStore(folder, options);
  EXPECT_TRUE(store.ok()) << store.status();
  if (!store.ok()) return run;
  for (int64_t n = 1; n <= kCommits; ++n) {
    for (int i = 0; i < 4; ++i) {
      const CommitResult result = Do(**store, n);
      ++run.outcomes[static_cast<int>(result.outcome)];
      EXPECT_EQ(result.outcome == Outcome::kDone, result.status.ok());
      const bool there = Present(folder).contains(n);
      if (result.outcome == Outcome::kDone) {
        EXPECT_TRUE(there) << "said to be done";
        run.done.insert(n);
        break;
      }
      if (result.outcome == Outcome::kNotDone) {
        EXPECT_FALSE(there) << "said not to be done: " << result.status;
        continue;
      }
      for (int j = 0; j < 3 && !(*store)->Reopen().ok(); ++j) {
      }
      if (Present(folder).contains(n)) break;
    }
    if (n == kCommits / 2) {
      absl::Status reopened = (*store)->Reopen();
      for (int j = 0; j < 3 && !reopened.ok(); ++j) reopened = (*store)->Reopen();
      EXPECT_TRUE(reopened.ok()) << reopened;
    }
  }
  store->reset();
  run.present = Present(folder);
  for (const int64_t n : run.done) EXPECT_TRUE(run.present.contains(n)) << "sweep " << n << " lost";
  EXPECT_EQ(run.present.size(), static_cast<size_t>(kCommits));
  // The whole is sound, too.
  const auto again = OpenSqliteStore(folder);
  EXPECT_TRUE(again.ok()) << again.status();
  State state;
  EXPECT_TRUE((*again)->Load([&](const Record& record) { state.Load(record); }).ok());
  EXPECT_EQ(state.jobs(), kCommits * kJobsEach);
  const auto db = Connection::Open(folder + "/retort.db", SQLITE_OPEN_READONLY);
  EXPECT_EQ(*db->QueryInt("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check='ok'"),
            1);
  return run;
}

// The code that an operation fails with when the disk gives an error.
int ErrorOf(Op op) {
  switch (op) {
    case Op::kOpen:
      return SQLITE_CANTOPEN;
    case Op::kRead:
      return SQLITE_IOERR_READ;
    case Op::kWrite:
      return SQLITE_IOERR_WRITE;
    case Op::kTruncate:
      return SQLITE_IOERR_TRUNCATE;
    case Op::kSync:
      return SQLITE_IOERR_FSYNC;
    case Op::kDelete:
      return SQLITE_IOERR_DELETE;
    case Op::kShm:
      return SQLITE_IOERR_SHMMAP;
  }
  return SQLITE_IOERR;
}

struct Kind {
  const char* name;
  int stride;  // every k-th operation
  Fault (*fault)(Op);
};

void PrintTo(const Kind& value, std::ostream* out) { *out << value.name; }

class EveryOperationTest : public ::testing::TestWithParam<Kind> {};

// One fault at the k-th operation of the script, for every k (of some kinds for every third).
TEST_P(EveryOperationTest, OutcomesAreTrue) {
  int outcomes[3] = {};
  int injected = 0;
  for (int k = 0;; k += GetParam().stride) {
    TempFolder folder;
    FaultyVfs vfs("faulty");
    vfs.plan = [k](const FileCall& call) {
      return call.number == k ? GetParam().fault(call.op) : Fault{};
    };
    SCOPED_TRACE(absl::StrCat("fault at operation ", k));
    const Told run = Script(vfs, folder.path());
    for (int i = 0; i < 3; ++i) outcomes[i] += run.outcomes[i];
    injected += vfs.faults();
    if (vfs.calls() <= k || HasFailure()) break;
  }
  EXPECT_GT(injected, 20);
  RecordProperty("done", outcomes[0]);
  RecordProperty("not_done", outcomes[1]);
  RecordProperty("unknown", outcomes[2]);
  std::printf("%d faults: %d commits done, %d not done, %d unknown\n", injected, outcomes[0],
              outcomes[1], outcomes[2]);
}

INSTANTIATE_TEST_SUITE_P(
    Faults, EveryOperationTest,
    ::testing::Values(
        Kind{"Error", 1,
             [](Op op) {
               return Fault{ErrorOf(op), false};
             }},
        Kind{"HalfWritten", 3,
             [](Op op) {
               return op == Op::kWrite ? Fault{SQLITE_IOERR_WRITE, true} : Fault{};
             }},
        Kind{"Full", 3,
             [](Op op) {
               return op == Op::kWrite || op == Op::kTruncate ? Fault{SQLITE_FULL, false} : Fault{};
             }},
        Kind{"ShortRead", 3,
             [](Op op) {
               return op == Op::kRead ? Fault{SQLITE_IOERR_SHORT_READ, false} : Fault{};
             }}),
    [](const auto& info) { return std::string(info.param.name); });

// A fault that stays until it is taken away.
struct Lasting {
  const char* name;
  Op op;
  bool wal;
  int code;
  Outcome outcome;
};

void PrintTo(const Lasting& value, std::ostream* out) { *out << value.name; }

class LastingFaultTest : public ::testing::TestWithParam<Lasting> {};

TEST_P(LastingFaultTest, EveryCommitFailsUntilItIsGoneAndThenWorkGoesOn) {
  TempFolder folder;
  FaultyVfs vfs("faulty");
  auto store = OpenSqliteStore(folder.path(), {.checkpoint_pages = 30, .vfs = vfs.name()});
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_TRUE(Do(**store, 1).status.ok());
  vfs.plan = [](const FileCall& call) {
    const bool meant = call.op == GetParam().op && call.wal == GetParam().wal;
    return meant ? Fault{GetParam().code, false} : Fault{};
  };
  for (int64_t i = 0; i < 3; ++i) {
    const CommitResult result = Do(**store, 2);
    EXPECT_EQ(result.outcome, GetParam().outcome) << result.status;
    if (result.outcome == Outcome::kDone) break;
    EXPECT_THAT(std::string(result.status.message()), ::testing::HasSubstr("database: "));
    if (result.outcome == Outcome::kUnknown) (void)(*store)->Reopen();
  }
  vfs.plan = nullptr;
  if (GetParam().outcome == Outcome::kUnknown) {
    ASSERT_TRUE((*store)->Reopen().ok());
  }
  const bool there = Present(folder.path()).contains(2);
  if (GetParam().outcome != Outcome::kUnknown) {
    EXPECT_EQ(there, GetParam().outcome == Outcome::kDone);
  }
  if (!there) {
    EXPECT_TRUE(Do(**store, 2).status.ok());
  }
  for (int64_t n = 3; n <= 8; ++n) EXPECT_TRUE(Do(**store, n).status.ok());
  EXPECT_EQ(Present(folder.path()).size(), 8u);
}

INSTANTIATE_TEST_SUITE_P(
    Disk, LastingFaultTest,
    ::testing::Values(
        Lasting{"FullInTheLog", Op::kWrite, true, SQLITE_FULL, Outcome::kNotDone},
        // What was committed lies in the log; a checkpoint that fails takes nothing away.
        Lasting{"FullInTheCheckpoint", Op::kWrite, false, SQLITE_FULL, Outcome::kDone},
        Lasting{"ErrorInTheLog", Op::kWrite, true, SQLITE_IOERR_WRITE, Outcome::kUnknown},
        Lasting{"ErrorInTheFlush", Op::kSync, true, SQLITE_IOERR_FSYNC, Outcome::kUnknown},
        Lasting{"ErrorInTheFlushOfTheDatabase", Op::kSync, false, SQLITE_IOERR_FSYNC,
                Outcome::kDone},
        Lasting{"ReadOnly", Op::kWrite, true, SQLITE_READONLY, Outcome::kNotDone}),
    [](const auto& info) { return std::string(info.param.name); });

// Temporary files would be on another disk, which may be full or read-only.
TEST(FaultTest, LargeCommitsNeedNoFileButTheDatabaseAndItsLog) {
  TempFolder folder;
  FaultyVfs vfs("faulty");
  auto store = OpenSqliteStore(folder.path(), {.vfs = vfs.name()});
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_TRUE(Do(**store, 1).status.ok());
  vfs.plan = [](const FileCall& call) {
    return call.op == Op::kOpen ? Fault{SQLITE_CANTOPEN, false} : Fault{};
  };
  constexpr int64_t kJobs = 5000;
  std::vector<Record> changes;
  for (const Record& record : Commit(2, kJobs)) {
    const auto* job = std::get_if<JobCreated>(&record);
    if (job == nullptr) continue;
    JobChanged change{.key = job->key, .before = job->row, .after = job->row};
    change.after.state = JobState::kCancelled;
    changes.emplace_back(change);
  }
  EXPECT_TRUE(Do(**store, Commit(2, kJobs)).status.ok());
  EXPECT_TRUE(Do(**store, Commit(3, kJobs)).status.ok());
  EXPECT_TRUE(Do(**store, changes).status.ok());
}

TEST(FaultTest, AFullDiskIsNamedSo) {
  TempFolder folder;
  FaultyVfs vfs("faulty");
  auto store = OpenSqliteStore(folder.path(), {.vfs = vfs.name()});
  vfs.plan = [](const FileCall& call) {
    return call.op == Op::kWrite ? Fault{SQLITE_FULL, false} : Fault{};
  };
  const CommitResult result = Do(**store, 1);
  EXPECT_EQ(result.status.code(), absl::StatusCode::kResourceExhausted) << result.status;
  EXPECT_THAT(std::string(result.status.message()), ::testing::HasSubstr("full"));
}

}  // namespace
}  // namespace retort::store
