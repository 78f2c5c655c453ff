// Moving artifacts: the part of Client that reads and writes files.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "client/sdk/calls.h"
#include "client/sdk/client.h"
#include "common/hash.h"
#include "common/status.h"

namespace retort {
namespace {

using ArtifactStub = v1::ArtifactService::Stub;

constexpr size_t kPart = size_t{1} << 20;

// Sends a file from the offset on. The stream's own status says how it went.
grpc::Status SendFrom(ArtifactStub& stub, const std::string& path, const v1::ArtifactRef& artifact,
                      int64_t offset) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(offset);
  grpc::ClientContext context;
  v1::UploadResponse response;
  const auto writer = stub.Upload(&context, &response);
  v1::UploadRequest part;
  *part.mutable_artifact() = artifact;
  part.set_offset(offset);
  int64_t left = artifact.size_bytes() - offset;
  do {
    part.mutable_data()->resize(std::min<int64_t>(left, kPart));
    file.read(part.mutable_data()->data(), static_cast<std::streamsize>(part.data().size()));
    if (!file) {
      context.TryCancel();
      (void)writer->Finish();
      return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT,
                          path + ": changed while it was read; try again");
    }
    left -= static_cast<int64_t>(part.data().size());
    if (!writer->Write(part)) break;
    part.Clear();
  } while (left > 0);
  writer->WritesDone();
  return writer->Finish();
}

}  // namespace

absl::Status Client::Upload(const std::string& path, const std::string& sha256) {
  v1::MissingRequest missing;
  missing.add_sha256(sha256);
  RETORT_ASSIGN_OR_RETURN(const auto answer,
                          Call(options_, address_, channel_, &ArtifactStub::Missing, missing));
  if (answer.sha256().empty()) return absl::OkStatus();

  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) return absl::NotFoundError(absl::StrCat(path, ": ", error.message()));
  v1::ArtifactRef artifact;
  artifact.set_sha256(sha256);
  artifact.set_size_bytes(static_cast<int64_t>(size));
  v1::UploadStatusRequest ask;
  ask.set_sha256(sha256);
  return Annotate(
      Repeat(options_, address_, channel_,
             [&]() -> grpc::Status {
               grpc::ClientContext context;
               v1::UploadStatusResponse so_far;
               context.set_deadline(absl::ToChronoTime(absl::Now() + options_.deadline));
               const auto asked = artifacts()->UploadStatus(&context, ask, &so_far);
               if (!asked.ok() || so_far.complete()) return asked;
               return SendFrom(*artifacts(), path, artifact,
                               std::min(so_far.offset(), artifact.size_bytes()));
             }),
      "upload of " + path);
}

absl::Status Client::Download(const std::string& sha256, const std::string& path) {
  const std::string part_path = path + ".part";
  std::ofstream file(part_path, std::ios::binary | std::ios::trunc);
  if (!file) return absl::PermissionDeniedError(path + ": cannot be written");
  Sha256 hash;
  v1::DownloadRequest request;
  request.set_sha256(sha256);
  absl::Status status = Repeat(options_, address_, channel_, [&]() -> grpc::Status {
    grpc::ClientContext context;
    const auto reader = artifacts()->Download(&context, request);
    v1::DownloadResponse part;
    while (reader->Read(&part)) {
      hash.Update(part.data());
      file.write(part.data().data(), static_cast<std::streamsize>(part.data().size()));
      request.set_offset(request.offset() + static_cast<int64_t>(part.data().size()));
    }
    return reader->Finish();
  });
  file.close();
  if (status.ok() && !file) status = absl::ResourceExhaustedError(path + ": cannot be written");
  if (status.ok() && ArtifactHash(hash.Finish()).hex() != sha256) {
    status =
        absl::DataLossError(absl::StrCat("artifact ", sha256, ": its bytes have another hash"));
  }
  if (status.ok() && std::rename(part_path.c_str(), path.c_str()) != 0) {
    status = absl::PermissionDeniedError(path + ": cannot be written");
  }
  if (!status.ok()) (void)std::remove(part_path.c_str());
  return status;
}

}  // namespace retort
