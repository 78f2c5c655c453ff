// The agent: checkpoints on their way from runners to the coordinator.
#include <cstdio>
#include <optional>
#include <utility>

#include "common/log.h"
#include "common/status.h"
#include "worker/agent/agent.h"

namespace retort {

void Agent::OnCheckpoint(const AttemptKey& key, Attempt& attempt,
                         const v1::RunnerCheckpoint& written) {
  Checkpoints& checkpoints = attempt.checkpoints;
  if (checkpoints.next) std::remove(checkpoints.next_path.c_str());
  v1::AttemptCheckpoint& next = checkpoints.next.emplace();
  *next.mutable_id() = IdOf(key);
  next.set_epochs_done(written.epochs_done());
  next.set_steps_done(written.steps_done());
  next.set_metric_points(attempt.points.end + static_cast<int64_t>(attempt.held.size()));
  checkpoints.next_path = written.path();
  UploadCheckpoint(key, attempt);
}

void Agent::UploadCheckpoint(const AttemptKey& key, Attempt& attempt) {
  Checkpoints& checkpoints = attempt.checkpoints;
  if (checkpoints.under_way || !checkpoints.next) return;
  checkpoints.under_way = std::exchange(checkpoints.next, std::nullopt);
  artifacts_.PublishCheckpoint(key, checkpoints.next_path);
}

// One that cannot be published is given up: the next will do.
void Agent::OnCheckpointPublished(const AttemptKey& key,
                                  const absl::StatusOr<v1::ArtifactRef>& file, Now now) {
  const LogAbout about(SubjectOf(key));
  Attempt* attempt = Find(key);
  if (attempt == nullptr || !attempt->checkpoints.under_way) return;
  Checkpoints& checkpoints = attempt->checkpoints;
  if (file.ok()) {
    *checkpoints.under_way->mutable_file() = *file;
  } else {
    spdlog::warn("attempt {}: a checkpoint cannot be uploaded: {}", key.ToString(),
                 MessageOf(file.status()));
    checkpoints.under_way.reset();
    UploadCheckpoint(key, *attempt);
  }
  PublishCheckpointIfReady(key, *attempt);
  SettleIfReady(key, *attempt, now);
}

void Agent::PublishCheckpointIfReady(const AttemptKey& key, Attempt& attempt) {
  Checkpoints& checkpoints = attempt.checkpoints;
  if (!checkpoints.under_way || !checkpoints.under_way->has_file()) return;
  if (attempt.points.acked < checkpoints.under_way->metric_points()) return;
  checkpoints.published = std::exchange(checkpoints.under_way, std::nullopt);
  news_ = true;
  UploadCheckpoint(key, attempt);
}

}  // namespace retort
