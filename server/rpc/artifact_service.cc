#include "server/rpc/artifact_service.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "server/rpc/rpc_status.h"
#include "server/rpc/unary.h"

namespace retort {
namespace {

constexpr int kMaxHashes = 10'000;
constexpr size_t kMaxUploadPieceBytes = size_t{1} << 20;
constexpr size_t kDownloadPieceBytes = size_t{256} << 10;

absl::StatusOr<ArtifactHash> ParseHash(const std::string& hex, const std::string& field) {
  auto hash = ArtifactHash::FromHex(hex);
  if (hash.ok()) return hash;
  return Annotate(hash.status(), field);
}

// One upload. One read is in flight, or one piece of work on the pool, never both: nothing needs a
// lock.
class UploadReactor final : public grpc::ServerReadReactor<v1::UploadRequest> {
 public:
  UploadReactor(ArtifactStore& artifacts, ThreadPool& pool, v1::UploadResponse* response)
      : artifacts_(artifacts), pool_(pool), response_(response) {
    StartRead(&message_);
  }

  void OnReadDone(bool ok) override {
    pool_.Post([this, ok] { ok ? Take() : End(); });
  }
  void OnCancel() override {}  // the read in flight fails
  void OnDone() override { delete this; }

 private:
  void Take() {
    if (const absl::Status status = TakePiece(); !status.ok()) {
      writer_.reset();
      // Nothing is left to do for what is held already.
      Finish(ToGrpc(absl::IsAlreadyExists(status) ? absl::OkStatus() : status));
      return;
    }
    StartRead(&message_);
  }

  absl::Status TakePiece() {
    if (message_.data().size() > kMaxUploadPieceBytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          "data: ", message_.data().size(), " bytes; must be at most ", kMaxUploadPieceBytes));
    }
    if (writer_ == nullptr) {
      RETORT_ASSIGN_OR_RETURN(const ArtifactHash hash,
                              ParseHash(message_.artifact().sha256(), "artifact.sha256"));
      *response_->mutable_artifact() = message_.artifact();
      RETORT_ASSIGN_OR_RETURN(
          writer_, artifacts_.Write(hash, message_.artifact().size_bytes(), message_.offset()));
    }
    return writer_->Append(message_.data());
  }

  // The caller has sent everything, or is gone: then its bytes stay for it to go on from.
  void End() {
    absl::Status status =
        absl::InvalidArgumentError("artifact: was not sent; the first message must name it");
    if (writer_ != nullptr) status = writer_->Commit();
    writer_.reset();
    Finish(ToGrpc(status));
  }

  ArtifactStore& artifacts_;
  ThreadPool& pool_;
  v1::UploadResponse* const response_;
  v1::UploadRequest message_;
  std::unique_ptr<ArtifactWriter> writer_;
};

// One download: read a piece on the pool, write it, again.
class DownloadReactor final : public grpc::ServerWriteReactor<v1::DownloadResponse> {
 public:
  DownloadReactor(ArtifactStore& artifacts, ThreadPool& pool, const ArtifactService::Lost& lost,
                  const v1::DownloadRequest& request)
      : artifacts_(artifacts), pool_(pool), lost_(lost), request_(request) {
    pool_.Post([this] { Start(); });
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    pool_.Post([this] { Next(); });
  }
  void OnDone() override { delete this; }

 private:
  void Start() {
    const absl::Status status = Open();
    if (!status.ok()) return Finish(ToGrpc(status));
    message_.set_size_bytes(reader_->size_bytes());
    Next();
  }

  absl::Status Open() {
    RETORT_ASSIGN_OR_RETURN(hash_, ParseHash(request_.sha256(), "sha256"));
    auto reader = artifacts_.Read(hash_, request_.offset());
    if (absl::IsNotFound(reader.status())) lost_(hash_);
    RETORT_ASSIGN_OR_RETURN(reader_, std::move(reader));
    return absl::OkStatus();
  }

  void Next() {
    auto bytes = reader_->Read(kDownloadPieceBytes);
    if (absl::IsDataLoss(bytes.status())) {
      if (artifacts_.SetAside(hash_).ok()) lost_(hash_);
    }
    if (!bytes.ok()) return Finish(ToGrpc(bytes.status()));
    const bool first = !started_;
    if (bytes->empty() && !first) return Finish(grpc::Status::OK);
    if (!first) message_.clear_size_bytes();
    started_ = true;
    message_.set_data(*std::move(bytes));
    StartWrite(&message_);
  }

  ArtifactStore& artifacts_;
  ThreadPool& pool_;
  const ArtifactService::Lost& lost_;
  const v1::DownloadRequest request_;
  ArtifactHash hash_;
  std::unique_ptr<ArtifactReader> reader_;
  v1::DownloadResponse message_;
  bool started_ = false;
};

}  // namespace

grpc::ServerUnaryReactor* ArtifactService::Missing(grpc::CallbackServerContext* context,
                                                   const v1::MissingRequest* request,
                                                   v1::MissingResponse* response) {
  return AnswerOn(context, pool_, [this, request, response]() -> absl::Status {
    if (request->sha256_size() > kMaxHashes) {
      return absl::InvalidArgumentError(absl::StrCat("sha256: ", request->sha256_size(),
                                                     " hashes; must be at most ", kMaxHashes));
    }
    for (int i = 0; i < request->sha256_size(); ++i) {
      RETORT_ASSIGN_OR_RETURN(const ArtifactHash hash,
                              ParseHash(request->sha256(i), absl::StrCat("sha256[", i, "]")));
      if (!artifacts_.Has(hash)) response->add_sha256(hash.hex());
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* ArtifactService::UploadStatus(grpc::CallbackServerContext* context,
                                                        const v1::UploadStatusRequest* request,
                                                        v1::UploadStatusResponse* response) {
  return AnswerOn(context, pool_, [this, request, response]() -> absl::Status {
    RETORT_ASSIGN_OR_RETURN(const ArtifactHash hash, ParseHash(request->sha256(), "sha256"));
    const UploadProgress progress = artifacts_.Progress(hash);
    response->set_offset(progress.offset);
    response->set_complete(progress.complete);
    return absl::OkStatus();
  });
}

grpc::ServerReadReactor<v1::UploadRequest>* ArtifactService::Upload(grpc::CallbackServerContext*,
                                                                    v1::UploadResponse* response) {
  return new UploadReactor(artifacts_, pool_, response);
}

grpc::ServerWriteReactor<v1::DownloadResponse>* ArtifactService::Download(
    grpc::CallbackServerContext*, const v1::DownloadRequest* request) {
  return new DownloadReactor(artifacts_, pool_, lost_, *request);
}

}  // namespace retort
