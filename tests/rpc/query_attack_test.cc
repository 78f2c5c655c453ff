// Hostile queries over the wire: each is refused or ended with words that help, while a worker goes
// on from job to job.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/rpc/harness.h"

namespace retort {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

class QueryAttackTest : public RpcTest {
 protected:
  static constexpr int kJobs = 3000;

  void SetUp() override {
    limits_.query_patience = absl::Seconds(1);
    RpcTest::SetUp();
    const v1::SweepSpec spec = ScratchSweep("many", kJobs);
    ASSERT_TRUE(Create(spec).ok());
    weights_ = Upload("weights");
  }

  // The answer to a query, read to its end.
  absl::Status Ask(const std::string& sql, absl::Duration deadline = absl::Seconds(40)) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + deadline));
    v1::QueryRequest request;
    request.set_sql(sql);
    auto stream = sweeps_->Query(&context, request);
    v1::QueryResponse part;
    while (stream->Read(&part)) {
    }
    return FromGrpc(stream->Finish());
  }

  // Takes job after job, and reports each as done, until `stop`; returns how many were
  // acknowledged.
  int WorkUntil(const std::atomic<bool>& stop) {
    FakeWorker worker(*workers_, "w1");
    int done = 0;
    while (!stop && done < kJobs) {
      const auto lease = worker.TakeLease();
      EXPECT_TRUE(lease.ok()) << lease.status();
      if (!lease.ok()) break;
      worker.Succeed(lease->id(), weights_, 0);
      const absl::Time start = absl::Now();
      const auto answer = worker.Sync(0);
      slowest_ = std::max(slowest_, absl::Now() - start);
      EXPECT_TRUE(answer.ok()) << answer.status();
      if (!answer.ok() || answer->acknowledged_size() != 1) break;
      worker.Forget();
      ++done;
    }
    return done;
  }

  std::string weights_;
  absl::Duration slowest_;
};

TEST_F(QueryAttackTest, NoneDisturbsAWorker) {
  std::atomic<bool> stop = false;
  int done = 0;
  std::thread work([&] { done = WorkUntil(stop); });
  const std::string endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) ";
  for (const char* sql :
       {"DELETE FROM jobs", "ATTACH 'x' AS y", "PRAGMA user_version", "SELECT 1; SELECT 2",
        "SELECT load_extension('x')", "WITH jobs AS (SELECT * FROM job_rows) SELECT * FROM jobs",
        "SELECT * FROM sqlite_master", "EXPLAIN SELECT 1", "VACUUM"}) {
    const absl::Status status = Ask(sql);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << sql << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("sql: ")) << sql;
  }
  // Several that never end at once, more than there are threads for them.
  std::vector<std::thread> bombs;
  for (int i = 0; i < 6; ++i) {
    bombs.emplace_back([&] {
      EXPECT_EQ(Ask(endless + "SELECT count(*) FROM n", absl::Seconds(2)).code(),
                absl::StatusCode::kDeadlineExceeded);
    });
  }
  for (std::thread& bomb : bombs) bomb.join();
  const absl::Status hungry =
      Ask(absl::StrCat("WITH RECURSIVE n(i, t) AS (SELECT 1, '' UNION SELECT i + 1, i || '",
                       std::string(20'000, 'x'), "' FROM n) SELECT count(*) FROM n"));
  EXPECT_EQ(hungry.code(), absl::StatusCode::kResourceExhausted) << hungry;
  stop = true;
  work.join();
  EXPECT_GT(done, 10);
  std::printf("jobs done meanwhile: %d, slowest sync: %s\n", done,
              absl::FormatDuration(slowest_).c_str());
}

// Its rows fill what is between it and the coordinator; then its query is ended, and the snapshot
// with it, while others are answered.
TEST_F(QueryAttackTest, AReaderThatStopsReadingIsDropped) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(60)));
  v1::QueryRequest request;
  request.set_sql(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i, "
      "'a text that makes rows long: a text that makes rows long: a text that makes rows long' "
      "FROM "
      "n");
  request.set_max_rows(10'000'000);
  const absl::Time start = absl::Now();
  auto stream = sweeps_->Query(&context, request);
  v1::QueryResponse part;
  ASSERT_TRUE(stream->Read(&part));
  std::atomic<bool> stop = false;
  int done = 0;
  std::thread work([&] { done = WorkUntil(stop); });
  absl::SleepFor(absl::Seconds(3));
  EXPECT_TRUE(Ask("SELECT count(*) FROM workers").ok());
  stop = true;
  work.join();
  EXPECT_GT(done, 10);
  int64_t rows = part.rows_size();
  while (stream->Read(&part)) rows += part.rows_size();
  const absl::Status status = FromGrpc(stream->Finish());
  // Told why, or only that the call was ended, as what was sent before it was not read.
  EXPECT_THAT(status.code(),
              AnyOf(absl::StatusCode::kDeadlineExceeded, absl::StatusCode::kCancelled))
      << status;
  EXPECT_LT(rows, 10'000'000);
  EXPECT_LT(absl::Now() - start, absl::Seconds(25)) << "below what a query may take";
}

}  // namespace
}  // namespace retort
