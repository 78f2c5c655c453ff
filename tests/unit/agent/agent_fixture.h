// An agent over fakes, driven by hand.
#ifndef RETORT_TESTS_UNIT_AGENT_AGENT_FIXTURE_H_
#define RETORT_TESTS_UNIT_AGENT_AGENT_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/testing/agent_fakes.h"
#include "worker/agent/agent.h"

namespace retort {

inline const std::string kJob(64, 'a');
inline const std::string kOtherJob(64, 'b');
inline const std::string kDataset(64, 'd');
inline const std::string kTeacher(64, 'e');

class AgentTest : public ::testing::Test {
 protected:
  AgentTest() { Restart(2); }

  void Restart(int slots) {
    AgentOptions options;
    options.worker = "w1";
    options.incarnation = 7;
    options.version = "test";
    for (int i = 0; i < slots; ++i) {
      v1::Slot slot;
      slot.set_index(i);
      options.slots.push_back(slot);
    }
    options.seed = 1;
    agent_ = std::make_unique<Agent>(options, client_, runners_, artifacts_, spool_);
  }

  Now now() const { return {absl::Seconds(1000) + time_, absl::UnixEpoch() + time_}; }
  void Tick() { agent_->Tick(now()); }
  void Pass(absl::Duration by) {
    time_ += by;
    Tick();
  }
  const v1::SyncRequest& last() const { return client_.syncs.back(); }

  // Answers the latest Sync.
  void Answer(v1::SyncResponse response = {}) {
    response.set_number(last().number());
    if (!response.has_lease()) response.mutable_lease()->set_seconds(40);
    response.mutable_next_sync()->set_seconds(10);
    agent_->OnSync(last().number(), response, now());
    Tick();
  }
  void AnswerError(absl::Status status) {
    agent_->OnSync(last().number(), status, now());
    Tick();
  }
  static v1::Lease MakeLease(const std::string& job = kJob, int attempt = 1) {
    v1::Lease lease;
    *lease.mutable_id() = IdOf({job, attempt});
    lease.add_inputs()->set_sha256(kDataset);
    lease.add_inputs()->set_sha256(kTeacher);
    lease.set_teacher_weights_sha256(kTeacher);
    return lease;
  }
  void Grant(const v1::Lease& lease = MakeLease()) {
    v1::SyncResponse response;
    *response.add_leases() = lease;
    Answer(response);
  }
  void GiveInputs(const AttemptKey& key = {kJob, 1}) {
    agent_->OnInputs(key, InputPaths{{kDataset, "/d"}, {kTeacher, "/t"}}, now());
    Tick();
  }
  void Event(const v1::RunnerEvent& event, int slot = 0) {
    agent_->OnRunnerEvent(slot, event, now());
    Tick();
  }
  void Started(int slot = 0) {
    v1::RunnerEvent event;
    event.mutable_started();
    Event(event, slot);
  }
  void Progress(int points, int epochs_done, int slot = 0) {
    v1::RunnerEvent event;
    event.mutable_progress()->set_epochs_done(epochs_done);
    for (int i = 0; i < points; ++i) {
      v1::MetricPoint* point = event.mutable_progress()->add_points();
      point->set_series("train.loss");
      point->set_step(epochs_done);
      point->set_value(i);
    }
    Event(event, slot);
  }
  void Finished(int slot = 0) {
    v1::RunnerEvent event;
    event.mutable_finished()->mutable_result()->set_epochs(3);
    event.mutable_finished()->set_weights_path("/attempt/weights");
    Event(event, slot);
  }
  void Failed(v1::FailureCause cause, int slot = 0) {
    v1::RunnerEvent event;
    event.mutable_failed()->set_cause(cause);
    Event(event, slot);
  }
  void Published(const AttemptKey& key = {kJob, 1}, int64_t size_bytes = 100) {
    v1::ArtifactRef weights;
    weights.set_sha256(std::string(64, 'f'));
    weights.set_size_bytes(size_bytes);
    agent_->OnPublished(key, weights, now());
    Tick();
  }
  void Checkpoint(int epochs_done, int slot = 0) {
    v1::RunnerEvent event;
    event.mutable_checkpoint()->set_path("/attempt/checkpoint-" + std::to_string(epochs_done));
    event.mutable_checkpoint()->set_epochs_done(epochs_done);
    event.mutable_checkpoint()->set_steps_done(10 * epochs_done);
    Event(event, slot);
  }
  void CheckpointPublished(const absl::Status& status = absl::OkStatus()) {
    v1::ArtifactRef file;
    file.set_sha256(std::string(64, 'c'));
    file.set_size_bytes(50);
    absl::StatusOr<v1::ArtifactRef> answer = file;
    if (!status.ok()) answer = status;
    agent_->OnCheckpointPublished({kJob, 1}, answer, now());
    Tick();
  }
  void Ack(int64_t durable, const AttemptKey& key = {kJob, 1}) {
    v1::MetricAck ack;
    *ack.mutable_id() = IdOf(key);
    ack.set_durable_seq(durable);
    agent_->OnMetricAck(ack, now());
    Tick();
  }
  // An attempt that runs on slot 0.
  void RunOne() {
    Tick();
    Grant();
    GiveInputs();
    Started();
  }

  FakeCoordinatorClient client_;
  FakeRunnerPool runners_;
  FakeArtifacts artifacts_;
  FakeSpool spool_;
  absl::Duration time_;
  std::unique_ptr<Agent> agent_;
};

}  // namespace retort

#endif  // RETORT_TESTS_UNIT_AGENT_AGENT_FIXTURE_H_
