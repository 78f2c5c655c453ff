#include "worker/agent/artifact_remote.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"
#include "worker/agent/grpc_status.h"

namespace retort {
namespace {

constexpr size_t kChunkBytes = 1 << 20;
constexpr auto kShortCall = std::chrono::seconds(20);
// A transfer that takes longer is cut and goes on from where it was.
constexpr auto kLongCall = std::chrono::minutes(10);

absl::Status AppendAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, path, "cannot be written");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

}  // namespace

// One call: has a deadline, and ends with Shutdown.
class GrpcArtifactRemote::Call {
 public:
  template <typename Duration>
  Call(GrpcArtifactRemote& remote, Duration limit) : remote_(remote) {
    context_.set_deadline(std::chrono::system_clock::now() + limit);
    std::lock_guard lock(remote_.mutex_);
    remote_.calls_.insert(&context_);
    if (remote_.shutdown_) context_.TryCancel();
  }
  ~Call() {
    std::lock_guard lock(remote_.mutex_);
    remote_.calls_.erase(&context_);
  }
  grpc::ClientContext* context() { return &context_; }

 private:
  GrpcArtifactRemote& remote_;
  grpc::ClientContext context_;
};

GrpcArtifactRemote::GrpcArtifactRemote(ChannelSource channel) : channel_(std::move(channel)) {}

std::unique_ptr<v1::ArtifactService::Stub> GrpcArtifactRemote::NewStub() const {
  return v1::ArtifactService::NewStub(channel_());
}

void GrpcArtifactRemote::Shutdown() {
  std::lock_guard lock(mutex_);
  shutdown_ = true;
  for (grpc::ClientContext* context : calls_) context->TryCancel();
}

absl::Status GrpcArtifactRemote::Download(const v1::ArtifactRef& artifact,
                                          const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!fd.valid()) return ErrnoStatus(errno, path, "cannot be opened");
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return ErrnoStatus(errno, path, "cannot be looked at");
  int64_t have = info.st_size;
  if (artifact.size_bytes() > 0 && have > artifact.size_bytes()) {
    if (ftruncate(fd.get(), 0) != 0) return ErrnoStatus(errno, path, "cannot be emptied");
    have = 0;
  }
  if (artifact.size_bytes() > 0 && have == artifact.size_bytes()) return absl::OkStatus();

  Call call(*this, kLongCall);
  v1::DownloadRequest request;
  request.set_sha256(artifact.sha256());
  request.set_offset(have);
  const auto reader = NewStub()->Download(call.context(), request);
  absl::Status written;
  v1::DownloadResponse response;
  while (written.ok() && reader->Read(&response)) {
    written = AppendAll(fd.get(), response.data(), path);
    bytes_in_.fetch_add(static_cast<int64_t>(response.data().size()), std::memory_order_relaxed);
  }
  if (!written.ok()) call.context()->TryCancel();
  const grpc::Status status = reader->Finish();
  if (!written.ok()) return written;
  return Annotate(FromGrpc(status), "download of artifact " + artifact.sha256());
}

absl::Status GrpcArtifactRemote::Upload(const v1::ArtifactRef& artifact, const std::string& path) {
  const std::string what = "upload of artifact " + artifact.sha256();
  v1::UploadStatusResponse so_far;
  {
    Call call(*this, kShortCall);
    v1::UploadStatusRequest request;
    request.set_sha256(artifact.sha256());
    const grpc::Status status = NewStub()->UploadStatus(call.context(), request, &so_far);
    if (!status.ok()) return Annotate(FromGrpc(status), what);
    if (so_far.complete()) return absl::OkStatus();
  }
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, path, "cannot be opened");
  if (lseek(fd.get(), so_far.offset(), SEEK_SET) < 0) {
    return ErrnoStatus(errno, path, "cannot be read");
  }
  Call call(*this, kLongCall);
  v1::UploadResponse response;
  const auto writer = NewStub()->Upload(call.context(), &response);
  v1::UploadRequest request;
  *request.mutable_artifact() = artifact;
  request.set_offset(so_far.offset());
  std::string buffer(kChunkBytes, '\0');
  bool first = true;
  while (true) {
    const ssize_t n = read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const absl::Status status = ErrnoStatus(errno, path, "cannot be read");
      call.context()->TryCancel();
      (void)writer->Finish();
      return status;
    }
    if (n == 0 && !first) break;
    request.set_data(buffer.data(), static_cast<size_t>(n));
    if (!writer->Write(request)) break;  // Finish says why
    bytes_out_.fetch_add(n, std::memory_order_relaxed);
    request.Clear();
    first = false;
  }
  writer->WritesDone();
  return Annotate(FromGrpc(writer->Finish()), what);
}

}  // namespace retort
