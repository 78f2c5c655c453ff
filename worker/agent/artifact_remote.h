// The coordinator's ArtifactService as blocking calls on files.
#ifndef RETORT_WORKER_AGENT_ARTIFACT_REMOTE_H_
#define RETORT_WORKER_AGENT_ARTIFACT_REMOTE_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "retort/v1/artifact_service.grpc.pb.h"
#include "worker/agent/channel_source.h"

namespace retort {

// Threads: any.
class ArtifactRemote {
 public:
  virtual ~ArtifactRemote() = default;
  // Appends to the file what it lacks of the artifact. After an error the file holds what has come,
  // and a further call goes on from there. NOT_FOUND, DATA_LOSS: the coordinator's; other errors
  // may pass.
  virtual absl::Status Download(const v1::ArtifactRef& artifact, const std::string& path) = 0;
  // Returns when the coordinator has all of it. Goes on where a broken upload ended.
  virtual absl::Status Upload(const v1::ArtifactRef& artifact, const std::string& path) = 0;
};

class GrpcArtifactRemote : public ArtifactRemote {
 public:
  explicit GrpcArtifactRemote(ChannelSource channel);

  absl::Status Download(const v1::ArtifactRef& artifact, const std::string& path) override;
  absl::Status Upload(const v1::ArtifactRef& artifact, const std::string& path) override;
  // Ends the calls that are under way and all later ones.
  void Shutdown();

  // Bytes that came and went so far.
  int64_t bytes_in() const { return bytes_in_.load(std::memory_order_relaxed); }
  int64_t bytes_out() const { return bytes_out_.load(std::memory_order_relaxed); }

 private:
  class Call;

  std::unique_ptr<v1::ArtifactService::Stub> NewStub() const;

  const ChannelSource channel_;
  std::atomic<int64_t> bytes_in_{0};
  std::atomic<int64_t> bytes_out_{0};
  std::mutex mutex_;
  // Guarded by mutex_.
  std::set<grpc::ClientContext*> calls_;
  bool shutdown_ = false;
};

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_ARTIFACT_REMOTE_H_
