// Random numbers that are the same on every machine and with every C++ library (those of <random>'s
// distributions are not).
#ifndef RETORT_CLIENT_DATA_RANDOM_H_
#define RETORT_CLIENT_DATA_RANDOM_H_

#include <array>
#include <cstdint>

namespace retort {

// xoshiro256++ (Blackman, Vigna, "Scrambled Linear Pseudorandom Number Generators", ACM TOMS 47(4),
// 2021), seeded by splitmix64. Not thread-safe.
class Random {
 public:
  // Another seed or stream gives independent numbers.
  Random(uint64_t seed, uint64_t stream);

  uint64_t Next();
  // In [0, 1).
  double Uniform();
  double Uniform(double low, double high) { return low + (high - low) * Uniform(); }
  // Standard normal (Box, Muller 1958).
  double Normal();
  double Normal(double mean, double deviation) { return mean + deviation * Normal(); }

 private:
  std::array<uint64_t, 4> state_;
  bool has_spare_ = false;
  double spare_ = 0;
};

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_RANDOM_H_
