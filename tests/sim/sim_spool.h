// The virtual disk under an agent: bounded, and empty after a restart, as worker/agent/disk_spool.h
// leaves it.
#ifndef RETORT_TESTS_SIM_SIM_SPOOL_H_
#define RETORT_TESTS_SIM_SIM_SPOOL_H_

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/agent/ports.h"

namespace retort::sim {

class SimSpool : public Spool {
 public:
  explicit SimSpool(int64_t most_points) : most_points_(most_points) {}

  void SetFull(bool full) { full_ = full; }
  void SetBroken(bool broken) { broken_ = broken; }
  void Clear() { entries_.clear(); }

  absl::StatusOr<std::string> Open(const AttemptKey& key) override {
    if (broken_) return absl::UnavailableError("the spool's disk is full");
    entries_[key] = {};
    return "/spool/" + key.ToString();
  }
  absl::Status Append(const AttemptKey& key, const std::vector<v1::MetricPoint>& points) override {
    const auto entry = entries_.find(key);
    if (entry == entries_.end()) return absl::FailedPreconditionError("no spool");
    const auto count = static_cast<int64_t>(points.size());
    if (full_ || (Waiting() > 0 && Waiting() + count > most_points_)) {
      return absl::ResourceExhaustedError("the spool is full");
    }
    auto& all = entry->second.points;
    all.insert(all.end(), points.begin(), points.end());
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<v1::MetricPoint>> Read(const AttemptKey& key, int64_t first,
                                                    int most) override {
    const auto entry = entries_.find(key);
    if (entry == entries_.end()) return absl::FailedPreconditionError("no spool");
    const auto& all = entry->second.points;
    // In small pieces, so that batches begin and end anywhere.
    const int64_t end =
        std::min<int64_t>(first + std::min(most, 7), static_cast<int64_t>(all.size()));
    if (first < entry->second.trimmed || first >= end) return absl::OutOfRangeError("no point");
    return std::vector<v1::MetricPoint>(all.begin() + first, all.begin() + end);
  }
  void Trim(const AttemptKey& key, int64_t durable) override {
    const auto entry = entries_.find(key);
    if (entry == entries_.end()) return;
    entry->second.trimmed = std::max(entry->second.trimmed, durable);
  }
  absl::StatusOr<int64_t> AppendLog(const AttemptKey& key, std::string_view bytes) override {
    const auto entry = entries_.find(key);
    if (entry == entries_.end()) return absl::FailedPreconditionError("no spool");
    entry->second.log.append(bytes);
    return static_cast<int64_t>(entry->second.log.size());
  }
  absl::StatusOr<std::string> ReadLog(const AttemptKey& key, int64_t offset, int most) override {
    const auto entry = entries_.find(key);
    if (entry == entries_.end()) return absl::FailedPreconditionError("no spool");
    return entry->second.log.substr(static_cast<size_t>(offset), static_cast<size_t>(most));
  }
  absl::Status KeepOutcome(const AttemptKey&, const v1::FinishedAttempt&) override {
    return broken_ ? absl::UnavailableError("the spool's disk is full") : absl::OkStatus();
  }
  void Drop(const AttemptKey& key) override { entries_.erase(key); }

 private:
  struct Entry {
    std::vector<v1::MetricPoint> points;
    int64_t trimmed = 0;
    std::string log;
  };
  int64_t Waiting() const {
    int64_t sum = 0;
    for (const auto& [key, entry] : entries_) {
      sum += static_cast<int64_t>(entry.points.size()) - entry.trimmed;
    }
    return sum;
  }

  const int64_t most_points_;
  std::map<AttemptKey, Entry> entries_;
  bool full_ = false;
  bool broken_ = false;
};

}  // namespace retort::sim

#endif  // RETORT_TESTS_SIM_SIM_SPOOL_H_
