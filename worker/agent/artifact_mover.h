// Fetches and publishes artifacts on threads of its own, through the cache.
#ifndef RETORT_WORKER_AGENT_ARTIFACT_MOVER_H_
#define RETORT_WORKER_AGENT_ARTIFACT_MOVER_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "worker/agent/artifact_cache.h"
#include "worker/agent/artifact_remote.h"
#include "worker/agent/ports.h"

namespace retort {

// Threads: one calls it; the answers come on its own threads.
class ArtifactMover : public Artifacts {
 public:
  struct Answers {
    std::function<void(const AttemptKey&, absl::StatusOr<InputPaths>)> inputs;
    std::function<void(const AttemptKey&, absl::StatusOr<v1::ArtifactRef>)> published;
    std::function<void(const AttemptKey&, absl::StatusOr<v1::ArtifactRef>)> checkpoint;
  };

  // Does not own the cache and the remote.
  ArtifactMover(ArtifactCache& cache, ArtifactRemote& remote, int threads, Answers answers);
  // Waits for what is under way; end the remote's calls before.
  ~ArtifactMover() override;

  void Fetch(const AttemptKey& key, const std::vector<v1::ArtifactRef>& inputs) override;
  void Publish(const AttemptKey& key, const std::string& path) override;
  void PublishCheckpoint(const AttemptKey& key, const std::string& path) override;
  void PublishHeld(const AttemptKey& key, const v1::ArtifactRef& artifact) override;
  void Release(const AttemptKey& key) override;
  std::vector<std::string> Held(int most) const override;

 private:
  void Work();
  void Post(std::function<void()> task);
  absl::StatusOr<InputPaths> FetchAll(const AttemptKey& key,
                                      const std::vector<v1::ArtifactRef>& inputs);
  absl::StatusOr<std::string> FetchOne(const v1::ArtifactRef& input);
  absl::Status Download(const ArtifactHash& hash, const v1::ArtifactRef& input);
  absl::StatusOr<v1::ArtifactRef> PublishOne(const std::string& path);
  absl::StatusOr<v1::ArtifactRef> PublishOneHeld(const v1::ArtifactRef& artifact);

  ArtifactCache& cache_;
  ArtifactRemote& remote_;
  const Answers answers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::deque<std::function<void()>> tasks_;
  bool stop_ = false;
  std::set<ArtifactHash> downloading_;                    // by one thread each
  std::map<AttemptKey, std::vector<ArtifactHash>> kept_;  // an entry for each wanted attempt

  std::vector<std::thread> threads_;
};

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_ARTIFACT_MOVER_H_
