#include "server/artifacts/artifact_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr size_t kHashPieceBytes = size_t{1} << 20;

// Size of a regular file, or -1.
int64_t FileSize(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return -1;
  return info.st_size;
}

// A pin that is younger than this is not written again.
constexpr absl::Duration kFreshPin = absl::Minutes(1);

// How long what was found is taken to be there; far below kPinTime. And of how many that is kept.
constexpr absl::Duration kFoundLately = absl::Seconds(10);
constexpr size_t kMostFound = 10'000;

absl::Time TimeOf(const struct stat& info) { return absl::TimeFromTimespec(info.st_mtim); }

// Sets the file's time to now. False: it is not there.
bool Touch(const std::string& path) { return utimensat(AT_FDCWD, path.c_str(), nullptr, 0) == 0; }

// What a file name that is a hash names, with size and time.
absl::StatusOr<ArtifactStore::Stored> StoredAt(const std::filesystem::path& path) {
  ArtifactStore::Stored stored;
  RETORT_ASSIGN_OR_RETURN(stored.hash, ArtifactHash::FromHex(path.filename().string()));
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return ErrnoStatus(errno, path.string(), "cannot be read");
  if (!S_ISREG(info.st_mode)) return absl::NotFoundError(path.string() + ": is no file");
  stored.size_bytes = info.st_size;
  stored.pinned = TimeOf(info);
  return stored;
}

// Adds the artifacts that lie in a folder; none if there is no such folder.
absl::Status ListFolder(const std::string& folder, std::vector<ArtifactStore::Stored>& out) {
  std::error_code error;
  std::filesystem::directory_iterator entries(folder, error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    // Others, and those that went meanwhile, are none of ours.
    if (auto stored = StoredAt(entries->path()); stored.ok()) out.push_back(*std::move(stored));
  }
  if (!error || error == std::errc::no_such_file_or_directory) return absl::OkStatus();
  return ErrnoStatus(error.value(), folder, "cannot be listed");
}

// Reads up to `limit` bytes at `offset`; fewer only at the end of the file.
absl::StatusOr<std::string> ReadAt(int fd, int64_t offset, size_t limit, const std::string& path) {
  std::string bytes(limit, '\0');
  size_t filled = 0;
  while (filled < limit) {
    const ssize_t n =
        pread(fd, bytes.data() + filled, limit - filled, offset + static_cast<int64_t>(filled));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, path, "cannot be read");
    if (n == 0) break;
    filled += static_cast<size_t>(n);
  }
  bytes.resize(filled);
  return bytes;
}

}  // namespace

// ---------------------------------------------------------------------------------------- writing

ArtifactWriter::~ArtifactWriter() {
  fd_.Reset();
  if (!resumable_) unlink(path_.c_str());
  if (resumable_) store_.Release(hash_);
}

absl::Status ArtifactWriter::Start(int64_t offset) {
  fd_ = UniqueFd(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd_.valid()) return ErrnoStatus(errno, path_, "cannot be created");
  if (ftruncate(fd_.get(), offset) != 0) return ErrnoStatus(errno, path_, "cannot be cut to size");
  while (written_ < offset) {
    const size_t piece = std::min<size_t>(kHashPieceBytes, static_cast<size_t>(offset - written_));
    RETORT_ASSIGN_OR_RETURN(const std::string bytes, ReadAt(fd_.get(), written_, piece, path_));
    sha_.Update(bytes);
    written_ += static_cast<int64_t>(bytes.size());
  }
  return absl::OkStatus();
}

