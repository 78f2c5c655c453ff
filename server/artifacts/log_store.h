// Logs of attempts, as files `logs/<job>/<attempt>.log`, each of bounded size.
#ifndef RETORT_SERVER_ARTIFACTS_LOG_STORE_H_
#define RETORT_SERVER_ARTIFACTS_LOG_STORE_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/ids.h"

namespace retort {

// Most bytes that are kept of an attempt's log; what follows is not stored.
inline constexpr int64_t kMaxLogBytes = int64_t{4} << 20;

// How far a log is stored.
struct LogProgress {
  int64_t stored_offset = 0;
  bool full = false;
};

// Threads: any. Logs are for people: they are written, but not flushed to the disk before they are
// acknowledged.
class LogStore {
 public:
  explicit LogStore(std::string folder) : folder_(std::move(folder)) {}

  // Stores bytes that belong at `offset`. What is stored already is not written again; bytes behind
  // a gap are not taken, and the progress tells where to go on. INVALID_ARGUMENT: a negative
  // offset. RESOURCE_EXHAUSTED: the disk is full.
  absl::StatusOr<LogProgress> Append(const JobId& job, int32_t attempt, int64_t offset,
                                     std::string_view data);

  // Bytes stored; 0 without a log.
  int64_t SizeOf(const JobId& job, int32_t attempt) const;

  // At most `limit` bytes from `offset`; empty behind the end and without a log.
  absl::StatusOr<std::string> Read(const JobId& job, int32_t attempt, int64_t offset,
                                   size_t limit) const;

 private:
  std::string PathOf(const JobId& job, int32_t attempt) const;

  const std::string folder_;
  std::mutex mutex_;  // one append at a time: size and write belong together
};

}  // namespace retort

#endif  // RETORT_SERVER_ARTIFACTS_LOG_STORE_H_
