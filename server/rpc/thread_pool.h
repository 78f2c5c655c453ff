// Threads for what may block: files and queries. gRPC's own threads only pass messages on.
#ifndef RETORT_SERVER_RPC_THREAD_POOL_H_
#define RETORT_SERVER_RPC_THREAD_POOL_H_

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace retort {

// Threads: Post may be called by any. What is posted runs once, in order of posting, several at a
// time.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  // Runs what was posted, then ends.
  ~ThreadPool();

  void Post(std::function<void()> work);

 private:
  void Run();

  std::mutex mutex_;
  // Guarded by mutex_.
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  bool ending_ = false;
  // Last: the threads use all of the above.
  std::vector<std::thread> threads_;
};

}  // namespace retort

#endif  // RETORT_SERVER_RPC_THREAD_POOL_H_