absl::Status ArtifactWriter::Append(std::string_view data) {
  if (written_ + static_cast<int64_t>(data.size()) > size_bytes_) {
    Discard();
    return absl::InvalidArgumentError(absl::StrCat(
        "artifact ", hash_.hex(), ": more than the announced ", size_bytes_, " bytes were sent"));
  }
  while (!data.empty()) {
    const ssize_t n = pwrite(fd_.get(), data.data(), data.size(), written_);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, path_, "cannot be written");
    sha_.Update(data.substr(0, static_cast<size_t>(n)));
    written_ += n;
    store_.bytes_in_.fetch_add(n, std::memory_order_relaxed);
    data.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

absl::Status ArtifactWriter::Commit() {
  if (written_ != size_bytes_) {
    return absl::InvalidArgumentError(absl::StrCat("artifact ", hash_.hex(), ": ", written_, " of ",
                                                   size_bytes_,
                                                   " bytes were sent; go on from there"));
  }
  const ArtifactHash found(sha_.Finish());
  if (found != hash_) {
    Discard();
    return absl::InvalidArgumentError(absl::StrCat("artifact ", hash_.hex(),
                                                   ": the bytes sent have the SHA-256 ",
                                                   found.hex(), "; they were discarded"));
  }
  if (fchmod(fd_.get(), 0444) != 0) return ErrnoStatus(errno, path_, "cannot be given its mode");
  if (fsync(fd_.get()) != 0) {
    // The system may have dropped what it could not write, and would report the next flush as done.
    const absl::Status status = ErrnoStatus(errno, path_, "cannot be flushed");
    Discard();
    return status;
  }
  return store_.Publish(hash_, path_);
}

void ArtifactWriter::Discard() { unlink(path_.c_str()); }

// ---------------------------------------------------------------------------------------- reading

absl::StatusOr<std::string> ArtifactReader::Read(size_t limit) {
  limit = std::min<size_t>(limit, static_cast<size_t>(size_bytes_ - offset_));
  RETORT_ASSIGN_OR_RETURN(std::string bytes, ReadAt(fd_.get(), offset_, limit, path_));
  if (bytes.size() < limit) {
    return absl::DataLossError(absl::StrCat(path_, ": is cut short at byte ",
                                            offset_ + static_cast<int64_t>(bytes.size())));
  }
  offset_ += static_cast<int64_t>(bytes.size());
  bytes_out_->fetch_add(static_cast<int64_t>(bytes.size()), std::memory_order_relaxed);
  if (!whole_ || checked_) return bytes;
  sha_.Update(bytes);
  if (offset_ < size_bytes_) return bytes;
  checked_ = true;
  const ArtifactHash found(sha_.Finish());
  if (found == hash_) return bytes;
  return absl::DataLossError(
      absl::StrCat(path_, ": is damaged: its content has the SHA-256 ", found.hex()));
}

// ------------------------------------------------------------------------------------------ store

absl::StatusOr<std::unique_ptr<ArtifactStore>> ArtifactStore::Open(const std::string& folder) {
  const std::string partial = folder + "/partial";
  RETORT_RETURN_IF_ERROR(MakeFolders(partial));
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(partial, error)) {
    // Files of uploads that ran beside another one are of no use to anybody else.
    if (entry.path().filename().string().size() != 64) unlink(entry.path().c_str());
  }
  if (error) return ErrnoStatus(error.value(), partial, "cannot be listed");
  return std::unique_ptr<ArtifactStore>(new ArtifactStore(folder));
}

bool ArtifactStore::Has(const ArtifactHash& hash) const {
  const absl::Time now = absl::Now();
  std::lock_guard lock(mutex_);
  const auto found = found_.find(hash);
  if (found != found_.end() && now >= found->second.looked &&
      now - found->second.looked < kFoundLately) {
    found->second.asked = now;
    return true;
  }
  if (PinLocked(hash) < 0) return false;
  if (found_.size() >= kMostFound) found_.clear();
  found_[hash] = {now, now};
  return true;
}

absl::StatusOr<int64_t> ArtifactStore::SizeOf(const ArtifactHash& hash) const {
  int64_t size = FileSize(PathOf(hash));
  if (size < 0 && PutBack(hash)) size = FileSize(PathOf(hash));
  if (size >= 0) return size;
  return absl::NotFoundError(absl::StrCat("artifact ", hash.hex(), " is not held here"));
}

UploadProgress ArtifactStore::Progress(const ArtifactHash& hash) const {
  std::lock_guard lock(mutex_);
  return ProgressLocked(hash);
}

UploadProgress ArtifactStore::ProgressLocked(const ArtifactHash& hash) const {
  if (const int64_t size = PinLocked(hash); size >= 0) return {size, true};
  return {std::max<int64_t>(0, FileSize(PartialOf(hash))), false};
}

