// Work shared out over threads, with a result that does not depend on their number.
#ifndef RETORT_CLIENT_SCALING_PARALLEL_H_
#define RETORT_CLIENT_SCALING_PARALLEL_H_

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace retort::scaling {

// Calls `work(i)` for each i below `count`, once each, on up to `threads` threads including the
// caller's, and returns when all are done. `work` may be called from several threads at once.
template <typename Work>
void ParallelFor(int count, int threads, const Work& work) {
  std::atomic<int> next = 0;
  const auto run = [&] {
    for (int i = next++; i < count; i = next++) work(i);
  };
  std::vector<std::jthread> others;
  for (int i = 1; i < std::min(threads, count); ++i) others.emplace_back(run);
  run();
}

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_PARALLEL_H_
