// A store with content that a coordinator wrote, for tests of stores and of what looks after them.
#ifndef RETORT_TESTS_CONTRACT_FILLED_H_
#define RETORT_TESTS_CONTRACT_FILLED_H_

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/hash.h"
#include "server/core/decide.h"
#include "server/core/state.h"
#include "server/store/store.h"

namespace retort::store {

using namespace core;

// A store that a coordinator filled: teacher t and students a, b of sweep s; t succeeded, a runs on
// worker w. The sweep names a dataset artifact, whose bytes are `dataset`; t's weights are
// `weights`.
class Filled {
 public:
  explicit Filled(Store& store) : store_(store) {
    now_.monotonic = absl::Seconds(10);
    now_.wall = absl::FromUnixSeconds(1'700'000'000);
    auto spec = std::make_shared<v1::SweepSpec>();
    spec->set_name("s");
    spec->set_description("kept whole");
    auto& dataset = *spec->add_datasets()->mutable_info();
    dataset.set_sha256(ArtifactHash(Sha256Of("dataset")).hex());
    dataset.set_size_bytes(7);
    Do(BeginSweep{1, "request", spec, 3});
    auto jobs = std::make_shared<std::vector<NewJob>>();
    for (const char* name : {"t", "a", "b"}) {
      NewJob job;
      job.id = JobId(Sha256Of(name));
      job.kind = name[0] == 't' ? JobKind::kTeacher : JobKind::kStudent;
      v1::TrainingSpec training;
      training.set_seed(name[0]);
      job.spec = training.SerializeAsString();
      job.model = "resnet1d-4/4";
      job.method = name[0] == 't' ? "scratch" : "soft";
      job.seed = name[0];
      job.epochs = 10;
      job.expected_cost = 5;
      if (name[0] != 't') job.teacher = JobId(Sha256Of("t"));
      jobs->push_back(job);
    }
    Do(SweepChunk{2, {1}, 0, jobs});
    core::Sync sync;
    sync.worker = "w";
    sync.host = "here";
    sync.incarnation = 1;
    sync.slots = {{0, "cpu", 1 << 30}};
    sync.wanted = 1;
    Do(sync);
    AddPoints("t", 0, 3);
    FinishedReport done;
    done.id = {JobId(Sha256Of("t")), 1};
    auto result = std::make_shared<v1::JobResult>();
    auto& overall = *result->add_evaluations()->mutable_overall();
    overall.set_mae_bpm(4.5);
    overall.set_pearson_r(std::nan(""));
    result->mutable_cost()->set_params(1668);
    done.result = result;
    done.weights_held = true;
    result->set_metric_points(3);
    done.weights = {ArtifactHash(Sha256Of("weights")), 7};
    done.device_s = 3;
    sync.number = 2;
    sync.finished = {done};
    Do(sync);
    sync.number = 3;
    sync.finished.clear();
    Do(sync);
    AddPoints("a", 0, 5);
  }

  void AddPoints(const char* job, int64_t first, int count) {
    auto batch = std::make_shared<v1::MetricBatch>();
    batch->set_first_seq(first);
    for (int i = 0; i < count; ++i) {
      auto* point = batch->add_points();
      point->set_series(i % 2 == 0 ? "train.loss" : "val.mae_bpm");
      point->set_step(first + i);
      point->set_value(i == 4 ? std::nan("") : i);
      point->set_unix_ms(1000 + i);
    }
    Do(Metrics{0, {JobId(Sha256Of(job)), 1}, batch});
  }

  void Do(const Input& input) {
    Carry(Decide(state_, input, now_));
    while (state_.NextWake() <= now_.monotonic) Carry(Decide(state_, Wake{}, now_));
  }
  State& state() { return state_; }
  const Now& now() const { return now_; }

 private:
  void Carry(absl::StatusOr<Decision> decision) {
    ASSERT_TRUE(decision.ok()) << decision.status();
    state_.Apply(*decision);
    std::vector<const Record*> records;
    for (const Record& record : decision->records) records.push_back(&record);
    const CommitResult commit = store_.Commit(records);
    ASSERT_EQ(commit.outcome, CommitResult::Outcome::kDone) << commit.status;
  }

  Store& store_;
  State state_;
  Now now_;
};

}  // namespace retort::store

#endif  // RETORT_TESTS_CONTRACT_FILLED_H_
