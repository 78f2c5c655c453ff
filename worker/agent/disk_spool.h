// The spool as files: a folder for each attempt with its points, its log, its outcome and its
// runner's outputs.
//
// A record of points is its size and a checksum (4 bytes each, little endian) and a serialised
// MetricBatch that says the number of its first point. What a power loss leaves of the last record
// does not count. `result` holds which boot of the machine wrote it, for the weights beside it are
// not flushed, and where they are; `outcome` needs nothing but its points.
#ifndef RETORT_WORKER_AGENT_DISK_SPOOL_H_
#define RETORT_WORKER_AGENT_DISK_SPOOL_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "common/files.h"
#include "worker/agent/ports.h"

namespace retort {

struct SpoolLimits {
  int64_t points_bytes = 64 << 20;  // of all attempts
  int64_t log_bytes = 4 << 20;      // of each attempt
  int64_t free_bytes = 4 << 20;     // that the disk has while it counts as having room
};

// Threads: one.
class DiskSpool : public Spool {
 public:
  // Makes the folder; removes what earlier starts of the agent left in it, but for attempts that
  // had ended (Recover). Those that had not are lost with their runners.
  static absl::StatusOr<DiskSpool> Create(const std::string& folder, SpoolLimits limits);

  std::vector<SpooledAttempt> Recover() override { return std::move(recovered_); }
  bool HasRoom() const override;
  absl::StatusOr<std::string> Open(const AttemptKey& key) override;
  absl::Status Append(const AttemptKey& key, const std::vector<v1::MetricPoint>& points) override;
  absl::StatusOr<std::vector<v1::MetricPoint>> Read(const AttemptKey& key, int64_t first,
                                                    int most) override;
  void Trim(const AttemptKey& key, int64_t durable) override;
  absl::StatusOr<int64_t> AppendLog(const AttemptKey& key, std::string_view bytes) override;
  absl::StatusOr<std::string> ReadLog(const AttemptKey& key, int64_t offset, int most) override;
  absl::Status KeepResult(const AttemptKey& key, const v1::FinishedAttempt& outcome,
                          const std::string& weights_path) override;
  absl::Status KeepOutcome(const AttemptKey& key, const v1::FinishedAttempt& outcome) override;
  void Drop(const AttemptKey& key) override;

  // Bytes of points of all attempts.
  int64_t points_bytes() const { return points_bytes_; }

 private:
  // A batch in the points' file.
  struct Record {
    int64_t first = 0;  // number of its first point
    int64_t count = 0;
    int64_t offset = 0;  // of the record
    int64_t size = 0;    // of the record
  };
  struct Entry {
    std::string folder;
    UniqueFd points;
    UniqueFd log;
    std::vector<Record> records;  // not wholly acknowledged, in order
    int64_t next = 0;             // number of the next point
    int64_t points_size = 0;      // of the file
    int64_t log_size = 0;
  };

  DiskSpool(std::string folder, SpoolLimits limits) : folder_(std::move(folder)), limits_(limits) {}
  absl::StatusOr<Entry*> Find(const AttemptKey& key);
  // Takes up an attempt that had ended; false if there is none in the folder.
  bool Adopt(const std::string& folder);
  // Finds the records of a points' file; cuts off what is no whole record.
  static absl::Status ReadRecords(Entry& entry);

  std::string folder_;
  SpoolLimits limits_;
  std::map<AttemptKey, Entry> entries_;
  std::vector<SpooledAttempt> recovered_;
  int64_t points_bytes_ = 0;
};

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_DISK_SPOOL_H_
