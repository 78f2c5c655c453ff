// The strand at times that the test sets.
#include "server/strand.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/hash.h"
#include "tests/unit/coordinator/full_store.h"

namespace retort {
namespace {

class StrandTest : public testing::Test {
 protected:
  StrandTest() {
    EXPECT_TRUE(strand_.Load(now_).ok());
    strand_.Serve(now_);
  }

  void Pass(absl::Duration time) {
    now_.monotonic += time;
    now_.wall += time;
  }
  // Carries these out as one batch. Answers by order; null where a Sync is held back.
  std::vector<std::optional<absl::StatusOr<Answer>>> Run(const std::vector<core::Input>& inputs) {
    auto answers =
        std::make_shared<std::vector<std::optional<absl::StatusOr<Answer>>>>(inputs.size());
    std::vector<Strand::Item> items;
    for (size_t i = 0; i < inputs.size(); ++i) {
      Strand::Item item{.token = ++token_, .input = inputs[i]};
      std::visit(
          [&](auto& input) {
            if constexpr (requires { input.token; }) input.token = token_;
          },
          item.input);
      item.done = [answers, i](absl::StatusOr<Answer> answer) { (*answers)[i] = answer; };
      items.push_back(std::move(item));
    }
    RunBatch(strand_, store_, std::move(items), now_);
    return *answers;
  }
  core::Sync Hello(const std::string& worker, int wanted) {
    core::Sync sync;
    sync.worker = worker;
    sync.incarnation = 1;
    sync.number = ++number_;
    sync.slots = {{0, "cpu", 0}};
    sync.wanted = wanted;
    return sync;
  }
  static core::BeginSweep OneSweep() {
    auto spec = std::make_shared<v1::SweepSpec>();
    spec->set_name("one");
    return {.request_id = "request", .spec = spec, .jobs = 1};
  }
  static core::SweepChunk OneChunk() {
    auto jobs = std::make_shared<std::vector<core::NewJob>>(1);
    (*jobs)[0].id = JobId(Sha256Of("job"));
    return {.sweep = {1}, .jobs = jobs};
  }
  // A sweep of one job, which `worker` runs.
  core::AttemptName RunJob(const std::string& worker) {
    Run({OneSweep()});
    Run({OneChunk()});
    const auto answer = Run({Hello(worker, 1)})[0];
    const auto grants = std::get<core::SyncReply>(answer->value()).grants;
    EXPECT_EQ(grants.size(), 1u);
    core::Sync live = Hello(worker, 0);
    live.live = {{grants.at(0).id, true, 0}};
    Run({live});
    return grants.at(0).id;
  }

