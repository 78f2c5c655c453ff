// Fakes of what the agent asks of the world: they record, and answer nothing by themselves.
#ifndef RETORT_TESTS_TESTING_AGENT_FAKES_H_
#define RETORT_TESTS_TESTING_AGENT_FAKES_H_

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "worker/agent/ports.h"

namespace retort {

struct FakeCoordinatorClient : CoordinatorClient {
  std::vector<v1::SyncRequest> syncs;
  std::vector<v1::MetricBatch> batches;
  std::vector<v1::LogChunk> chunks;

  void Sync(const v1::SyncRequest& request, absl::Duration) override { syncs.push_back(request); }
  void SendMetrics(const v1::MetricBatch& batch) override { batches.push_back(batch); }
  void SendLog(const v1::LogChunk& chunk) override { chunks.push_back(chunk); }
};

struct FakeRunnerPool : RunnerPool {
  std::vector<std::pair<int, v1::RunJob>> runs;
  std::vector<int> stops;
  std::vector<int> kills;
  std::map<int, bool> reading;

  void Run(int slot, const v1::RunJob& job) override { runs.emplace_back(slot, job); }
  void Stop(int slot) override { stops.push_back(slot); }
  void Kill(int slot) override { kills.push_back(slot); }
  void SetReading(int slot, bool on) override { reading[slot] = on; }
};

struct FakeArtifacts : Artifacts {
  std::vector<AttemptKey> fetches;
  std::vector<std::pair<AttemptKey, std::string>> publishes;
  std::vector<std::pair<AttemptKey, std::string>> publishes_held;  // hashes
  std::vector<std::pair<AttemptKey, std::string>> checkpoints;
  std::vector<AttemptKey> releases;

  void Fetch(const AttemptKey& key, const std::vector<v1::ArtifactRef>&) override {
    fetches.push_back(key);
  }
  void Publish(const AttemptKey& key, const std::string& path) override {
    publishes.emplace_back(key, path);
  }
  void PublishCheckpoint(const AttemptKey& key, const std::string& path) override {
    checkpoints.emplace_back(key, path);
  }
  void PublishHeld(const AttemptKey& key, const v1::ArtifactRef& artifact) override {
    publishes_held.emplace_back(key, artifact.sha256());
  }
  void Release(const AttemptKey& key) override { releases.push_back(key); }
  std::vector<std::string> Held(int) const override { return {"held"}; }
};

// Keeps everything in memory; `room` points fit.
struct FakeSpool : Spool {
  struct Entry {
    std::vector<v1::MetricPoint> points;
    int64_t trimmed = 0;
    std::string log;
    v1::FinishedAttempt outcome;
  };
  std::map<AttemptKey, Entry> entries;
  std::vector<SpooledAttempt> left;  // by an earlier start; their points are put into entries
  std::map<AttemptKey, std::string> results;  // kept: paths of weights
  int64_t room = 1'000'000;
  absl::Status open_status;
  bool has_room = true;

  bool HasRoom() const override { return has_room; }
  std::vector<SpooledAttempt> Recover() override { return std::move(left); }
  absl::Status KeepResult(const AttemptKey& key, const v1::FinishedAttempt&,
                          const std::string& weights_path) override {
    results[key] = weights_path;
    return absl::OkStatus();
  }

  int64_t waiting() const {
    int64_t sum = 0;
    for (const auto& [key, entry] : entries) {
      sum += static_cast<int64_t>(entry.points.size()) - entry.trimmed;
    }
    return sum;
  }
  absl::StatusOr<std::string> Open(const AttemptKey& key) override {
    if (!open_status.ok()) return open_status;
    entries[key] = {};
    return "/work/" + key.ToString();
  }
  absl::Status Append(const AttemptKey& key, const std::vector<v1::MetricPoint>& points) override {
    if (waiting() > 0 && waiting() + static_cast<int64_t>(points.size()) > room) {
      return absl::ResourceExhaustedError("full");
    }
    auto& all = entries.at(key).points;
    all.insert(all.end(), points.begin(), points.end());
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<v1::MetricPoint>> Read(const AttemptKey& key, int64_t first,
                                                    int most) override {
    const auto& all = entries.at(key).points;
    const int64_t end = std::min<int64_t>(first + most, static_cast<int64_t>(all.size()));
    return std::vector<v1::MetricPoint>(all.begin() + first, all.begin() + end);
  }
  void Trim(const AttemptKey& key, int64_t durable) override { entries.at(key).trimmed = durable; }
  absl::StatusOr<int64_t> AppendLog(const AttemptKey& key, std::string_view bytes) override {
    entries.at(key).log += bytes;
    return static_cast<int64_t>(entries.at(key).log.size());
  }
  absl::StatusOr<std::string> ReadLog(const AttemptKey& key, int64_t offset, int most) override {
    return entries.at(key).log.substr(static_cast<size_t>(offset), static_cast<size_t>(most));
  }
  absl::Status KeepOutcome(const AttemptKey& key, const v1::FinishedAttempt& outcome) override {
    if (!entries.contains(key)) return absl::FailedPreconditionError("not open");
    entries.at(key).outcome = outcome;
    return absl::OkStatus();
  }
  void Drop(const AttemptKey& key) override { entries.erase(key); }
};

}  // namespace retort

#endif  // RETORT_TESTS_TESTING_AGENT_FAKES_H_
