// A lease names the slot that has the memory for it; the agent uses that one or none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/agent_fakes.h"
#include "worker/agent/agent.h"
#include "worker/agent/devices.h"

namespace retort {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class SlotsTest : public ::testing::Test {
 protected:
  SlotsTest() {
    AgentOptions options;
    options.worker = "w1";
    options.incarnation = 7;
    options.slots = ShareSlots({"cpu", "cuda:1"}, 3, {});
    options.seed = 1;
    agent_ = std::make_unique<Agent>(options, client_, runners_, artifacts_, spool_);
    agent_->Tick(now_);
  }
  const v1::SyncRequest& last() const { return client_.syncs.back(); }
  static v1::Lease LeaseOf(char job, int slot) {
    v1::Lease lease;
    lease.mutable_id()->set_job(std::string(64, job));
    lease.mutable_id()->set_attempt(1);
    if (slot >= 0) lease.set_slot(slot);
    return lease;
  }
  void Answer(const std::vector<v1::Lease>& leases, const std::vector<v1::AttemptId>& stop = {}) {
    v1::SyncResponse response;
    response.set_number(last().number());
    response.mutable_lease()->set_seconds(40);
    for (const v1::Lease& lease : leases) *response.add_leases() = lease;
    for (const v1::AttemptId& id : stop) *response.add_stop() = id;
    agent_->OnSync(last().number(), response, now_);
    agent_->Tick(now_);
  }

  Now now_{absl::Seconds(1000), absl::UnixEpoch()};
  FakeCoordinatorClient client_;
  FakeRunnerPool runners_;
  FakeArtifacts artifacts_;
  FakeSpool spool_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(SlotsTest, ARunnerHearsOfTheDeviceOfItsSlot) {
  Answer({LeaseOf('a', 1), LeaseOf('b', 2)});
  for (const char job : {'a', 'b'}) agent_->OnInputs({std::string(64, job), 1}, InputPaths{}, now_);
  ASSERT_THAT(runners_.runs, SizeIs(2));
  EXPECT_EQ(runners_.runs[0].first, 1);
  EXPECT_EQ(runners_.runs[0].second.device(), "cuda:1");
  EXPECT_EQ(runners_.runs[1].first, 2);
  EXPECT_EQ(runners_.runs[1].second.device(), "cpu");
}

TEST_F(SlotsTest, ALeaseTakesTheSlotItNamesAndTheRestIsReportedFree) {
  EXPECT_THAT(last().free_slots(), ElementsAre(0, 1, 2));
  Answer({LeaseOf('a', 2), LeaseOf('b', 0)});
  ASSERT_THAT(last().live(), SizeIs(2));
  EXPECT_EQ(last().live(0).slot(), 2);
  EXPECT_EQ(last().live(1).slot(), 0);
  EXPECT_THAT(last().free_slots(), ElementsAre(1));
  EXPECT_EQ(last().wanted(), 1);
}

TEST_F(SlotsTest, ALeaseForATakenOrUnknownSlotIsNotBegun) {
  Answer({LeaseOf('a', 1)});
  Answer({LeaseOf('b', 1), LeaseOf('c', 9)});
  EXPECT_THAT(last().live(), SizeIs(1));
  EXPECT_EQ(agent_->live(), 1);
}

TEST_F(SlotsTest, ASlotWhoseRunnerIsBeingStoppedIsNotFree) {
  Answer({LeaseOf('a', 1)});
  agent_->OnInputs({std::string(64, 'a'), 1}, InputPaths{}, now_);
  v1::RunnerEvent started;
  started.mutable_started();
  agent_->OnRunnerEvent(1, started, now_);
  agent_->Tick(now_);
  Answer({}, {LeaseOf('a', 1).id()});
  EXPECT_THAT(last().live(), IsEmpty());
  EXPECT_THAT(last().free_slots(), ElementsAre(0, 2));
}

TEST_F(SlotsTest, ALeaseThatNamesNoneTakesAnyFreeSlot) {
  Answer({LeaseOf('a', 0)});
  Answer({LeaseOf('b', -1)});
  ASSERT_THAT(last().live(), SizeIs(2));
  EXPECT_EQ(last().live(1).slot(), 1);
}

}  // namespace
}  // namespace retort
