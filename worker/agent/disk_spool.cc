#include "worker/agent/disk_spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr char kLogFull[] = "\n[the rest of this log was not kept]\n";

// Writes all bytes at the offset, or cuts the file back to it.
absl::Status WriteAt(int fd, std::string_view bytes, int64_t offset, const std::string& path) {
  int64_t at = offset;
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd, bytes.data(), bytes.size(), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const absl::Status status = ErrnoStatus(errno, path, "cannot be written");
      if (ftruncate(fd, offset) != 0) spdlog::warn("{}: cannot be cut back", path);
      return status;
    }
    bytes.remove_prefix(static_cast<size_t>(n));
    at += n;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadAt(int fd, int64_t offset, int64_t size, const std::string& path) {
  std::string bytes(static_cast<size_t>(size), '\0');
  size_t got = 0;
  while (got < bytes.size()) {
    const ssize_t n =
        pread(fd, bytes.data() + got, bytes.size() - got, offset + static_cast<int64_t>(got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ErrnoStatus(errno, path, "cannot be read");
    if (n == 0) {
      return absl::DataLossError(absl::StrCat(path, ": ends at byte ", offset + got,
                                              "; expected at least ", offset + size));
    }
    got += static_cast<size_t>(n);
  }
  return bytes;
}

absl::StatusOr<UniqueFd> Create(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd.valid()) return ErrnoStatus(errno, path, "cannot be created");
  return fd;
}

}  // namespace

absl::StatusOr<DiskSpool> DiskSpool::Create(const std::string& folder, SpoolLimits limits) {
  RETORT_RETURN_IF_ERROR(MakeFolders(folder));
  std::error_code error;
  int leftovers = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    std::filesystem::remove_all(entry.path(), error);
    if (error) return ErrnoStatus(error.value(), entry.path().string(), "cannot be removed");
    ++leftovers;
  }
  if (error) return ErrnoStatus(error.value(), folder, "cannot be listed");
  if (leftovers > 0) spdlog::info("removed what {} attempts of an earlier start left", leftovers);
  return DiskSpool(folder, limits);
}

absl::StatusOr<DiskSpool::Entry*> DiskSpool::Find(const AttemptKey& key) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat("attempt ", key.ToString(), " has no spool; expected Open before"));
  }
  return &it->second;
}

absl::StatusOr<std::string> DiskSpool::Open(const AttemptKey& key) {
  Drop(key);
  Entry entry;
  entry.folder = absl::StrCat(folder_, "/", key.job, "-", key.attempt);
  const std::string outputs = entry.folder + "/work";
  RETORT_RETURN_IF_ERROR(MakeFolders(outputs));
  RETORT_ASSIGN_OR_RETURN(entry.points, retort::Create(entry.folder + "/points"));
  RETORT_ASSIGN_OR_RETURN(entry.log, retort::Create(entry.folder + "/log"));
  RETORT_RETURN_IF_ERROR(SyncFolder(entry.folder));
  entries_[key] = std::move(entry);
  return outputs;
}

