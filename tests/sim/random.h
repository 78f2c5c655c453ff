// The one source of chance: a small generator whose numbers are the same on every machine.
#ifndef RETORT_TESTS_SIM_RANDOM_H_
#define RETORT_TESTS_SIM_RANDOM_H_

#include <cstdint>

#include "absl/time/time.h"

namespace retort::sim {

// A mixing step of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
constexpr uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

class Random {
 public:
  explicit Random(uint64_t seed) : state_(Mix(seed + 0x9e3779b97f4a7c15u)) {}

  uint64_t Next() { return Mix(state_ += 0x9e3779b97f4a7c15u); }
  // In [0, below); `below` is positive.
  int64_t Below(int64_t below) {
    return static_cast<int64_t>(Next() % static_cast<uint64_t>(below));
  }
  // In [low, high].
  int64_t Between(int64_t low, int64_t high) { return low + Below(high - low + 1); }
  bool Chance(double probability) {
    return static_cast<double>(Next() >> 11) * 0x1p-53 < probability;
  }
  // To a microsecond, in [low, high].
  absl::Duration Time(absl::Duration low, absl::Duration high) {
    return absl::Microseconds(
        Between(absl::ToInt64Microseconds(low), absl::ToInt64Microseconds(high)));
  }
  template <typename List>
  const auto& OneOf(const List& list) {
    return list[static_cast<size_t>(Below(static_cast<int64_t>(list.size())))];
  }

 private:
  uint64_t state_;
};

}  // namespace retort::sim

#endif  // RETORT_TESTS_SIM_RANDOM_H_
