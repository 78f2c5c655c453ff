// What every Store must do; then what only SQLite does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/hash.h"
#include "server/core/decide.h"
#include "server/core/state.h"
#include "server/store/memory_store.h"
#include "server/store/sqlite_store.h"
#include "tests/contract/filled.h"

namespace retort::store {
namespace {

using namespace core;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// Removed when the process ends.
std::string NewFolder() {
  struct Folders {
    ~Folders() {
      for (const std::string& folder : all) std::filesystem::remove_all(folder);
    }
    std::vector<std::string> all;
  };
  static Folders folders;
  std::string folder = "/tmp/retort-store-XXXXXX";
  return folders.all.emplace_back(mkdtemp(folder.data()));
}

struct Kind {
  const char* name;
  std::function<std::unique_ptr<Store>()> make;
};

void PrintTo(const Kind& value, std::ostream* out) { *out << value.name; }

class StoreContractTest : public ::testing::TestWithParam<Kind> {
 protected:
  StoreContractTest() : store_(GetParam().make()), filled_(*store_) {}
  const Reader& reader() const { return store_->reader(); }

  std::unique_ptr<Store> store_;
  Filled filled_;
};

TEST_P(StoreContractTest, WhatIsLoadedEqualsWhatIsInMemory) {
  State loaded;
  ASSERT_TRUE(store_->Load([&](const Record& record) { loaded.Load(record); }).ok());
  loaded.Recover(filled_.now());
  EXPECT_EQ(loaded.Dump(), filled_.state().Dump());
  EXPECT_TRUE(loaded.CheckInvariants().ok());
}

TEST_P(StoreContractTest, SweepsAreListedWithCounts) {
  const auto page = reader().Sweeps({}, 10);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_THAT(page->sweeps, SizeIs(1));
  EXPECT_FALSE(page->next.has_value());
  const v1::Sweep& sweep = page->sweeps[0];
  EXPECT_EQ(sweep.name(), "sweeps/s");
  EXPECT_EQ(sweep.state(), v1::SWEEP_STATE_ACTIVE);
  EXPECT_EQ(sweep.counts().succeeded(), 1);
  EXPECT_EQ(sweep.counts().running(), 1);
  EXPECT_EQ(sweep.counts().queued(), 1);
  EXPECT_DOUBLE_EQ(sweep.eta_s(), 6) << "two jobs of 3 s on one slot";
  EXPECT_EQ(reader().Sweep("s")->spec().description(), "kept whole");
  EXPECT_EQ(reader().SweepSpec({1})->description(), "kept whole");
  EXPECT_EQ(reader().Sweep("none").status().code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreContractTest, JobsComeInPagesByPosition) {
  JobFilter filter{"s", {}, true};
  const auto first = reader().Jobs(filter, {}, 2);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_THAT(first->jobs, SizeIs(2));
  EXPECT_EQ(first->jobs[0].kind(), v1::JOB_KIND_TEACHER);
  EXPECT_DOUBLE_EQ(first->jobs[0].result().evaluations(0).overall().mae_bpm(), 4.5);
  EXPECT_EQ(first->jobs[1].spec().seed(), 'a');
  EXPECT_EQ(first->jobs[1].epochs_done(), 5);
  EXPECT_EQ(first->jobs[1].worker(), "workers/w");
  ASSERT_TRUE(first->next.has_value());
  const auto second = reader().Jobs(filter, first->next, 2);
  ASSERT_THAT(second->jobs, SizeIs(1));
  EXPECT_EQ(second->jobs[0].seed(), 'b');
  EXPECT_FALSE(second->next.has_value());
  EXPECT_THAT(reader().Jobs({"", {JobState::kQueued}, false}, {}, 9)->jobs, SizeIs(1));
  EXPECT_EQ(reader().Jobs({"none", {}, false}, {}, 9).status().code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreContractTest, AFilterByStatesMissesNoneWhateverThePages) {
  const auto all = reader().Jobs({"s", {}, false}, {}, 9)->jobs;
  for (const std::vector<JobState>& states : {std::vector{JobState::kFailed},
                                              {JobState::kSucceeded},
                                              {JobState::kQueued},
                                              {JobState::kRunning, JobState::kQueued},
                                              {JobState::kSucceeded, JobState::kFailed}}) {
    std::vector<std::string> wanted;
    for (const v1::Job& job : all) {
      const auto state = static_cast<JobState>(job.state());
      if (std::find(states.begin(), states.end(), state) != states.end()) {
        wanted.push_back(job.name());
      }
    }
    for (const int limit : {1, 2, 9}) {
      std::vector<std::string> found;
      std::optional<int64_t> after;
      do {
        const auto page = reader().Jobs({"s", states, false}, after, limit);
        ASSERT_TRUE(page.ok()) << page.status();
        for (const v1::Job& job : page->jobs) found.push_back(job.name());
        after = page->next;
      } while (after);
      EXPECT_EQ(found, wanted) << "pages of " << limit;
    }
  }
}

TEST_P(StoreContractTest, AJobIsFoundByAPrefix) {
  const std::string hex = JobId(Sha256Of("a")).hex();
  const auto job = reader().Job(hex.substr(0, 7));
  ASSERT_TRUE(job.ok()) << job.status();
  EXPECT_EQ(job->name(), "jobs/" + hex);
  ASSERT_THAT(job->attempts(), SizeIs(1));
  EXPECT_EQ(job->attempts(0).worker(), "workers/w");
  EXPECT_TRUE(job->attempts(0).has_start_time());
  ASSERT_THAT(job->latest_metrics(), SizeIs(2));
  EXPECT_EQ(job->latest_metrics(0).step(), 4);
  EXPECT_TRUE(std::isnan(job->latest_metrics(0).value()));
  EXPECT_EQ(job->teacher_job(), "jobs/" + JobId(Sha256Of("t")).hex());
  EXPECT_EQ(reader().Job("xyz").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(reader().Job("0000000").status().code(), absl::StatusCode::kNotFound);
}

TEST_P(StoreContractTest, SeriesAreThinnedWithFirstAndLast) {
  const auto points = reader().Metrics(JobId(Sha256Of("a")), {"train.loss"}, 2);
  ASSERT_TRUE(points.ok()) << points.status();
  ASSERT_THAT(*points, SizeIs(2));
  EXPECT_EQ((*points)[0].step(), 0);
  EXPECT_EQ((*points)[1].step(), 4);
  EXPECT_THAT(*reader().Metrics(JobId(Sha256Of("a")), {}, 100), SizeIs(5));
  EXPECT_FALSE(reader().Metrics(JobId(Sha256Of("none")), {}, 100).ok());
}

TEST_P(StoreContractTest, ANewAttemptDeletesPointsAndTheResultCanBeWithdrawn) {
  const JobKey a = filled_.state().FindJob(JobId(Sha256Of("a")));
  const Record deleted = PointsDeleted{a, 2};
  ASSERT_TRUE(store_->Commit({&deleted}).status.ok());
  const auto points = reader().Metrics(JobId(Sha256Of("a")), {}, 100);
  ASSERT_THAT(*points, SizeIs(2));
  EXPECT_EQ(reader().Job(JobId(Sha256Of("a")).hex())->latest_metrics(0).step(), 0);
  filled_.Do(ArtifactLost{ArtifactHash(Sha256Of("weights"))});
  const auto teacher = reader().Job(JobId(Sha256Of("t")).hex());
  EXPECT_FALSE(teacher->has_result());
  EXPECT_EQ(teacher->state(), v1::JOB_STATE_QUEUED);
}

// Whatever order a store writes them in.
TEST_P(StoreContractTest, OfWhatOneCommitSaysOfAJobTheLastHolds) {
  const std::string t = JobId(Sha256Of("t")).hex();
  const JobKey key = filled_.state().FindJob(JobId(Sha256Of("t")));
  const Artifact weights{ArtifactHash(Sha256Of("weights")), 7};
  const auto accepted = [&](double mae_bpm) {
    auto result = std::make_shared<v1::JobResult>();
    result->add_evaluations()->mutable_overall()->set_mae_bpm(mae_bpm);
    return Record(ResultAccepted{key, weights, 1, result});
  };
  const auto commit = [this](const std::vector<Record>& records) {
    std::vector<const Record*> pointers;
    for (const Record& record : records) pointers.push_back(&record);
    const CommitResult done = store_->Commit(pointers);
    EXPECT_EQ(done.outcome, CommitResult::Outcome::kDone) << done.status;
  };
  const Record withdrawn = ResultWithdrawn{key, weights};
  commit({withdrawn, accepted(3)});
  EXPECT_EQ(reader().Job(t)->result().evaluations(0).overall().mae_bpm(), 3);
  commit({withdrawn, accepted(2), withdrawn, accepted(1)});
  EXPECT_EQ(reader().Job(t)->result().evaluations(0).overall().mae_bpm(), 1);
  commit({withdrawn, accepted(2), withdrawn});
  EXPECT_FALSE(reader().Job(t)->has_result());

  const JobRow before = filled_.state().job(key).row;
  JobRow once = before, twice = before;
  once.state = JobState::kQueued;
  twice.state = JobState::kFailed;
  AttemptEnded lost{key, 1, before.worker, 1, 2, 3, 4, FailureCause::kLost, "lost"};
  AttemptEnded late = lost;
  late.cause = FailureCause::kNone;
  late.message = "late";
  commit({JobChanged{key, before, once}, lost, late, JobChanged{key, once, twice}});
  const auto job = reader().Job(t);
  EXPECT_EQ(job->state(), v1::JOB_STATE_FAILED);
  ASSERT_THAT(job->attempts(), SizeIs(1));
  EXPECT_EQ(job->attempts(0).failure().message(), "") << "the late one was written last";
}

TEST_P(StoreContractTest, WorkersShowWhatTheyAre) {
  const auto page = reader().Workers("", 10);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_THAT(page->workers, SizeIs(1));
  EXPECT_EQ(page->workers[0].slots(0).memory_bytes(), 1 << 30);
  EXPECT_EQ(page->workers[0].succeeded(), 1);
  EXPECT_EQ(reader().Worker("w")->host(), "here");
  EXPECT_EQ(reader().Worker("x").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(reader().JobSpecs({{1}, {2}}).value(), SizeIs(2));
  EXPECT_FALSE(reader().JobSpecs({{99}}).ok());
}

std::unique_ptr<Store> OpenFresh() {
  auto store = OpenSqliteStore(NewFolder(), {.check_references = true});
  EXPECT_TRUE(store.ok()) << store.status();
  return *std::move(store);
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreContractTest,
                         ::testing::Values(Kind{"Sqlite", OpenFresh},
                                           Kind{"Memory", NewMemoryStore}),
                         [](const auto& info) { return std::string(info.param.name); });

// --------------------------------------------------------------------------------------------
// SQLite

absl::StatusOr<QueryResult> Query(const Reader& reader, const std::string& sql,
                                  std::vector<std::vector<Cell>>* rows = nullptr,
                                  QueryLimits limits = {}) {
  return reader.Query(
      sql, limits, [](const std::vector<std::string>&) {},
      [rows](const std::vector<Cell>& row) {
        if (rows != nullptr) rows->push_back(row);
        return true;
      });
}

TEST(SqliteStoreTest, EveryViewAnswers) {
  auto store = OpenFresh();
  Filled filled(*store);
  for (const char* view : {"sweeps", "jobs", "attempts", "results", "metrics", "workers"}) {
    std::vector<std::vector<Cell>> rows;
    const auto result = Query(store->reader(), absl::StrCat("SELECT * FROM ", view), &rows);
    ASSERT_TRUE(result.ok()) << view << ": " << result.status();
    EXPECT_GT(rows.size(), 0u) << view;
  }
  std::vector<std::vector<Cell>> rows;
  ASSERT_TRUE(Query(store->reader(),
                    "WITH r AS (SELECT method, mae_bpm FROM results WHERE sweep = 's') "
                    "SELECT method, round(avg(mae_bpm), 1), count(*) FROM r GROUP BY method",
                    &rows)
                  .ok());
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(std::get<std::string>(rows[0][0]), "scratch");
  EXPECT_EQ(std::get<double>(rows[0][1]), 4.5);
}

TEST(SqliteStoreTest, QueriesCanDoNothingElse) {
  auto store = OpenFresh();
  Filled filled(*store);
  for (const char* sql : {"SELECT * FROM requests",
                          "SELECT count(*) FROM requests",
                          "SELECT count(*) FROM REQUESTS",
                          "SELECT count(*) FROM pragma_database_list",
                          "SELECT count(*) FROM sqlite_schema",
                          "WITH sweeps AS (SELECT * FROM requests) SELECT * FROM sweeps",
                          "SELECT * FROM sqlite_master",
                          "DELETE FROM job_rows",
                          "SELECT 1; SELECT 2",
                          "SELECT load_extension('x')",
                          "PRAGMA journal_mode",
                          "ATTACH '/tmp/x' AS y",
                          "EXPLAIN SELECT 1",
                          "SELECT randomblob(1000000000)",
                          "SELEC 1",
                          "",
                          "SELECT * FROM nothing",
                          "SELECT ?",
                          "CREATE TEMP TABLE t (x)",
                          "SELECT * FROM pragma_table_info('job_rows')"}) {
    EXPECT_EQ(Query(store->reader(), sql).status().code(), absl::StatusCode::kInvalidArgument)
        << sql;
  }
}

TEST(SqliteStoreTest, QueriesEndAtTheirLimits) {
  auto store = OpenFresh();
  const std::string endless =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT ";
  QueryLimits limits;
  limits.rows = 10;
  const auto few = Query(store->reader(), endless + "i FROM n", nullptr, limits);
  ASSERT_TRUE(few.ok()) << few.status();
  EXPECT_TRUE(few->truncated);
  EXPECT_EQ(few->rows, 10);
  limits.time = absl::Milliseconds(50);
  const auto slow = Query(store->reader(), endless + "count(*) FROM n", nullptr, limits);
  EXPECT_EQ(slow.status().code(), absl::StatusCode::kDeadlineExceeded) << slow.status();
}

TEST(SqliteStoreTest, ContentSurvivesClosingAndASecondCoordinatorIsRefused) {
  const std::string folder = NewFolder();
  std::string before;
  {
    auto store = *OpenSqliteStore(folder);
    Filled filled(*store);
    before = filled.state().Dump();
    const auto second = OpenSqliteStore(folder);
    EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(second.status().message()),
                HasSubstr(absl::StrCat("process ", getpid())));
    ASSERT_TRUE(store->Reopen().ok());
  }
  auto store = *OpenSqliteStore(folder);
  State loaded;
  ASSERT_TRUE(store->Load([&](const Record& record) { loaded.Load(record); }).ok());
  EXPECT_EQ(loaded.Dump(), before);
}

TEST(SqliteStoreTest, AFailedCommitWritesNothing) {
  auto store = OpenFresh();
  Filled filled(*store);
  const Record good = PointsDeleted{{2}, 0};
  const Record bad = MemberAdded{{9}, {9}, 0};  // no such sweep
  const CommitResult commit = store->Commit({&good, &bad});
  EXPECT_EQ(commit.outcome, CommitResult::Outcome::kNotDone);
  EXPECT_THAT(*store->reader().Metrics(JobId(Sha256Of("a")), {}, 100), SizeIs(5));
}

TEST(SqliteStoreTest, DamageAndNewerVersionsAreClearErrors) {
  const std::string damaged = NewFolder();
  std::ofstream(damaged + "/retort.db") << std::string(8192, 'x');
  EXPECT_EQ(OpenSqliteStore(damaged).status().code(), absl::StatusCode::kDataLoss);

  const std::string newer = NewFolder();
  ASSERT_TRUE(OpenSqliteStore(newer).ok());
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((newer + "/retort.db").c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "PRAGMA user_version=99", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  const auto opened = OpenSqliteStore(newer);
  EXPECT_EQ(opened.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(opened.status().message()), HasSubstr("schema version 99"));
}

}  // namespace
}  // namespace retort::store
