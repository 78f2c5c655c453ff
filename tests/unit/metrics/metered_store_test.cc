// What is counted of what goes through a store.
#include "server/metrics/metered_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <memory>
#include <string>
#include <vector>

#include "server/core/records.h"
#include "server/store/memory_store.h"

namespace retort {
namespace {

using core::FailureCause;
using core::JobState;
using store::CommitResult;
using testing::HasSubstr;
using testing::Not;

// Answers as it is told.
class ToldStore : public store::Store {
 public:
  CommitResult Commit(const std::vector<const core::Record*>&) override { return next; }
  absl::Status Load(const std::function<void(const core::Record&)>& sink) override {
    for (const core::Record& record : loaded) sink(record);
    return absl::OkStatus();
  }
  absl::Status Reopen() override { return absl::OkStatus(); }
  const store::Reader& reader() const override { return memory_->reader(); }

  CommitResult next;
  std::vector<core::Record> loaded;

 private:
  const std::unique_ptr<store::Store> memory_ = store::NewMemoryStore();
};

class MeteredStoreTest : public testing::Test {
 protected:
  void Commit(const std::vector<core::Record>& records) {
    std::vector<const core::Record*> pointers;
    for (const core::Record& record : records) pointers.push_back(&record);
    store_.Commit(pointers);
  }
  std::string Text() { return prometheus::TextSerializer().Serialize(registry_.Collect()); }
  static core::Record Created(JobState state) {
    core::JobCreated created;
    created.row.state = state;
    return created;
  }
  static core::Record Changed(JobState before, JobState after) {
    core::JobChanged changed;
    changed.before.state = before;
    changed.after.state = after;
    return changed;
  }
  static core::Record Ended(FailureCause cause) {
    core::AttemptEnded attempt;
    attempt.cause = cause;
    return attempt;
  }

  ToldStore told_;
  prometheus::Registry registry_;
  absl::Duration time_;
  MeteredStore store_{told_, registry_, [this] { return time_ += absl::Milliseconds(3); }};
};

TEST_F(MeteredStoreTest, CountsJobsByState) {
  Commit({Created(JobState::kQueued), Created(JobState::kQueued), Created(JobState::kBlocked)});
  Commit({Changed(JobState::kQueued, JobState::kLeased)});
  EXPECT_THAT(Text(), HasSubstr("retort_jobs{state=\"queued\"} 1"));
  EXPECT_THAT(Text(), HasSubstr("retort_jobs{state=\"leased\"} 1"));
  EXPECT_THAT(Text(), HasSubstr("retort_jobs{state=\"blocked\"} 1"));
}

TEST_F(MeteredStoreTest, WhatWasUndoneIsNotCounted) {
  told_.next = CommitResult::NotDone(absl::ResourceExhaustedError("full"));
  Commit({Created(JobState::kQueued), Ended(FailureCause::kLost)});
  EXPECT_THAT(Text(), HasSubstr("retort_commits_total{outcome=\"not_done\"} 1"));
  EXPECT_THAT(Text(), HasSubstr("retort_jobs{state=\"queued\"} 0"));
  EXPECT_THAT(Text(), HasSubstr("retort_attempts_failed_total{cause=\"lost\"} 0"));
  EXPECT_THAT(Text(), HasSubstr("retort_commit_seconds_count 0"));
}

TEST_F(MeteredStoreTest, LoadingAgainCountsWhatIsThereAnew) {
  Commit({Created(JobState::kQueued), Created(JobState::kQueued)});
  told_.loaded = {Created(JobState::kSucceeded)};
  int seen = 0;
  ASSERT_TRUE(store_.Load([&seen](const core::Record&) { ++seen; }).ok());
  EXPECT_EQ(seen, 1);
  EXPECT_THAT(Text(), HasSubstr("retort_jobs{state=\"queued\"} 0"));
  EXPECT_THAT(Text(), HasSubstr("retort_jobs{state=\"succeeded\"} 1"));
}

TEST_F(MeteredStoreTest, CountsEndsByCausePointsResultsAndTime) {
  auto batch = std::make_shared<v1::MetricBatch>();
  for (int i = 0; i < 5; ++i) batch->add_points();
  core::PointsAdded points;
  points.batch = batch;
  points.skip = 2;
  Commit({Ended(FailureCause::kLost), Ended(FailureCause::kOutOfMemory), Ended(FailureCause::kNone),
          points, core::ResultAccepted()});
  EXPECT_THAT(Text(), HasSubstr("retort_attempts_failed_total{cause=\"lost\"} 1"));
  EXPECT_THAT(Text(), HasSubstr("retort_attempts_failed_total{cause=\"out_of_memory\"} 1"));
  EXPECT_THAT(Text(), HasSubstr("retort_metric_points_total 3"));
  EXPECT_THAT(Text(), HasSubstr("retort_results_total 1"));
  EXPECT_THAT(Text(), HasSubstr("retort_commit_seconds_sum 0.003"));
  EXPECT_THAT(Text(), HasSubstr("retort_commit_records_sum 5"));
}

}  // namespace
}  // namespace retort
