// People's queries: what they may read, what is refused and with which words, and that the page of
// the views says what the database has.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <ctime>
#include <filesystem>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/files.h"
#include "common/status.h"
#include "server/store/schema.h"
#include "server/store/sqlite.h"
#include "server/store/sqlite_store.h"
#include "tests/contract/filled.h"

namespace retort::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class QueryTest : public ::testing::Test {
 protected:
  QueryTest() {
    std::string name = "/tmp/retort-query-XXXXXX";
    folder_ = mkdtemp(name.data());
    store_ = *OpenSqliteStore(folder_, {.synchronous = false});
    filled_ = std::make_unique<Filled>(*store_);
  }
  ~QueryTest() override {
    filled_.reset();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  absl::StatusOr<QueryResult> Run(const std::string& sql, QueryLimits limits = {}) {
    columns_.clear();
    rows_.clear();
    return store_->reader().Query(
        sql, limits, [this](const std::vector<std::string>& names) { columns_ = names; },
        [this](const std::vector<Cell>& row) {
          rows_.push_back(row);
          return true;
        });
  }

  std::string folder_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Filled> filled_;
  std::vector<std::string> columns_;
  std::vector<std::vector<Cell>> rows_;
};

TEST_F(QueryTest, EveryAttackIsRefusedWithWhatWouldBeRight) {
  const std::pair<const char*, const char*> cases[] = {
      // Writes.
      {"DELETE FROM job_rows",
       "does more than read; must be one SELECT over the views sweeps, jobs"},
      {"UPDATE jobs SET state = 'done'", "cannot modify jobs because it is a view"},
      {"INSERT INTO requests VALUES (1)", "does more than read"},
      {"DROP TABLE job_rows", "does more than read"},
      {"CREATE TEMP TABLE t (x)", "does more than read"},
      {"CREATE TABLE t AS SELECT * FROM jobs", "does more than read"},
      {"REPLACE INTO series_names VALUES (1, 'x')", "does more than read"},
      {"WITH x AS (SELECT 1) DELETE FROM job_rows", "does more than read"},
      {"BEGIN IMMEDIATE", "does more than read"},
      {"VACUUM INTO '/tmp/x'", "does more than read"},
      {"REINDEX", "more than read"},
      // Other files and settings.
      {"ATTACH '/tmp/x' AS y", "does more than read"},
      {"PRAGMA journal_mode", "does more than read"},
      {"PRAGMA user_version = 3", "does more than read"},
      {"SELECT * FROM pragma_table_info('job_rows')", "must be one SELECT over the views"},
      {"SELECT count(*) FROM pragma_database_list", "must be one SELECT over the views"},
      {"SELECT * FROM dbstat", "must be one SELECT over the views"},
      // Several statements, none, half of one.
      {"SELECT 1; SELECT 2", "exactly one SELECT"},
      {"SELECT 1; DELETE FROM job_rows", "exactly one SELECT"},
      {"", "exactly one SELECT"},
      {"-- nothing", "exactly one SELECT"},
      {"SELEC 1", "syntax error"},
      {"SELECT 'open", "unrecognized token"},
      {"EXPLAIN SELECT 1", "without EXPLAIN"},
      {"SELECT ?", "without EXPLAIN or parameters"},
      // Functions.
      {"SELECT load_extension('x')", "load_extension"},
      {"SELECT readfile('/etc/passwd')", "no such function: readfile"},
      {"SELECT randomblob(1000000000)", "the function randomblob is not allowed"},
      {"SELECT zeroblob(1000000000)", "the function zeroblob is not allowed"},
      {"SELECT printf('%1000000000d', 1)", "the function printf is not allowed"},
      {"SELECT sqlite_version()", "the function sqlite_version is not allowed"},
      {"SELECT message_value('JobResult', '', '')", "no such function"},
      // Tables beyond the views.
      {"SELECT * FROM requests", "'requests' is not readable; must be one SELECT over the views"},
      {"SELECT count(*) FROM REQUESTS", "'requests' is not readable"},
      {"SELECT name FROM sqlite_schema", "is not readable"},
      {"SELECT count(*) FROM sqlite_master", "is not readable"},
      {"SELECT id FROM job_rows", "'job_rows' is not readable"},
      {"SELECT result FROM result_messages", "'result_messages' is not readable"},
      {"SELECT spec FROM (SELECT * FROM job_specs) AS jobs", "'job_specs' is not readable"},
      {"SELECT * FROM nowhere", "no such table: nowhere"},
      {"SELECT nowhere FROM jobs", "no such column: nowhere"},
      // Common table expressions that take a view's name.
      {"WITH jobs AS (SELECT * FROM job_rows) SELECT * FROM jobs", "WITH names a table 'jobs'"},
      {"WITH Jobs(a) AS NOT MATERIALIZED (SELECT id FROM job_rows) SELECT * FROM jobs",
       "WITH names a table 'jobs'"},
      {"WITH \"jobs\" /* so */ AS -- as\n (SELECT id FROM job_rows) SELECT * FROM jobs",
       "WITH names a table 'jobs'"},
      {"WITH [results](a) AS (SELECT spec FROM job_specs) SELECT a FROM results",
       "WITH names a table 'results'"},
      {"SELECT * FROM (WITH `sweeps` AS (SELECT * FROM sweep_rows) SELECT * FROM sweeps)",
       "WITH names a table 'sweeps'"},
      {"WITH 'workers' AS (SELECT slots FROM worker_rows) SELECT * FROM workers",
       "WITH names a table 'workers'"},
      {"WITH jobs AS (SELECT * FROM requests) SELECT * FROM jobs", "'requests' is not readable"},
      {"WITH mine AS (SELECT id FROM job_rows) SELECT * FROM mine", "'job_rows' is not readable"},
  };
  const int64_t jobs = *Connection::Open(folder_ + "/retort.db", SQLITE_OPEN_READONLY)
                            ->QueryInt("SELECT count(*) FROM job_rows");
  for (const auto& [sql, words] : cases) {
    const absl::Status status = Run(sql).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << sql << ": " << status;
    EXPECT_THAT(MessageOf(status), HasSubstr(words)) << sql;
    EXPECT_THAT(MessageOf(status), HasSubstr("sql: ")) << sql;
  }
  EXPECT_EQ(*Connection::Open(folder_ + "/retort.db", SQLITE_OPEN_READONLY)
                 ->QueryInt("SELECT count(*) FROM job_rows"),
            jobs);
}

TEST_F(QueryTest, WhatIsNoAttackIsAnswered) {
  for (const char* sql : {
           "SELECT count(*) FROM workers",
           "SELECT count(*) FROM WORKERS",
           "SELECT JOB FROM Jobs WHERE Sweep = 's'",
           "SELECT count(*) FROM jobs, attempts",
           "SELECT 1; -- done",
           "SELECT 'WITH jobs AS (' AS text, job FROM jobs",
           "WITH mine AS (SELECT * FROM jobs) SELECT count(*) FROM mine",
           "WITH a AS (SELECT job FROM jobs), b AS (SELECT job FROM a) SELECT * FROM b JOIN a "
           "USING "
           "(job)",
           "SELECT jobs.job FROM jobs AS jobs WHERE job IN (SELECT job FROM attempts)",
           "SELECT count(*), (SELECT count(*) FROM results) FROM jobs AS results",
           "SELECT job, rank() OVER (ORDER BY seed) FROM jobs",
           "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT "
           "sum(i) FROM n",
           "SELECT * FROM results LEFT JOIN workers ON 1",
           "SELECT job FROM jobs EXCEPT SELECT job FROM results",
       }) {
    EXPECT_TRUE(Run(sql).ok()) << sql << ": " << Run(sql).status();
    EXPECT_FALSE(rows_.empty()) << sql;
  }
}

TEST_F(QueryTest, ValuesKeepTheirTypes) {
  ASSERT_TRUE(Run("SELECT 9007199254740993, -9223372036854775807 - 1, 0.1, 9e999, 'ä', NULL, "
                  "x'ff00', CAST(x'ff' AS TEXT)")
                  .ok());
  const std::vector<Cell>& row = rows_.at(0);
  EXPECT_EQ(std::get<int64_t>(row[0]), 9007199254740993);
  EXPECT_EQ(std::get<int64_t>(row[1]), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(std::get<double>(row[2]), 0.1);
  EXPECT_EQ(std::get<double>(row[3]), std::numeric_limits<double>::infinity());
  EXPECT_EQ(std::get<std::string>(row[4]), "ä");
  EXPECT_TRUE(std::holds_alternative<std::monostate>(row[5]));
  EXPECT_EQ(std::get<Blob>(row[6]).bytes, std::string("\xff\0", 2));
  EXPECT_EQ(std::get<Blob>(row[7]).bytes, "\xff");
}

// What a query may hold in memory, and how long a step may take that nothing can end.
// ThreadSanitizer looks at each byte that texts are compared by: ten times as slow.
#ifdef __SANITIZE_THREAD__
constexpr int kLongestStep_s = 100;
#else
constexpr int kLongestStep_s = 10;
#endif

TEST_F(QueryTest, BombsEndAtTheirLimits) {
  const std::string endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i + 1 FROM n) SELECT ";
  QueryLimits limits;
  limits.time = absl::Seconds(20);
  limits.memory_bytes = 16 << 20;
  const auto ends_as = [&](const std::string& sql, absl::StatusCode code, const char* words) {
    const absl::Time start = absl::Now();
    const absl::Status status = Run(sql, limits).status();
    EXPECT_EQ(status.code(), code) << sql << ": " << status;
    EXPECT_THAT(MessageOf(status), HasSubstr(words)) << sql;
    EXPECT_LT(absl::Now() - start, limits.time + absl::Seconds(15)) << sql;
  };
  // Rows that are kept to know whether they come again, to sort and to group them.
  ends_as(endless + "count(*) FROM n", absl::StatusCode::kResourceExhausted, "16 MiB");
  const std::string many =
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 10000000) SELECT ";
  ends_as(many + "i FROM n ORDER BY -i", absl::StatusCode::kResourceExhausted, "narrow it");
  ends_as(many + "i, count(*) FROM n GROUP BY i * 7919 % 10000019",
          absl::StatusCode::kResourceExhausted, "16 MiB");
  // Texts that double.
  ends_as(
      "WITH RECURSIVE t(x) AS (SELECT 'aaaa' UNION ALL SELECT x || x FROM t) SELECT max(length(x)) "
      "FROM t",
      absl::StatusCode::kInvalidArgument, "too big");
  // What one step does with the longest texts: nothing can end it, so it must be short. In
  // processor time, since other tests run beside this one.
  const std::clock_t start = std::clock();
  EXPECT_TRUE(
      Run("WITH RECURSIVE t(x, i) AS (SELECT 'aaaa', 0 UNION ALL SELECT x || x, i + 1 FROM "
          "t WHERE i < 14) SELECT instr(x || x || x, x || 'b'), x LIKE '%a%a%a%a%a%a%a%a%b', "
          "length(replace(x || x || x, x || 'b', '')) FROM (SELECT max(x) AS x FROM t)",
          limits)
          .ok());
  EXPECT_LT(std::clock() - start, kLongestStep_s * CLOCKS_PER_SEC);
  limits.time = absl::Milliseconds(300);
  ends_as("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i FROM n) SELECT count(*) FROM n",
          absl::StatusCode::kDeadlineExceeded, "300ms, reading of the rows included; narrow it");
  // Statements too large to be prepared.
  std::string deep = "SELECT ";
  for (int i = 0; i < 500; ++i) deep += "(";
  ends_as(deep + "1", absl::StatusCode::kInvalidArgument, "sql: ");
  std::string wide = "SELECT 1";
  for (int i = 0; i < 100; ++i) wide += " UNION SELECT 1";
  ends_as(wide, absl::StatusCode::kInvalidArgument, "too many terms in compound SELECT");
  ends_as("SELECT '" + std::string(70'000, 'x') + "'", absl::StatusCode::kInvalidArgument,
          "70009 bytes; must be at most 65536");
}

// ------------------------------------------------------------------------------------------- page

struct Documented {
  std::string name, type, unit, meaning;
};

// The tables of views.md by the heading above them.
std::map<std::string, std::vector<Documented>> Page() {
  const std::string text = *ReadFile(absl::StrCat(RETORT_SOURCE_DIR, "/server/store/views.md"));
  std::map<std::string, std::vector<Documented>> page;
  std::string view;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StartsWith(line, "## ")) view = std::string(line.substr(3));
    const std::vector<std::string> cells = absl::StrSplit(line, " | ");
    if (view.empty() || cells.size() < 3 || !absl::StartsWith(line, "| ")) continue;
    if (cells[0] == "| column") continue;
    // An empty unit leaves two spaces between its bars.
    const std::vector<std::string> bars = absl::StrSplit(line, '|');
    const auto cell = [&bars](size_t i) {
      return std::string(absl::StripAsciiWhitespace(bars.at(i)));
    };
    page[view].push_back({cell(1), cell(2), cell(3), cell(4)});
  }
  return page;
}

