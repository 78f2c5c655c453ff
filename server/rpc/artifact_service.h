// ArtifactService over an ArtifactStore.
#ifndef RETORT_SERVER_RPC_ARTIFACT_SERVICE_H_
#define RETORT_SERVER_RPC_ARTIFACT_SERVICE_H_

#include <functional>
#include <utility>

#include "retort/v1/artifact_service.grpc.pb.h"
#include "server/artifacts/artifact_store.h"
#include "server/rpc/gate.h"
#include "server/rpc/lane.h"
#include "server/rpc/limits.h"

namespace retort {

// What the service needs. All outlive it.
struct ArtifactParts {
  ArtifactStore& artifacts;
  Lane& lane;  // files are touched on it only
  Gate& uploads;
  Gate& downloads;
  const RpcLimits& limits;
  // Told, on the lane, of an artifact that was asked for and is missing or was found damaged.
  std::function<void(const ArtifactHash&)> lost;
};

// Threads: any.
class ArtifactService final : public v1::ArtifactService::CallbackService {
 public:
  explicit ArtifactService(ArtifactParts parts) : parts_(std::move(parts)) {}

  grpc::ServerUnaryReactor* Missing(grpc::CallbackServerContext* context,
                                    const v1::MissingRequest* request,
                                    v1::MissingResponse* response) override;
  grpc::ServerUnaryReactor* UploadStatus(grpc::CallbackServerContext* context,
                                         const v1::UploadStatusRequest* request,
                                         v1::UploadStatusResponse* response) override;
  // An artifact that is held already is answered at once: the caller's next write fails, and its
  // Finish is OK.
  grpc::ServerReadReactor<v1::UploadRequest>* Upload(grpc::CallbackServerContext* context,
                                                     v1::UploadResponse* response) override;
  grpc::ServerWriteReactor<v1::DownloadResponse>* Download(
      grpc::CallbackServerContext* context, const v1::DownloadRequest* request) override;

 private:
  const ArtifactParts parts_;
};

}  // namespace retort

#endif  // RETORT_SERVER_RPC_ARTIFACT_SERVICE_H_
