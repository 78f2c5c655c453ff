#include "tests/sim/training.h"

#include <array>
#include <cstring>

#include "tests/sim/random.h"

namespace retort::sim {

uint64_t NumberOf(const JobId& job) {
  uint64_t number = 0;
  std::memcpy(&number, job.bytes().data(), sizeof number);
  return number;
}

int PointsPerEpoch(uint64_t job) { return 2 + static_cast<int>(job % 2); }

v1::MetricPoint PointAt(uint64_t job, int32_t attempt, int64_t seq) {
  const int per_epoch = PointsPerEpoch(job);
  const int64_t epoch = seq / per_epoch;
  const int64_t place = seq % per_epoch;
  const bool last = place == per_epoch - 1;
  v1::MetricPoint point;
  point.set_series(last ? "val.mae" : place == 0 ? "train.loss" : "train.ce");
  point.set_step(epoch);
  point.set_value(static_cast<double>(Mix(job + static_cast<uint64_t>(seq)) >> 40));
  point.set_unix_ms(attempt);
  return point;
}

std::vector<v1::MetricPoint> PointsOf(uint64_t job, int32_t attempt, int32_t epoch) {
  std::vector<v1::MetricPoint> points;
  const int per_epoch = PointsPerEpoch(job);
  for (int i = 0; i < per_epoch; ++i) {
    points.push_back(PointAt(job, attempt, static_cast<int64_t>(epoch) * per_epoch + i));
  }
  return points;
}

namespace {

ArtifactHash HashFrom(uint64_t word) {
  std::array<uint8_t, 32> bytes{};
  for (size_t i = 0; i < bytes.size(); i += sizeof word) {
    std::memcpy(&bytes[i], &word, sizeof word);
    word = Mix(word + 1);
  }
  return ArtifactHash(bytes);
}

}  // namespace

ArtifactHash CheckpointOf(uint64_t job, int32_t epochs) {
  return HashFrom(Mix(job ^ 0xc4ec) + static_cast<uint64_t>(epochs));
}

ArtifactHash WeightsOf(uint64_t job, int32_t attempt, bool attempts_differ) {
  return HashFrom(Mix(job + (attempts_differ ? static_cast<uint64_t>(attempt) : 0)));
}

v1::JobResult ResultOf(uint64_t job, int32_t attempt, const v1::TrainingSpec& spec) {
  v1::JobResult result;
  for (const v1::DatasetId& dataset : spec.evaluate()) {
    v1::Evaluation* evaluation = result.add_evaluations();
    evaluation->set_dataset_sha256(dataset.sha256());
    evaluation->mutable_overall()->set_mae_bpm(static_cast<double>(Mix(job) >> 50));
  }
  result.set_epochs(spec.train().epochs());
  result.set_kept_epoch(attempt);  // tells whose it is
  return result;
}

}  // namespace retort::sim
