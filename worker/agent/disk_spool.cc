#include "worker/agent/disk_spool.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/hash.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr size_t kRecordHead = 8;
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

void PutNumber(uint32_t number, std::string& out) {
  for (int i = 0; i < 4; ++i) out += static_cast<char>(number >> (8 * i));
}

uint32_t GetNumber(const char* bytes) {
  uint32_t number = 0;
  for (int i = 0; i < 4; ++i) number |= uint32_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  return number;
}

// FNV-1a: tells a record from what a power loss leaves of one.
uint32_t Checksum(std::string_view bytes) {
  uint32_t hash = 2166136261u;
  for (const char c : bytes) hash = (hash ^ static_cast<uint8_t>(c)) * 16777619u;
  return hash;
}

std::string ToRecord(const v1::MetricBatch& batch) {
  const std::string body = batch.SerializeAsString();
  std::string record;
  PutNumber(static_cast<uint32_t>(body.size()), record);
  PutNumber(Checksum(body), record);
  return record + body;
}

// The batch at the beginning of the bytes, and the size of its record; 0 if no whole one is there.
int64_t FromRecord(std::string_view bytes, v1::MetricBatch& batch) {
  if (bytes.size() < kRecordHead) return 0;
  const uint32_t size = GetNumber(bytes.data());
  if (size > bytes.size() - kRecordHead) return 0;
  const std::string_view body = bytes.substr(kRecordHead, size);
  const bool good = Checksum(body) == GetNumber(bytes.data() + 4) &&
                    batch.ParseFromArray(body.data(), static_cast<int>(body.size())) &&
                    batch.points_size() > 0;
  return good ? static_cast<int64_t>(kRecordHead + size) : 0;
}

// Which boot of the machine this is. What an earlier one wrote and did not flush may be gone.
std::string BootId() {
  std::ifstream in("/proc/sys/kernel/random/boot_id");
  std::string id;
  in >> id;
  return id;
}

// `<job>-<attempt>`, the name of an attempt's folder.
std::optional<AttemptKey> ParseFolder(const std::string& name) {
  AttemptKey key;
  const size_t dash = name.find('-');
  if (dash == std::string::npos || !JobId::FromHex(name.substr(0, dash)).ok() ||
      !absl::SimpleAtoi(name.substr(dash + 1), &key.attempt)) {
    return std::nullopt;
  }
  key.job = name.substr(0, dash);
  return key;
}

// What `result` holds: lines with the boot and the path of the weights, and the outcome. Nothing if
// the weights may not be what they were.
std::optional<SpooledAttempt> ParseResult(const std::string& text) {
  const size_t boot_end = text.find('\n');
  const size_t path_end = boot_end == std::string::npos ? boot_end : text.find('\n', boot_end + 1);
  if (path_end == std::string::npos || text.substr(0, boot_end) != BootId()) return std::nullopt;
  SpooledAttempt attempt;
  attempt.weights_path = text.substr(boot_end + 1, path_end - boot_end - 1);
  const auto hash = HashFile(attempt.weights_path);
  std::error_code error;
  const auto size = std::filesystem::file_size(attempt.weights_path, error);
  if (!hash.ok() || error || !attempt.outcome.ParseFromString(text.substr(path_end + 1)) ||
      !attempt.outcome.has_result()) {
    return std::nullopt;
  }
  v1::ArtifactRef* weights = attempt.outcome.mutable_result()->mutable_weights();
  weights->set_sha256(hash->hex());
  weights->set_size_bytes(static_cast<int64_t>(size));
  return attempt;
}

absl::StatusOr<UniqueFd> Create(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd.valid()) return ErrnoStatus(errno, path, "cannot be created");
  return fd;
}

}  // namespace

