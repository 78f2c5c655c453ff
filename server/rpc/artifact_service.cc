#include "server/rpc/artifact_service.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "server/rpc/rpc_status.h"
#include "server/rpc/stall_guard.h"
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

// One upload. One read is in flight, or one piece of work on the lane, never both: nothing needs a
// lock. A caller that sends nothing for long is gone for us; its bytes stay.
class UploadReactor final : public grpc::ServerReadReactor<v1::UploadRequest> {
 public:
  UploadReactor(grpc::CallbackServerContext* context, const ArtifactParts& parts,
                v1::UploadResponse* response)
      : parts_(parts),
        caller_(CallerOf(*context)),
        response_(response),
        guard_(context, parts.limits.patience) {
    auto ticket = parts_.uploads.Enter(caller_);
    if (!ticket.ok()) {
      Finish(ToGrpc(ticket.status()));
      return;
    }
    ticket_ = *std::move(ticket);
    Read();
  }

  void OnReadDone(bool ok) override {
    guard_.End();
    parts_.lane.Continue(caller_, [this, ok] { ok ? Take() : End(); });
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
    Read();
  }

  void Read() {
    guard_.Begin();
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
          writer_,
          parts_.artifacts.Write(hash, message_.artifact().size_bytes(), message_.offset()));
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

  const ArtifactParts& parts_;
  const std::string caller_;
  v1::UploadResponse* const response_;
  Gate::Ticket ticket_;
  StallGuard guard_;
  v1::UploadRequest message_;
  std::unique_ptr<ArtifactWriter> writer_;
};

// One download: read a piece on the lane, write it, again. A caller that does not read is dropped.
class DownloadReactor final : public grpc::ServerWriteReactor<v1::DownloadResponse> {
 public:
  DownloadReactor(grpc::CallbackServerContext* context, const ArtifactParts& parts,
                  const v1::DownloadRequest& request)
      : parts_(parts),
        caller_(CallerOf(*context)),
        request_(request),
        guard_(context, parts.limits.patience) {
    auto ticket = parts_.downloads.Enter(caller_);
    if (!ticket.ok()) {
      Finish(ToGrpc(ticket.status()));
      return;
    }
    ticket_ = *std::move(ticket);
    parts_.lane.Continue(caller_, [this] { Start(); });
  }

  void OnWriteDone(bool ok) override {
    guard_.End();
    if (!ok) return Finish(grpc::Status::CANCELLED);
    parts_.lane.Continue(caller_, [this] { Next(); });
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
    auto reader = parts_.artifacts.Read(hash_, request_.offset());
    if (absl::IsNotFound(reader.status())) parts_.lost(hash_);
    RETORT_ASSIGN_OR_RETURN(reader_, std::move(reader));
    return absl::OkStatus();
  }

  void Next() {
    auto bytes = reader_->Read(kDownloadPieceBytes);
    if (absl::IsDataLoss(bytes.status())) {
      if (parts_.artifacts.SetAside(hash_).ok()) parts_.lost(hash_);
    }
    if (!bytes.ok()) return Finish(ToGrpc(bytes.status()));
    const bool first = !started_;
    if (bytes->empty() && !first) return Finish(grpc::Status::OK);
    if (!first) message_.clear_size_bytes();
    started_ = true;
    message_.set_data(*std::move(bytes));
    guard_.Begin();
    StartWrite(&message_);
  }

  const ArtifactParts& parts_;
  const std::string caller_;
  const v1::DownloadRequest request_;
  Gate::Ticket ticket_;
  StallGuard guard_;
  ArtifactHash hash_;
  std::unique_ptr<ArtifactReader> reader_;
  v1::DownloadResponse message_;
  bool started_ = false;
};

}  // namespace

grpc::ServerUnaryReactor* ArtifactService::Missing(grpc::CallbackServerContext* context,
                                                   const v1::MissingRequest* request,
                                                   v1::MissingResponse* response) {
  return AnswerOn(
      context, parts_.lane, *request, parts_.limits.change_request_bytes,
      [this, request, response]() -> absl::Status {
        if (request->sha256_size() > kMaxHashes) {
          return absl::InvalidArgumentError(absl::StrCat("sha256: ", request->sha256_size(),
                                                         " hashes; must be at most ", kMaxHashes));
        }
        for (int i = 0; i < request->sha256_size(); ++i) {
          RETORT_ASSIGN_OR_RETURN(const ArtifactHash hash,
                                  ParseHash(request->sha256(i), absl::StrCat("sha256[", i, "]")));
          if (!parts_.artifacts.Has(hash)) response->add_sha256(hash.hex());
        }
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* ArtifactService::UploadStatus(grpc::CallbackServerContext* context,
                                                        const v1::UploadStatusRequest* request,
                                                        v1::UploadStatusResponse* response) {
  return AnswerOn(context, parts_.lane, *request, parts_.limits.change_request_bytes,
                  [this, request, response]() -> absl::Status {
                    RETORT_ASSIGN_OR_RETURN(const ArtifactHash hash,
                                            ParseHash(request->sha256(), "sha256"));
                    const UploadProgress progress = parts_.artifacts.Progress(hash);
                    response->set_offset(progress.offset);
                    response->set_complete(progress.complete);
                    return absl::OkStatus();
                  });
}

grpc::ServerReadReactor<v1::UploadRequest>* ArtifactService::Upload(
    grpc::CallbackServerContext* context, v1::UploadResponse* response) {
  return new UploadReactor(context, parts_, response);
}

grpc::ServerWriteReactor<v1::DownloadResponse>* ArtifactService::Download(
    grpc::CallbackServerContext* context, const v1::DownloadRequest* request) {
  return new DownloadReactor(context, parts_, *request);
}

}  // namespace retort
