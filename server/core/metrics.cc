// Metric points that become durable.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/core/concerns.h"
#include "server/core/draft.h"

namespace retort::core {
namespace {

constexpr int kMostPoints = 4096;
constexpr size_t kLongestSeries = 64;

absl::Status CheckBatch(const v1::MetricBatch& batch) {
  if (batch.points_size() > kMostPoints || batch.first_seq() < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics: ", batch.points_size(), " points from number ", batch.first_seq(),
                     "; must be at most ", kMostPoints, " from 0 or later"));
  }
  for (const auto& point : batch.points()) {
    const std::string& series = point.series();
    const bool plain = std::all_of(series.begin(), series.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
    });
    if (series.empty() || series.size() > kLongestSeries || !plain) {
      return absl::InvalidArgumentError(absl::StrCat(
          "series: '", series.substr(0, 80), "'; must be 1 to 64 characters of [a-z0-9_.]"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Decision> DecideMetrics(const State& state, const Metrics& metrics, const Now& now) {
  const absl::Status checked = CheckBatch(*metrics.batch);
  if (!checked.ok()) return checked;
  Draft draft(state, now);
  MetricReply reply;
  reply.id = metrics.id;
  const JobKey key = state.FindJob(metrics.id.job);
  // The latest attempt counts as long as nobody has taken the job over, so that a late result finds
  // its points.
  const bool current = key && draft.job(key).attempt == metrics.id.attempt &&
                       draft.job(key).state != JobState::kFailed &&
                       draft.job(key).state != JobState::kCancelled &&
                       draft.job(key).state != JobState::kSkipped;
  if (!current) {
    reply.refused = true;
    draft.Say(metrics.token, reply);
    return draft.Finish();
  }
  const int64_t skip = draft.job(key).points - metrics.batch->first_seq();
  const bool news = skip >= 0 && skip < metrics.batch->points_size() &&
                    draft.job(key).state != JobState::kSucceeded;
  if (news) {
    // Points may overtake the Sync that says that training began.
    draft.StartRunning(key);
    draft.EditJob(key).points += metrics.batch->points_size() - skip;
    draft.Write(PointsAdded{key, metrics.batch, static_cast<int32_t>(skip)});
  }
  reply.durable_seq = draft.job(key).points;
  draft.Say(metrics.token, reply);
  return draft.Finish();
}

}  // namespace retort::core