absl::StatusOr<DiskSpool> DiskSpool::Create(const std::string& folder, SpoolLimits limits) {
  RETORT_RETURN_IF_ERROR(MakeFolders(folder));
  DiskSpool spool(folder, limits);
  std::error_code error;
  int leftovers = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (spool.Adopt(entry.path().string())) continue;
    std::filesystem::remove_all(entry.path(), error);
    if (error) return ErrnoStatus(error.value(), entry.path().string(), "cannot be removed");
    ++leftovers;
  }
  if (error) return ErrnoStatus(error.value(), folder, "cannot be listed");
  if (leftovers > 0) spdlog::info("removed what {} attempts of an earlier start left", leftovers);
  return spool;
}

bool DiskSpool::Adopt(const std::string& folder) {
  const auto key = ParseFolder(std::filesystem::path(folder).filename().string());
  if (!key) return false;
  std::optional<SpooledAttempt> attempt;
  if (const auto outcome = ReadFile(folder + "/outcome"); outcome.ok()) {
    attempt.emplace();
    if (!attempt->outcome.ParseFromString(*outcome)) return false;
  } else if (const auto result = ReadFile(folder + "/result"); result.ok()) {
    attempt = ParseResult(*result);
  }
  if (!attempt) return false;
  Entry entry;
  entry.folder = folder;
  entry.points = UniqueFd(open((folder + "/points").c_str(), O_RDWR | O_CLOEXEC));
  entry.log = UniqueFd(open((folder + "/log").c_str(), O_RDWR | O_CLOEXEC));
  if (!entry.points.valid() || !entry.log.valid() || !ReadRecords(entry).ok()) return false;
  entry.log_size = std::max<int64_t>(0, lseek(entry.log.get(), 0, SEEK_END));
  // Points are flushed before the end is kept: a result that misses some was damaged.
  const int64_t said = attempt->outcome.result().metric_points();
  if (attempt->outcome.has_result() && !entry.records.empty() && entry.next != said) return false;
  attempt->key = *key;
  attempt->log_bytes = entry.log_size;
  attempt->first = entry.records.empty() ? said : entry.records.front().first;
  attempt->end = entry.records.empty() ? said : entry.next;
  entry.next = attempt->end;
  points_bytes_ += entry.points_size;
  entries_[*key] = std::move(entry);
  recovered_.push_back(*std::move(attempt));
  return true;
}

absl::Status DiskSpool::ReadRecords(Entry& entry) {
  const std::string path = entry.folder + "/points";
  RETORT_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  while (true) {
    v1::MetricBatch batch;
    const int64_t size = FromRecord(std::string_view(bytes).substr(entry.points_size), batch);
    const bool follows = entry.records.empty() || batch.first_seq() == entry.next;
    if (size == 0 || !follows) break;
    entry.records.push_back({batch.first_seq(), batch.points_size(), entry.points_size, size});
    entry.next = batch.first_seq() + batch.points_size();
    entry.points_size += size;
  }
  if (entry.points_size == static_cast<int64_t>(bytes.size())) return absl::OkStatus();
  spdlog::warn("{}: {} of {} bytes are whole records; the rest is dropped", path, entry.points_size,
               bytes.size());
  if (ftruncate(entry.points.get(), entry.points_size) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, path, "cannot be cut back");
}

absl::StatusOr<DiskSpool::Entry*> DiskSpool::Find(const AttemptKey& key) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat("attempt ", key.ToString(), " has no spool; expected Open before"));
  }
  return &it->second;
}

bool DiskSpool::HasRoom() const {
  struct statvfs disk {};
  if (statvfs(folder_.c_str(), &disk) != 0) return true;
  return static_cast<int64_t>(disk.f_bavail * disk.f_frsize) >= limits_.free_bytes;
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
  batch.set_first_seq(entry->next);
  const std::string bytes = ToRecord(batch);
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
    if (FromRecord(bytes, batch) != record.size || batch.points_size() != record.count) {
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

absl::Status DiskSpool::KeepResult(const AttemptKey& key, const v1::FinishedAttempt& outcome,
                                   const std::string& weights_path) {
  RETORT_ASSIGN_OR_RETURN(Entry * entry, Find(key));
  return WriteFileAtomically(
      entry->folder + "/result",
      absl::StrCat(BootId(), "\n", weights_path, "\n", outcome.SerializeAsString()));
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
