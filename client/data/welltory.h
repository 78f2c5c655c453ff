// Reader of Welltory's recordings: a phone camera on a finger at rest, about 30 frames a second at
// irregular times, reference heart rates from the intervals between beats.
//
// Original files, in folders `subject_NN` anywhere under a folder:
//   PPG.csv  `time,R,G,B`, time in ms
//   RR.txt   intervals between beats in ms; the first begins at time 0
#ifndef RETORT_CLIENT_DATA_WELLTORY_H_
#define RETORT_CLIENT_DATA_WELLTORY_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/data/prepare.h"
#include "common/spec/dataset.h"

namespace retort {

// The mean heart rate of each window [2i, 2i + 8) s that the intervals cover: the beats in it, an
// interval that reaches over its edge counted in part, over 8 s. NaN where that is no heart rate.
// Pure.
std::vector<double> HeartRatesOfIntervals(const std::vector<double>& intervals_s);

// The recordings under `folder`, ordered by name, each as a subject of its own (people repeat, and
// nobody says who), with channels R, G, B at 100 Hz and `subject_20` known to be unusable. Errors
// as for ReadBami.
absl::StatusOr<std::vector<Recording>> ReadWelltory(const std::string& folder,
                                                    const PrepareOptions& options);

// Those as a dataset whose metadata `split` is `never`.
absl::StatusOr<Dataset> PrepareWelltory(const std::string& folder, const PrepareOptions& options);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_WELLTORY_H_