  FullStore store_;
  Now now_{absl::Seconds(1000), absl::FromUnixSeconds(1'700'000'000)};
  Strand strand_{store_, {}};
  core::Token token_ = 0;
  int64_t number_ = 0;
};

TEST_F(StrandTest, AStandstillCostsNobodyALeaseWhoseSyncIsStillOnItsWay) {
  RunJob("w1");
  Run({Hello("w2", 0)});
  Pass(absl::Minutes(10));  // suspended; w2's Sync is the first that comes through
  Run({Hello("w2", 0)});
  EXPECT_EQ(strand_.state().job({1}).row.state, core::JobState::kRunning);
  EXPECT_EQ(strand_.state().worker({1}).row.away, false);
  // What the pause does not explain ends the lease all the same.
  for (int i = 0; i < 70; ++i) {
    Pass(absl::Seconds(1));
    Run({});
  }
  EXPECT_EQ(strand_.state().job({1}).row.state, core::JobState::kQueued);
}

TEST_F(StrandTest, ALeaseThatEndsWhileTheDiskIsFullEndsLater) {
  RunJob("w1");
  store_.full = true;
  for (int i = 0; i < 61; ++i) {  // w1 is gone
    Pass(absl::Seconds(1));
    Run({});
  }
  EXPECT_EQ(strand_.state().job({1}).row.state, core::JobState::kRunning) << "not written";
  EXPECT_TRUE(strand_.state().CheckInvariants().ok()) << strand_.state().CheckInvariants();
  store_.full = false;
  for (int i = 0; i < 70; ++i) {
    Pass(absl::Seconds(1));
    Run({});
  }
  EXPECT_EQ(strand_.state().job({1}).row.state, core::JobState::kQueued);
}

TEST_F(StrandTest, WhoLooksNeverSeesWhatAFailedCommitTookBack) {
  store_.full = true;
  std::vector<int64_t> seen;
  absl::StatusOr<Answer> answer = absl::UnknownError("none yet");
  RunBatch(strand_, store_,
           {{.token = ++token_, .input = OneSweep()},
            {.token = ++token_,
             .done = [&](absl::StatusOr<Answer> looked) { answer = std::move(looked); },
             .look = [&](const core::State& state) { seen.push_back(state.sweeps()); }}},
           now_);
  EXPECT_THAT(seen, testing::ElementsAre(1, 0));
  EXPECT_TRUE(answer.ok()) << answer.status();
}

// Two batches, the second decided on while the first is being committed.
class StrandPipelineTest : public StrandTest {
 protected:
  // Takes an input; `answers_` has its answer once there is one.
  void Take(core::Input input) {
    const size_t at = answers_.size();
    answers_.emplace_back();
    std::vector<Strand::Item> items(1);
    items[0] = {.token = ++token_, .input = std::move(input)};
    items[0].done = [this, at](absl::StatusOr<Answer> answer) { answers_[at] = answer; };
    strand_.Take(std::move(items), now_);
    strand_.Publish();
  }
  void EndCommit(const store::CommitResult& result) {
    strand_.EndCommit(result, now_);
    strand_.Publish();
  }
  // A sweep of one job: its head, which is being committed, and its job upon it.
  void TakeTwoBatches() {
    Take(OneSweep());
    records_ = strand_.BeginCommit();
    ASSERT_NE(records_, nullptr);
    Take(OneChunk());
    EXPECT_EQ(strand_.BeginCommit(), nullptr) << "one at a time";
    EXPECT_EQ(strand_.state().jobs(), 1);
    EXPECT_FALSE(answers_[0]);
    EXPECT_FALSE(answers_[1]);
  }

  const Strand::Records* records_ = nullptr;
  std::vector<std::optional<absl::StatusOr<Answer>>> answers_;
};

TEST_F(StrandPipelineTest, EachIsAnsweredAfterItsOwnCommit) {
  TakeTwoBatches();
  EndCommit(store_.Commit(*records_));
  ASSERT_TRUE(answers_[0]);
  EXPECT_TRUE(answers_[0]->ok());
  EXPECT_FALSE(answers_[1]);
  EXPECT_FALSE(strand_.settled());
  records_ = strand_.BeginCommit();
  ASSERT_NE(records_, nullptr);
  EXPECT_FALSE(answers_[1]);
  EndCommit(store_.Commit(*records_));
  ASSERT_TRUE(answers_[1]);
  EXPECT_TRUE(answers_[1]->ok());
  EXPECT_TRUE(strand_.settled());
}

TEST_F(StrandPipelineTest, WhatWritesNothingIsNotAnsweredBeforeWhatItSaw) {
  Take(OneSweep());
  records_ = strand_.BeginCommit();
  int64_t seen = 0;
  bool answered = false;
  strand_.Take({{.token = ++token_,
                 .done = [&](const absl::StatusOr<Answer>&) { answered = true; },
                 .look = [&](const core::State& state) { seen = state.sweeps(); }}},
               now_);
  EXPECT_EQ(seen, 1);
  EXPECT_EQ(strand_.BeginCommit(), nullptr);
  strand_.Publish();
  EXPECT_FALSE(answered);
  EndCommit(store_.Commit(*records_));
  EXPECT_EQ(strand_.BeginCommit(), nullptr) << "nothing to write";
  strand_.Publish();
  EXPECT_TRUE(answered);
}

TEST_F(StrandPipelineTest, AFailedCommitTakesBackWhatWasDecidedUponIt) {
  TakeTwoBatches();
  EndCommit(store::CommitResult::NotDone(absl::ResourceExhaustedError("disk full")));
  for (const auto& answer : answers_) {
    ASSERT_TRUE(answer);
    EXPECT_FALSE(answer->ok());
  }
  EXPECT_EQ(answers_[0]->status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(strand_.state().sweeps(), 0);
  EXPECT_EQ(strand_.state().jobs(), 0);
  EXPECT_EQ(strand_.BeginCommit(), nullptr);
  EXPECT_TRUE(strand_.state().CheckInvariants().ok()) << strand_.state().CheckInvariants();
  // And works on.
  Take(OneSweep());
  EndCommit(store_.Commit(*strand_.BeginCommit()));
  EXPECT_TRUE(answers_[2]->ok());
}

TEST_F(StrandPipelineTest, AfterAFailureOneBatchAtATime) {
  TakeTwoBatches();
  EndCommit(store::CommitResult::NotDone(absl::ResourceExhaustedError("disk full")));
  Take(OneSweep());
  ASSERT_NE(strand_.BeginCommit(), nullptr);
  EXPECT_EQ(strand_.Room(), 0u);
}

TEST_F(StrandPipelineTest, AnUnknownOutcomeEndsBoth) {
  TakeTwoBatches();
  ASSERT_EQ(store_.Commit(*records_).outcome, store::CommitResult::Outcome::kDone);
  EndCommit(store::CommitResult::Unknown(absl::AbortedError("I/O error")));
  for (const auto& answer : answers_) {
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status().code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_FALSE(strand_.serving());
  Pass(absl::Minutes(1));
  ASSERT_TRUE(strand_.Load(now_).ok());
  strand_.Serve(now_);
  EXPECT_EQ(strand_.state().sweeps(), 1) << "the first was written";
  EXPECT_EQ(strand_.state().jobs(), 0) << "the second never";
}

}  // namespace
}  // namespace retort
