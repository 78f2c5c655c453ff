// Pages and counts are looked up: no statement behind them goes through a whole table, however many
// jobs there are. Read off SQLite's own plans, of the statements that are really run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <stdlib.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "server/store/sqlite.h"
#include "server/store/sqlite_store.h"
#include "tests/contract/filled.h"

namespace retort::store {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

// What all connections of the process run while a test of this file does.
std::set<std::string>& Seen() {
  static std::set<std::string>& seen = *new std::set<std::string>;
  return seen;
}

int Note(unsigned, void*, void* statement, void*) {
  const char* sql = sqlite3_sql(static_cast<sqlite3_stmt*>(statement));
  if (sql != nullptr && std::string_view(sql).starts_with("SELECT")) Seen().insert(sql);
  return 0;
}

int NoteStatements(sqlite3* db, const char**, const struct sqlite3_api_routines*) {
  return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, Note, nullptr);
}

class PlansTest : public ::testing::Test {
 protected:
  PlansTest() {
    std::string name = "/tmp/retort-plans-XXXXXX";
    folder_ = mkdtemp(name.data());
    store_ = *OpenSqliteStore(folder_, {.synchronous = false});
    filled_ = std::make_unique<Filled>(*store_);
    sqlite3_auto_extension(reinterpret_cast<void (*)()>(NoteStatements));
    Seen().clear();
  }
  ~PlansTest() override {
    sqlite3_cancel_auto_extension(reinterpret_cast<void (*)()>(NoteStatements));
    filled_.reset();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  // A line for each step of the plan of each statement that was run since the last call.
  std::vector<std::string> Plans() {
    const std::set<std::string> statements = std::exchange(Seen(), {});
    EXPECT_FALSE(statements.empty());
    std::vector<std::string> steps;
    const auto db = *Connection::Open(folder_ + "/retort.db", SQLITE_OPEN_READONLY);
    for (const std::string& sql : statements) {
      Statement plan = *db.Prepare("EXPLAIN QUERY PLAN " + sql);
      while (*plan.Step()) steps.push_back(std::string(plan.Text(3)) + "  <-  " + sql);
    }
    return steps;
  }

  // Workers are few, and each page tells how many slots there are.
  void ExpectNoScan() {
    for (const std::string& step : Plans()) {
      EXPECT_THAT(step, AnyOf(Not(HasSubstr("SCAN ")), HasSubstr("SCAN worker_rows"),
                              HasSubstr("SCAN CONSTANT ROW")));
      // A page that is sorted first is read whole first.
      EXPECT_THAT(step, Not(HasSubstr("TEMP B-TREE")));
    }
  }

  std::string folder_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Filled> filled_;
};

TEST_F(PlansTest, PagesOfJobs) {
  const Reader& reader = store_->reader();
  const std::vector<std::vector<JobState>> filters = {
      {}, {JobState::kFailed}, {JobState::kQueued, JobState::kRunning}};
  const std::string sweep = reader.Sweeps({}, 1)->sweeps.at(0).name().substr(7);
  for (const bool full : {false, true}) {
    for (const std::string& of : {std::string(), sweep}) {
      for (const auto& states : filters) {
        const JobFilter filter{.sweep = of, .states = states, .full = full};
        ASSERT_TRUE(reader.Jobs(filter, {}, 10).ok());
        ASSERT_TRUE(reader.Jobs(filter, 1, 10).ok());
      }
    }
  }
  ASSERT_THAT(Seen(), SizeIs(testing::Ge(12))) << "as many statements as combinations";
  ExpectNoScan();
}

TEST_F(PlansTest, SweepsWithTheirCountsAndWorkers) {
  const Reader& reader = store_->reader();
  const auto first = reader.Sweeps({}, 1);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE(reader.Sweeps(5, 1).ok());
  ASSERT_TRUE(reader.Sweep(first->sweeps.at(0).name().substr(7)).ok());
  ASSERT_TRUE(reader.Workers("", 10).ok());
  ASSERT_TRUE(reader.Workers("a", 10).ok());
  ExpectNoScan();
}

// The attempts and latest values of one job may be sorted, but not looked for.
TEST_F(PlansTest, OneJobWithItsAttemptsAndMetrics) {
  const Reader& reader = store_->reader();
  const auto page = reader.Jobs({}, {}, 100);
  ASSERT_TRUE(page.ok());
  for (const v1::Job& job : page->jobs) {
    const std::string id = job.name().substr(5);
    ASSERT_TRUE(reader.Job(id.substr(0, 12)).ok());
    ASSERT_TRUE(reader.Metrics(*JobId::FromHex(id), {}, 10).ok());
  }
  for (const std::string& step : Plans()) EXPECT_THAT(step, Not(HasSubstr("SCAN ")));
}

// The views of people's queries, where these ask for one job or one sweep.
TEST_F(PlansTest, ViewsByKey) {
  const auto none = [](const std::vector<std::string>&) {};
  const auto all = [](const std::vector<Cell>&) { return true; };
  const auto result = store_->reader().Query(
      "SELECT job, state FROM jobs WHERE sweep = 'x' ORDER BY position LIMIT 10", {}, none, all);
  ASSERT_TRUE(result.ok()) << result.status();
  // Points are many more than jobs: these are looked through, for the one, but not those.
  ASSERT_TRUE(
      store_->reader()
          .Query("SELECT step, value FROM metrics WHERE job = 'x' AND series = 'y'", {}, none, all)
          .ok());
  for (const std::string& step : Plans()) {
    EXPECT_THAT(step, Not(HasSubstr("SCAN p ")));
    if (step.find("FROM jobs") == std::string::npos) continue;
    EXPECT_THAT(step, AnyOf(Not(HasSubstr("SCAN ")), HasSubstr("SCAN w"), HasSubstr("SCAN c")));
  }
}

}  // namespace
}  // namespace retort::store
