// Threads for what may block, shared fairly between callers.
#ifndef RETORT_SERVER_RPC_LANE_H_
#define RETORT_SERVER_RPC_LANE_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "server/rpc/limits.h"

namespace retort {

// Callers take turns: one that posts a thousand pieces of work delays another's single piece by one
// of its own. Within a caller work runs in the order of posting, several pieces at a time.
// Threads: any.
class Lane {
 public:
  // `what` stands in refusals: `reads`.
  Lane(std::string what, const LaneLimit& limit);
  // Runs what was posted, then ends.
  ~Lane();

  // A new call. Runs `work` once, later and on a thread of the lane, if it returns OK. UNAVAILABLE:
  // too many wait; RESOURCE_EXHAUSTED: too many of this caller wait; then it never runs.
  absl::Status Post(const std::string& caller, std::function<void()> work);
  // A step of a call that was let in: never refused. Whoever lets calls in bounds how many these
  // are.
  void Continue(const std::string& caller, std::function<void()> work);

 private:
  using Queue = std::deque<std::function<void()>>;

  void Add(const std::string& caller, std::function<void()> work);  // under mutex_
  void Run();

  const std::string what_;
  const LaneLimit limit_;
  std::mutex mutex_;
  // Guarded by mutex_.
  std::condition_variable wake_;
  absl::flat_hash_map<std::string, Queue> waiting_;  // by caller; never empty
  std::deque<std::string> turns_;                    // the callers in waiting_, once each
  size_t count_ = 0;                                 // in waiting_
  bool ending_ = false;
  // Last: the threads use all of the above.
  std::vector<std::thread> threads_;
};

}  // namespace retort

#endif  // RETORT_SERVER_RPC_LANE_H_
