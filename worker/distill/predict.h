// A trained network's heart rates for a dataset, without training: `retort-runner predict`.
#ifndef RETORT_WORKER_DISTILL_PREDICT_H_
#define RETORT_WORKER_DISTILL_PREDICT_H_

#include <functional>
#include <string>

#include "common/spec/expected.h"

namespace retort::distill {

// Gives `emit` one JSON object for each window and channel, in order, and behind the channels of a
// window one for the mean of their distributions (`channel` is `all`) where there are several.
// Keys: window, recording, start_s, subject, reference_bpm, channel, median_bpm, argmax_bpm,
// expectation_bpm, confidence. Error: a file that is no weights or no dataset, or two that do not
// fit; nothing was emitted then.
Expected<bool> Predict(const std::string& weights_path, const std::string& dataset_path,
                       const std::function<void(const std::string& json)>& emit);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_PREDICT_H_
