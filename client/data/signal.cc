#include "client/data/signal.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <numbers>
#include <numeric>
#include <utility>

#include "common/spec/heart_rate.h"

namespace retort {
namespace {

using Complex = std::complex<double>;
constexpr double kPi = std::numbers::pi;

// State of one section in transposed direct form II.
struct SectionState {
  double z1 = 0;
  double z2 = 0;
};

// States of all sections after a constant input of 1 for ever (scipy.signal.sosfilt_zi).
std::vector<SectionState> SteadyStates(std::span<const SosSection> sos) {
  std::vector<SectionState> states;
  double level = 1;  // input of this section
  for (const auto& [b0, b1, b2, a0, a1, a2] : sos) {
    const double out = level * (b0 + b1 + b2) / (a0 + a1 + a2);
    const double z2 = b2 * level - a2 * out;
    states.push_back({b1 * level - a1 * out + z2, z2});
    level = out;
  }
  return states;
}

// Filters in place from the steady state of a constant `first`.
void FilterInPlace(std::span<const SosSection> sos, double first, std::span<double> x) {
  auto states = SteadyStates(sos);
  for (size_t s = 0; s < sos.size(); ++s) {
    const auto& [b0, b1, b2, a0, a1, a2] = sos[s];
    double z1 = states[s].z1 * first, z2 = states[s].z2 * first;
    for (double& value : x) {
      const double in = value;
      const double out = b0 * in + z1;
      z1 = b1 * in - a1 * out + z2;
      z2 = b2 * in - a2 * out;
      value = out;
    }
  }
}

// Continues a signal by `count` samples at each end, turned about the end point.
std::vector<double> OddExtension(std::span<const double> x, int64_t count) {
  const auto n = static_cast<int64_t>(x.size());
  std::vector<double> out(n + 2 * count);
  for (int64_t i = 0; i < count; ++i) {
    out[i] = 2 * x[0] - x[count - i];
    out[count + n + i] = 2 * x[n - 1] - x[n - 2 - i];
  }
  std::copy(x.begin(), x.end(), out.begin() + count);
  return out;
}

// Modified Bessel function of the first kind and order 0, by its power series.
double BesselI0(double x) {
  double sum = 1, term = 1;
  for (int k = 1; term > 1e-17 * sum; ++k) {
    term *= (x / (2 * k)) * (x / (2 * k));
    sum += term;
  }
  return sum;
}

// Low-pass of scipy.signal.resample_poly: firwin(2 half + 1, 1 / max(up, down), ('kaiser', 5)) *
// up.
std::vector<double> ResamplingFilter(int up, int half, double cutoff) {
  constexpr double kBeta = 5.0;
  std::vector<double> h(2 * half + 1);
  for (int i = 0; i <= 2 * half; ++i) {
    const double m = i - half;
    const double sinc = m == 0 ? 1 : std::sin(kPi * cutoff * m) / (kPi * cutoff * m);
    const double r = m / half;
    h[i] = cutoff * sinc * BesselI0(kBeta * std::sqrt(1 - r * r)) / BesselI0(kBeta);
  }
  const double sum = std::accumulate(h.begin(), h.end(), 0.0);
  for (double& value : h) value *= up / sum;
  return h;
}

}  // namespace

std::vector<SosSection> ButterworthBandPass(int order, double low_hz, double high_hz,
                                            double rate_hz) {
  // Edges of the analog band for a bilinear transformation with a sampling rate of 2.
  const double low = 4 * std::tan(kPi * low_hz / rate_hz);
  const double high = 4 * std::tan(kPi * high_hz / rate_hz);
  const double width = high - low, centre_squared = low * high;

  // One pole of each conjugate pair in the upper half plane. The prototype's poles lie on the unit
  // circle, in conjugate pairs too since the order is even; each becomes two of the band-pass.
  std::vector<Complex> poles;
  Complex gain = std::pow(width, order);
  for (int k = 0; k < order; ++k) {
    const Complex prototype = -std::exp(Complex(0, kPi * (2 * k - order + 1) / (2.0 * order)));
    const Complex half = prototype * width / 2.0;
    const Complex root = std::sqrt(half * half - centre_squared);
    for (const Complex pole : {half + root, half - root}) {
      gain /= 4.0 - pole;
      const Complex digital = (4.0 + pole) / (4.0 - pole);
      if (digital.imag() > 0) poles.push_back(digital);
    }
  }
  gain *= std::pow(4.0, order);  // the `order` zeros at s = 0; those at infinity add nothing

  // The pole nearest to the unit circle goes last and takes the zeros nearest to it, and so on.
  std::sort(poles.begin(), poles.end(),
            [](Complex a, Complex b) { return std::abs(a) > std::abs(b); });
  int zeros_at_one = order, zeros_at_minus_one = order;
  const auto nearest_zero = [&](Complex pole) {
    const bool one = zeros_at_minus_one == 0 ||
                     (zeros_at_one > 0 && std::abs(pole - 1.0) <= std::abs(pole + 1.0));
    --(one ? zeros_at_one : zeros_at_minus_one);
    return one ? 1.0 : -1.0;
  };
  std::vector<SosSection> sos(poles.size());
  for (size_t i = 0; i < poles.size(); ++i) {
    const double first = nearest_zero(poles[i]), second = nearest_zero(poles[i]);
    sos[poles.size() - 1 - i] = {1, -first - second,      first * second,
                                 1, -2 * poles[i].real(), std::norm(poles[i])};
  }
  for (int i = 0; i < 3; ++i) sos[0][i] *= gain.real();
  return sos;
}

std::vector<double> FilterCausal(std::span<const SosSection> sos, std::span<const double> x) {
  std::vector<double> out(x.begin(), x.end());
  if (!out.empty()) FilterInPlace(sos, x[0], out);
  return out;
}

int MinZeroPhaseSamples(std::span<const SosSection> sos) {
  int no_b2 = 0, no_a2 = 0;
  for (const auto& section : sos) {
    no_b2 += section[2] == 0;
    no_a2 += section[5] == 0;
  }
  return 3 * (2 * static_cast<int>(sos.size()) + 1 - std::min(no_b2, no_a2));
}

std::vector<double> FilterZeroPhase(std::span<const SosSection> sos, std::span<const double> x) {
  const int padding = MinZeroPhaseSamples(sos);
  std::vector<double> y = OddExtension(x, padding);
  for (int pass = 0; pass < 2; ++pass) {
    FilterInPlace(sos, y[0], y);
    std::reverse(y.begin(), y.end());
  }
  return {y.begin() + padding, y.end() - padding};
}

std::vector<double> Resample(std::span<const double> x, int up, int down) {
  const int divisor = std::gcd(up, down);
  up /= divisor;
  down /= divisor;
  if (up == 1 && down == 1) return {x.begin(), x.end()};
  const int half = 10 * std::max(up, down);
  const auto h = ResamplingFilter(up, half, 1.0 / std::max(up, down));
  const auto n = static_cast<int64_t>(x.size());
  // A signal shorter than the filter is continued only as far as it can be turned.
  const int64_t padding = std::min<int64_t>(half / up + 1, n - 1);
  const auto padded = OddExtension(x, padding);

  std::vector<double> out((n * up + down - 1) / down);
  for (size_t j = 0; j < out.size(); ++j) {
    // Output j lies at time j * down of the up-sampled signal; padded sample i at (i - padding) up.
    const int64_t at = static_cast<int64_t>(j) * down + padding * up;
    const int64_t first = std::max<int64_t>(0, (at - half + up - 1) / up);
    const int64_t last = std::min<int64_t>(n + 2 * padding - 1, (at + half) / up);
    double sum = 0;
    for (int64_t i = first; i <= last; ++i) sum += padded[i] * h[at - i * up + half];
    out[j] = sum;
  }
  return out;
}

void ZScore(std::span<float> x) {
  double sum = 0, squares = 0;
  for (float value : x) sum += value;
  const double mean = sum / static_cast<double>(x.size());
  for (float value : x) squares += (value - mean) * (value - mean);
  const double deviation = std::sqrt(squares / static_cast<double>(x.size()));
  // Rounding leaves a constant signal a deviation of some units in the last place.
  const bool constant = deviation <= 1e-6 * std::abs(mean) || deviation < 1e-30;
  for (float& value : x) {
    value = constant ? 0.0F : static_cast<float>((value - mean) / deviation);
  }
}

PeakHeartRate::PeakHeartRate(int samples, double rate_hz)
    : samples_(samples), cos_(kClasses * samples), sin_(kClasses * samples) {
  for (int k = 0; k < kClasses; ++k) {
    const double step = 2 * kPi * (kFirstBpm + k) / 60.0 / rate_hz;
    for (int i = 0; i < samples; ++i) {
      const double hann = 0.5 - 0.5 * std::cos(2 * kPi * i / samples);
      cos_[k * samples + i] = static_cast<float>(hann * std::cos(step * i));
      sin_[k * samples + i] = static_cast<float>(hann * std::sin(step * i));
    }
  }
}

std::vector<float> PeakHeartRate::Powers(std::span<const float> window) const {
  std::vector<float> powers(kClasses);
  for (size_t k = 0; k < kClasses; ++k) {
    for (size_t channel = 0; channel < window.size(); channel += samples_) {
      float real = 0, imaginary = 0;
      for (size_t i = 0; i < samples_; ++i) {
        real += window[channel + i] * cos_[k * samples_ + i];
        imaginary += window[channel + i] * sin_[k * samples_ + i];
      }
      powers[k] += real * real + imaginary * imaginary;
    }
  }
  return powers;
}

float PeakHeartRate::operator()(std::span<const float> window) const {
  const auto powers = Powers(window);
  // Of nothing all powers are 0, and the first is the largest.
  const auto best = std::max_element(powers.begin(), powers.end()) - powers.begin();
  return static_cast<float>(kFirstBpm + static_cast<int>(best));
}

}  // namespace retort
