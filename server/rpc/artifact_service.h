// ArtifactService over an ArtifactStore.
#ifndef RETORT_SERVER_RPC_ARTIFACT_SERVICE_H_
#define RETORT_SERVER_RPC_ARTIFACT_SERVICE_H_

#include <functional>
#include <utility>

#include "retort/v1/artifact_service.grpc.pb.h"
#include "server/artifacts/artifact_store.h"
#include "server/rpc/thread_pool.h"

namespace retort {

// Threads: any. Files are touched on the pool only.
class ArtifactService final : public v1::ArtifactService::CallbackService {
 public:
  // Told, on the pool, of an artifact that was asked for and is missing or was found damaged.
  using Lost = std::function<void(const ArtifactHash&)>;

  // The store and the pool outlive the service.
  ArtifactService(ArtifactStore& artifacts, ThreadPool& pool, Lost lost)
      : artifacts_(artifacts), pool_(pool), lost_(std::move(lost)) {}

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
  ArtifactStore& artifacts_;
  ThreadPool& pool_;
  const Lost lost_;
};

}  // namespace retort

#endif  // RETORT_SERVER_RPC_ARTIFACT_SERVICE_H_
