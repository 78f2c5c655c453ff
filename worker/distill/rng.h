// The random numbers of a job. Our own, so that a seed gives the same draws under every version of
// LibTorch, and so that a generator's whole state is one number.
#ifndef RETORT_WORKER_DISTILL_RNG_H_
#define RETORT_WORKER_DISTILL_RNG_H_

#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

namespace retort::distill {

// SplitMix64 (Steele, Lea, Flood 2014).
class Rng {
 public:
  explicit Rng(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    uint64_t x = state_ += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }
  // All there is to it: Rng(state()) goes on as this one would.
  uint64_t state() const { return state_; }
  // Uniform on [0, 1).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }
  // Uniform on 0..n-1; n > 0. The bias of the multiplication is below n / 2^64.
  uint64_t Below(uint64_t n) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * n) >> 64);
  }
  // Fisher and Yates.
  template <typename T>
  void Shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[Below(i)]);
  }

 private:
  uint64_t state_;
};

// FNV-1a of 64 bits; `start` chains calls.
inline constexpr uint64_t kFnvStart = 14695981039346656037u;
inline uint64_t Fnv1a(std::string_view bytes, uint64_t start = kFnvStart) {
  uint64_t x = start;
  for (const char c : bytes) x = (x ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return x;
}

// Seed of one stream of random numbers of a job. It depends on the architecture, the job's seed and
// its fold, never on the method: runs that differ in the method alone are pairs. `purpose` keeps
// streams apart.
inline uint64_t StreamSeed(std::string_view architecture, int64_t seed, int fold,
                           std::string_view purpose) {
  Rng rng(Fnv1a(purpose, Fnv1a(architecture)) + static_cast<uint64_t>(seed) * 0x9e3779b97f4a7c15u);
  Rng folded(rng.Next() + static_cast<uint64_t>(fold));
  return folded.Next();
}

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_RNG_H_
