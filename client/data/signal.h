// Signal processing of one channel. Pure. Conventions are SciPy's, so that results can be compared.
#ifndef RETORT_CLIENT_DATA_SIGNAL_H_
#define RETORT_CLIENT_DATA_SIGNAL_H_

#include <array>
#include <span>
#include <vector>

namespace retort {

// A second-order section b0, b1, b2, 1, a1, a2: (b0 + b1/z + b2/z^2) / (1 + a1/z + a2/z^2).
using SosSection = std::array<double, 6>;

// Butterworth band-pass as second-order sections: analog prototype, band transformation, bilinear
// transformation with pre-warped edges; poles and zeros paired as by
// scipy.signal.butter(order, [low_hz, high_hz], 'bandpass', fs=rate_hz, output='sos').
// Only for even order and 0 < low_hz < high_hz < rate_hz / 2.
std::vector<SosSection> ButterworthBandPass(int order, double low_hz, double high_hz,
                                            double rate_hz);

// Filters forwards, starting from the steady state of the first sample (no step at the start).
std::vector<double> FilterCausal(std::span<const SosSection> sos, std::span<const double> x);

// Filters forwards and backwards, so that no phase is shifted (scipy.signal.sosfiltfilt with its
// default odd padding). Only for more than MinZeroPhaseSamples(sos) samples.
std::vector<double> FilterZeroPhase(std::span<const SosSection> sos, std::span<const double> x);

// Samples of padding at each end; a signal must be longer.
int MinZeroPhaseSamples(std::span<const SosSection> sos);

// Resamples by up/down with a linear-phase Kaiser FIR (beta 5, 10 zero crossings each side) as
// scipy.signal.resample_poly, without delay. Beyond its ends the signal is continued by odd
// reflection, where SciPy takes zeros. Returns ceil(n * up / down) samples. up, down >= 1, n >= 2.
std::vector<double> Resample(std::span<const double> x, int up, int down);

// (x - mean) / standard deviation (of the population); all zeros where the signal is constant.
void ZScore(std::span<float> x);

// Heart rate in BPM of the strongest peak of the Hann-windowed power spectrum, on a grid of 1 BPM
// from 30 to 209 (as a zero-padded FFT would give); 30 for constant signals.
class PeakHeartRate {
 public:
  // For windows of `samples` at `rate_hz`.
  PeakHeartRate(int samples, double rate_hz);
  // `window` [C, samples]: the powers of its C channels are added.
  float operator()(std::span<const float> window) const;
  // The added powers at 30, 31, ... 209 BPM.
  std::vector<float> Powers(std::span<const float> window) const;

 private:
  size_t samples_;
  std::vector<float> cos_;  // [180, samples], each row times the Hann window
  std::vector<float> sin_;
};

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_SIGNAL_H_
