// Claim C4 of one family: whether a law of the smaller networks predicts the largest.
#ifndef RETORT_CLIENT_SCALING_LARGEST_SIZE_H_
#define RETORT_CLIENT_SCALING_LARGEST_SIZE_H_

#include <string>
#include <vector>

#include "client/scaling/claims.h"
#include "client/scaling/network_table.h"

namespace retort::scaling {

// Three to fit a power law to, and one to predict.
inline constexpr int kFewestSizesToPredict = 4;

// A part for each arm with so many sizes of the family, by params_body; Holm's procedures are over
// the arms. The effect is law minus seen error at the largest size. Yes: the interval of the effect
// holds 0, and a constant (the mean of the smaller sizes' errors) is beaten: it misses the largest
// by more than chance, by more than the law does, and lies outside of what the law predicts. No:
// the interval does not hold 0.
std::vector<ClaimPart> PredictLargest(const NetworkTable& table, const std::string& family,
                                      const std::vector<std::string>& arms, double confidence);

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_LARGEST_SIZE_H_
