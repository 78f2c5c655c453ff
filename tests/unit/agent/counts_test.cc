// What is counted of an agent, and what Prometheus reads of it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/unit/agent/agent_fixture.h"
#include "worker/agent/readings.h"

namespace retort {
namespace {

using CountsTest = AgentTest;

// `name` or `name{label}` -> value.
std::map<std::string, double> Read(const WorkerCounts& counts) {
  std::map<std::string, double> values;
  for (const Reading& reading : ReadingsOf([&] { return counts; })) {
    for (const Reading::Value& value : reading.read()) {
      const std::string label = value.label.empty() ? "" : "{" + value.label_value + "}";
      values[reading.name + label] = value.value;
    }
  }
  return values;
}

TEST_F(CountsTest, FollowAnAttemptFromItsLeaseToItsEnd) {
  Tick();
  EXPECT_EQ(agent_->counts().slots, 2);
  Grant();
  EXPECT_EQ(agent_->counts().fetching, 1);
  EXPECT_EQ(agent_->counts().slots_busy, 1);
  GiveInputs();
  Started();
  Progress(4, 1);
  EXPECT_EQ(agent_->counts().running, 1);
  EXPECT_EQ(agent_->counts().points_spooled, 4);
  EXPECT_EQ(agent_->counts().points_durable, 0);
  Finished();
  EXPECT_EQ(agent_->counts().settling, 1);
  Published();
  Ack(4);
  EXPECT_EQ(agent_->counts().points_durable, 4);
  EXPECT_EQ(agent_->counts().succeeded, 1);
  EXPECT_EQ(agent_->counts().reported, 1);
  EXPECT_EQ(agent_->counts().slots_busy, 0);
}

TEST_F(CountsTest, TellFailuresByCauseAndRunnersThatLeft) {
  RunOne();
  agent_->OnRunnerExit(0, "killed by signal 9", now());
  Tick();
  AnswerError(absl::UnavailableError("away"));
  WorkerCounts counts;
  counts.agent = agent_->counts();
  counts.runner_restarts = 2;
  counts.spool_bytes = 70;
  counts.artifact_bytes_in = 11;
  const auto values = Read(counts);
  EXPECT_EQ(values.at("retort_worker_attempts_ended_total{crashed}"), 1);
  EXPECT_EQ(values.at("retort_worker_attempts_ended_total{numeric}"), 0);
  EXPECT_EQ(values.at("retort_worker_attempts_ended_total{succeeded}"), 0);
  EXPECT_EQ(values.at("retort_worker_runner_exits_total"), 1);
  EXPECT_EQ(values.at("retort_worker_runner_restarts_total"), 2);
  EXPECT_EQ(values.at("retort_worker_syncs_total{failed}"), 1);
  EXPECT_EQ(values.at("retort_worker_syncs_total{answered}"), 1);
  EXPECT_EQ(values.at("retort_worker_slots{free}"), 2);
  EXPECT_EQ(values.at("retort_worker_spool_bytes"), 70);
  EXPECT_EQ(values.at("retort_worker_artifact_bytes_total{in}"), 11);
}

TEST_F(CountsTest, AnAttemptThatNobodyWantsIsNoFailure) {
  RunOne();
  v1::SyncResponse response;
  *response.add_stop() = IdOf({kJob, 1});
  Answer(response);
  EXPECT_EQ(agent_->counts().not_wanted, 1);
  EXPECT_TRUE(agent_->counts().failed.empty());
}

}  // namespace
}  // namespace retort