int64_t ArtifactStore::PinLocked(const ArtifactHash& hash) const {
  const std::string path = PathOf(hash);
  struct stat info;
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return PutBackLocked(hash) ? FileSize(path) : -1;
  }
  const absl::Duration age = absl::Now() - TimeOf(info);
  if (age > kFreshPin || age < absl::ZeroDuration()) Touch(path);
  return info.st_size;
}

absl::StatusOr<std::unique_ptr<ArtifactWriter>> ArtifactStore::Write(const ArtifactHash& hash,
                                                                     int64_t size_bytes,
                                                                     int64_t offset) {
  if (size_bytes < 0 || size_bytes > kMaxArtifactBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("artifact.size_bytes: ", size_bytes, "; must be 0 to ", kMaxArtifactBytes));
  }
  if (offset < 0 || offset > size_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("offset: ", offset, "; must be 0 to artifact.size_bytes, ", size_bytes));
  }
  bool resumable;
  {
    // Progress is read under the lock: whoever owned the partial file until now has left it as it
    // is.
    std::lock_guard lock(mutex_);
    const UploadProgress held = ProgressLocked(hash);
    if (held.complete) {
      return absl::AlreadyExistsError(absl::StrCat("artifact ", hash.hex(), " is held already"));
    }
    if (offset != 0 && writing_.contains(hash)) {
      return absl::UnavailableError(
          absl::StrCat("artifact ", hash.hex(), " is being uploaded by another caller"));
    }
    if (offset != 0 && offset != held.offset) {
      return absl::FailedPreconditionError(absl::StrCat(
          "offset: ", offset, "; ", held.offset, " bytes are held of artifact ", hash.hex()));
    }
    resumable = writing_.insert(hash).second;
  }
  const std::string path =
      resumable ? PartialOf(hash) : absl::StrCat(PartialOf(hash), ".", NewUuid());
  std::unique_ptr<ArtifactWriter> writer(
      new ArtifactWriter(*this, hash, size_bytes, path, resumable));
  RETORT_RETURN_IF_ERROR(writer->Start(offset));
  return writer;
}

absl::StatusOr<std::unique_ptr<ArtifactReader>> ArtifactStore::Read(const ArtifactHash& hash,
                                                                    int64_t offset) const {
  std::unique_ptr<ArtifactReader> reader(new ArtifactReader());
  reader->hash_ = hash;
  reader->bytes_out_ = &bytes_out_;
  reader->path_ = PathOf(hash);
  reader->fd_ = UniqueFd(open(reader->path_.c_str(), O_RDONLY | O_CLOEXEC));
  if (!reader->fd_.valid() && errno == ENOENT && PutBack(hash)) {
    reader->fd_ = UniqueFd(open(reader->path_.c_str(), O_RDONLY | O_CLOEXEC));
  }
  if (!reader->fd_.valid() && errno == ENOENT) return SizeOf(hash).status();
  if (!reader->fd_.valid()) return ErrnoStatus(errno, reader->path_, "cannot be opened");
  struct stat info;
  if (fstat(reader->fd_.get(), &info) != 0)
    return ErrnoStatus(errno, reader->path_, "cannot be read");
  if (offset < 0 || offset > info.st_size) {
    return absl::InvalidArgumentError(absl::StrCat("offset: ", offset, "; artifact ", hash.hex(),
                                                   " has ", info.st_size, " bytes"));
  }
  reader->size_bytes_ = info.st_size;
  reader->offset_ = offset;
  reader->whole_ = offset == 0;
  return reader;
}

absl::Status ArtifactStore::SetAside(const ArtifactHash& hash) {
  const std::string damaged = folder_ + "/damaged";
  RETORT_RETURN_IF_ERROR(MakeFolders(damaged));
  const std::string path = PathOf(hash);
  std::lock_guard lock(mutex_);
  found_.erase(hash);
  if (rename(path.c_str(), absl::StrCat(damaged, "/", hash.hex()).c_str()) != 0) {
    return ErrnoStatus(errno, path, "cannot be set aside");
  }
  return absl::OkStatus();
}