std::string TypeOf(const Cell& cell) {
  constexpr const char* kNames[] = {"", "integer", "real", "text", "blob"};
  return kNames[cell.index()];
}

TEST_F(QueryTest, ThePageOfTheViewsSaysWhatTheyHave) {
  const auto page = Page();
  ASSERT_EQ(page.size(), Views().size());
  for (const std::string_view view : Views()) {
    ASSERT_TRUE(page.contains(std::string(view))) << view;
    ASSERT_TRUE(Run(absl::StrCat("SELECT * FROM ", std::string(view))).ok());
    EXPECT_FALSE(rows_.empty());
    const std::vector<Documented>& documented = page.at(std::string(view));
    std::vector<std::string> names;
    for (const Documented& column : documented) {
      names.push_back(column.name);
      EXPECT_GT(column.meaning.size(), 5u) << view << "." << column.name;
    }
    EXPECT_EQ(names, columns_) << view;
    for (const std::vector<Cell>& row : rows_) {
      for (size_t i = 0; i < row.size() && i < documented.size(); ++i) {
        if (TypeOf(row[i]).empty()) continue;
        EXPECT_EQ(TypeOf(row[i]), documented[i].type) << view << "." << documented[i].name;
      }
    }
  }
}

TEST_F(QueryTest, ThePageOfTheViewsListsTheFunctions) {
  const std::string text = *ReadFile(absl::StrCat(RETORT_SOURCE_DIR, "/server/store/views.md"));
  const size_t begin = text.find("Functions: ") + 11;
  const std::string list = text.substr(begin, text.find("\n\n", begin) - begin);
  int functions = 0;
  for (const absl::string_view name : absl::StrSplit(list, absl::ByAnyChar(" \n"))) {
    const std::string arguments = name == "count" ? "1, 2" : "1, 2, 3, 4, 5, 6, 7, 8";
    const absl::Status status = Run(absl::StrCat("SELECT ", name, "(", arguments, ")")).status();
    EXPECT_THAT(MessageOf(status), ::testing::Not(HasSubstr("not allowed"))) << name;
    EXPECT_THAT(MessageOf(status), ::testing::Not(HasSubstr("no such function"))) << name;
    ++functions;
  }
  EXPECT_GT(functions, 60);
}

}  // namespace
}  // namespace retort::store
