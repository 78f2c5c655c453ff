// SyncRequests and SyncResponses as bytes, put together and taken apart by hand so that simulating
// workers costs little of the processor that the coordinator is measured on.
#ifndef RETORT_TESTS_BENCH_SYNCS_H_
#define RETORT_TESTS_BENCH_SYNCS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace retort::bench {

// A serialised v1::AttemptId.
using AttemptBytes = std::string;

// Writes the Syncs of one worker.
class SyncWriter {
 public:
  // `weights_sha256` is named by every result.
  SyncWriter(const std::string& worker, int slots, const std::string& weights_sha256);

  // A v1::SyncRequest: the attempts in `finished` succeeded (a small result without points), those
  // in `live` are running.
  std::string Write(int64_t number, int wanted, const std::vector<AttemptBytes>& finished,
                    const std::vector<AttemptBytes>& live) const;

 private:
  std::string head_;     // what is the same in each Sync
  std::string outcome_;  // what is the same in each FinishedAttempt
};

// What a v1::SyncResponse says.
struct SyncAnswer {
  std::vector<AttemptBytes> leases;
  int acknowledged = 0;
  int stopped = 0;
};
// False if it cannot be read.
bool ReadSyncAnswer(std::string_view bytes, SyncAnswer& answer);

}  // namespace retort::bench

#endif  // RETORT_TESTS_BENCH_SYNCS_H_