std::string ArtifactStore::PathOf(const ArtifactHash& hash) const {
  const std::string hex = hash.hex();
  return absl::StrCat(folder_, "/", hex.substr(0, 2), "/", hex);
}

std::string ArtifactStore::PartialOf(const ArtifactHash& hash) const {
  return absl::StrCat(folder_, "/partial/", hash.hex());
}

absl::Status ArtifactStore::Publish(const ArtifactHash& hash, const std::string& from) {
  const std::string path = PathOf(hash);
  const std::string fan_out = std::filesystem::path(path).parent_path().string();
  RETORT_RETURN_IF_ERROR(MakeFolders(fan_out));
  {
    // What was written long ago, and resumed only to be finished, is pinned from now.
    std::lock_guard lock(mutex_);
    Touch(from);
    // Two uploads that end together rename equal bytes over each other.
    if (rename(from.c_str(), path.c_str()) != 0)
      return ErrnoStatus(errno, path, "cannot be renamed into place");
  }
  RETORT_RETURN_IF_ERROR(SyncFolder(fan_out));
  return SyncFolder(folder_);
}

// -------------------------------------------------------------------------------------- collecting

std::string ArtifactStore::TrashOf(const ArtifactHash& hash) const {
  return absl::StrCat(folder_, "/trash/", hash.hex());
}

absl::StatusOr<std::vector<ArtifactStore::Stored>> ArtifactStore::List() const {
  std::vector<Stored> all;
  for (int i = 0; i < 256; ++i) {
    RETORT_RETURN_IF_ERROR(
        ListFolder(absl::StrCat(folder_, "/", absl::Hex(i, absl::kZeroPad2)), all));
  }
  return all;
}

absl::StatusOr<std::vector<ArtifactStore::Stored>> ArtifactStore::ListTrash() const {
  std::vector<Stored> all;
  RETORT_RETURN_IF_ERROR(ListFolder(folder_ + "/trash", all));
  return all;
}

absl::StatusOr<bool> ArtifactStore::MoveToTrash(const ArtifactHash& hash, absl::Time since) {
  RETORT_RETURN_IF_ERROR(MakeFolders(folder_ + "/trash"));
  const std::string path = PathOf(hash);
  const std::string trash = TrashOf(hash);
  std::lock_guard lock(mutex_);
  struct stat info;
  if (stat(path.c_str(), &info) != 0 && errno == ENOENT) return false;
  if (TimeOf(info) >= since) return false;
  found_.erase(hash);
  if (rename(path.c_str(), trash.c_str()) != 0)
    return ErrnoStatus(errno, path, "cannot be moved to the trash");
  Touch(trash);
  return true;
}

bool ArtifactStore::PutBack(const ArtifactHash& hash) const {
  std::lock_guard lock(mutex_);
  return PutBackLocked(hash);
}

bool ArtifactStore::PutBackLocked(const ArtifactHash& hash) const {
  // The time changes first: once it is back it is pinned.
  if (!Touch(TrashOf(hash))) return false;
  return rename(TrashOf(hash).c_str(), PathOf(hash).c_str()) == 0;
}

absl::StatusOr<bool> ArtifactStore::RemoveFromTrash(const ArtifactHash& hash) {
  std::lock_guard lock(mutex_);
  if (unlink(TrashOf(hash).c_str()) == 0) return true;
  if (errno == ENOENT) return false;
  return ErrnoStatus(errno, TrashOf(hash), "cannot be removed");
}

absl::StatusOr<ArtifactStore::Removed> ArtifactStore::RemovePartials(absl::Time before,
                                                                     bool dry_run) {
  std::vector<Stored> all;
  RETORT_RETURN_IF_ERROR(ListFolder(folder_ + "/partial", all));
  Removed removed;
  for (const Stored& stored : all) {
    std::lock_guard lock(mutex_);
    if (stored.pinned >= before || writing_.contains(stored.hash)) continue;
    if (!dry_run && unlink(PartialOf(stored.hash).c_str()) != 0) continue;
    ++removed.files;
    removed.bytes += stored.size_bytes;
  }
  return removed;
}

void ArtifactStore::Release(const ArtifactHash& hash) {
  std::lock_guard lock(mutex_);
  writing_.erase(hash);
}

}  // namespace retort
