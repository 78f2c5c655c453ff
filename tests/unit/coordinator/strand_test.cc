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
    strand_.Run(std::move(items), now_);
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
  // A sweep of one job, which `worker` runs.
  core::AttemptName RunJob(const std::string& worker) {
    auto spec = std::make_shared<v1::SweepSpec>();
    spec->set_name("one");
    auto jobs = std::make_shared<std::vector<core::NewJob>>(1);
    (*jobs)[0].id = JobId(Sha256Of("job"));
    Run({core::BeginSweep{.request_id = "request", .spec = spec, .jobs = 1}});
    Run({core::SweepChunk{.sweep = {1}, .jobs = jobs}});
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

TEST_F(StrandTest, NobodyWaitsForWhatACommitLeavesToTidyUp) {
  bool answered = false;
  int tidied = 0;
  store_.tidy_up = [&] { tidied += answered; };
  strand_.Run({{.token = ++token_, .input = Hello("w1", 0), .done = nullptr},
               {.token = ++token_,
                .done = [&](absl::StatusOr<Answer>) { answered = true; },
                .look = [](const core::State&) {}}},
              now_);
  EXPECT_EQ(tidied, 1);
}

TEST_F(StrandTest, ALeaseThatEndsWhileTheDiskIsFullEndsLater) {
  RunJob("w1");
  store_.full = true;
  for (int i = 0; i < 61; ++i) {  // w1 is gone
    Pass(absl::Seconds(1));
    strand_.Run({}, now_);
  }
  EXPECT_EQ(strand_.state().job({1}).row.state, core::JobState::kRunning) << "not written";
  EXPECT_TRUE(strand_.state().CheckInvariants().ok()) << strand_.state().CheckInvariants();
  store_.full = false;
  for (int i = 0; i < 70; ++i) {
    Pass(absl::Seconds(1));
    strand_.Run({}, now_);
  }
  EXPECT_EQ(strand_.state().job({1}).row.state, core::JobState::kQueued);
}

TEST_F(StrandTest, WhoLooksNeverSeesWhatAFailedCommitTookBack) {
  store_.full = true;
  auto spec = std::make_shared<v1::SweepSpec>();
  spec->set_name("one");
  std::vector<int64_t> seen;
  absl::StatusOr<Answer> answer = absl::UnknownError("none yet");
  strand_.Run({{.token = ++token_,
                .input = core::BeginSweep{.request_id = "request", .spec = spec, .jobs = 1}},
               {.token = ++token_,
                .done = [&](absl::StatusOr<Answer> looked) { answer = std::move(looked); },
                .look = [&](const core::State& state) { seen.push_back(state.sweeps()); }}},
              now_);
  EXPECT_THAT(seen, testing::ElementsAre(1, 0));
  EXPECT_TRUE(answer.ok()) << answer.status();
}

}  // namespace
}  // namespace retort
