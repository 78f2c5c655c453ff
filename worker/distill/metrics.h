// Errors of heart rates against the reference. Pure, without LibTorch.
#ifndef RETORT_WORKER_DISTILL_METRICS_H_
#define RETORT_WORKER_DISTILL_METRICS_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "retort/v1/result.pb.h"

namespace retort::distill {

// One distribution over the 180 heart rates, decoded.
struct Decoded {
  double argmax_bpm = 0;
  double expectation_bpm = 0;
  double median_bpm = 0;  // smallest class at which the cumulative probability reaches 1/2
  double confidence = 0;  // probability of the arg max
  double nll = 0;         // minus the log-probability of the reference's class, nats
  bool correct = false;   // the arg max is the reference's class
};

// Decodes log-probabilities of the 180 classes; `reference_bpm` in BPM.
Decoded Decode(std::span<const float> log_p, double reference_bpm);

// Log of the mean of the probabilities of `rows` distributions, which lie one behind the other.
std::vector<float> MeanDistribution(std::span<const float> log_p, int rows);

// What was estimated for one window.
struct WindowEstimate {
  int subject = 0;  // index into the subjects' names
  double reference_bpm = 0;
  std::vector<Decoded> channels;  // each channel alone
  Decoded all_channels;
  std::vector<double> fft_bpm;  // strongest spectral peak of each channel
};

// Metrics over all windows and per subject; subjects in the order of their indices, those without a
// window left out. `train_mean_bpm`: mean reference of the training windows, the answer of the
// floor that only knows them. Needs at least one window.
v1::Evaluation Evaluate(const std::vector<WindowEstimate>& windows,
                        const std::vector<std::string>& subjects, double train_mean_bpm);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_METRICS_H_