absl::Status DiskSpool::Append(const AttemptKey& key, const std::vector<v1::MetricPoint>& points) {
  if (points.empty()) return absl::OkStatus();
  RETORT_ASSIGN_OR_RETURN(Entry * entry, Find(key));
  v1::MetricBatch batch;
  batch.mutable_points()->Assign(points.begin(), points.end());
  const std::string bytes = batch.SerializeAsString();
  const auto size = static_cast<int64_t>(bytes.size());
  if (points_bytes_ > 0 && points_bytes_ + size > limits_.points_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(folder_, ": ", points_bytes_,
                                                     " bytes of points wait for the coordinator; ",
                                                     "at most ", limits_.points_bytes, " may"));
  }
  const std::string path = entry->folder + "/points";
  RETORT_RETURN_IF_ERROR(WriteAt(entry->points.get(), bytes, entry->points_size, path));
  if (fdatasync(entry->points.get()) != 0) return ErrnoStatus(errno, path, "cannot be flushed");
  const auto count = static_cast<int64_t>(points.size());
  entry->records.push_back({entry->next, count, entry->points_size, size});
  entry->next += count;
  entry->points_size += size;
  points_bytes_ += size;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::MetricPoint>> DiskSpool::Read(const AttemptKey& key, int64_t first,
                                                             int most) {
  RETORT_ASSIGN_OR_RETURN(Entry * entry, Find(key));
  std::vector<v1::MetricPoint> points;
  for (const Record& record : entry->records) {
    if (record.first + record.count <= first) continue;
    const std::string path = entry->folder + "/points";
    RETORT_ASSIGN_OR_RETURN(std::string bytes,
                            ReadAt(entry->points.get(), record.offset, record.size, path));
    v1::MetricBatch batch;
    if (!batch.ParseFromString(bytes) || batch.points_size() != record.count) {
      return absl::DataLossError(absl::StrCat(path, ": damaged at bytes ", record.offset, " to ",
                                              record.offset + record.size));
    }
    const int64_t skip = std::max<int64_t>(0, first - record.first);
    for (int64_t i = skip; i < record.count; ++i) {
      points.push_back(std::move(*batch.mutable_points(static_cast<int>(i))));
      if (static_cast<int>(points.size()) == most) return points;
    }
  }
  if (points.empty()) {
    return absl::OutOfRangeError(absl::StrCat("attempt ", key.ToString(), " has no point ", first,
                                              "; the next is ", entry->next));
  }
  return points;
}

void DiskSpool::Trim(const AttemptKey& key, int64_t durable) {
  const auto entry = Find(key);
  if (!entry.ok()) return;
  auto& records = (*entry)->records;
  const auto keep = std::find_if(records.begin(), records.end(), [&](const Record& record) {
    return record.first + record.count > durable;
  });
  records.erase(records.begin(), keep);
  // Space comes back when everything is acknowledged. That suffices: while the spool is full
  // nothing is appended, so that acknowledgements reach the end of every file.
  if (!records.empty() || (*entry)->points_size == 0) return;
  if (ftruncate((*entry)->points.get(), 0) != 0) return;
  points_bytes_ -= (*entry)->points_size;
  (*entry)->points_size = 0;
}

absl::StatusOr<int64_t> DiskSpool::AppendLog(const AttemptKey& key, std::string_view bytes) {
  RETORT_ASSIGN_OR_RETURN(Entry * entry, Find(key));
  const int64_t note = sizeof(kLogFull) - 1;
  const int64_t room = limits_.log_bytes - note - entry->log_size;
  if (room < 0) return entry->log_size;  // the note has been written
  std::string kept(bytes.substr(0, static_cast<size_t>(room)));
  if (static_cast<int64_t>(bytes.size()) > room) kept += kLogFull;
  RETORT_RETURN_IF_ERROR(WriteAt(entry->log.get(), kept, entry->log_size, entry->folder + "/log"));
  entry->log_size += static_cast<int64_t>(kept.size());
  return entry->log_size;
}

absl::StatusOr<std::string> DiskSpool::ReadLog(const AttemptKey& key, int64_t offset, int most) {
  RETORT_ASSIGN_OR_RETURN(Entry * entry, Find(key));
  const int64_t size = std::min<int64_t>(most, entry->log_size - offset);
  if (size <= 0) return std::string();
  return ReadAt(entry->log.get(), offset, size, entry->folder + "/log");
}

absl::Status DiskSpool::KeepOutcome(const AttemptKey& key, const v1::FinishedAttempt& outcome) {
  RETORT_ASSIGN_OR_RETURN(Entry * entry, Find(key));
  return WriteFileAtomically(entry->folder + "/outcome", outcome.SerializeAsString());
}

void DiskSpool::Drop(const AttemptKey& key) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return;
  points_bytes_ -= it->second.points_size;
  std::error_code error;
  std::filesystem::remove_all(it->second.folder, error);
  if (error) spdlog::warn("{}: cannot be removed: {}", it->second.folder, error.message());
  entries_.erase(it);
}

}  // namespace retort
