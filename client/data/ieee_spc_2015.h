// Reader of the recordings of the IEEE Signal Processing Cup 2015 (Zhang, Pi, Liu, "TROIKA", IEEE
// Transactions on Biomedical Engineering 62(2), 2015): wrist PPG on a treadmill, 125 Hz, two PPG
// channels, reference heart rates from a simultaneous ECG.
//
// Original MAT files, found by name anywhere under a folder:
//   DATA_nn_TYPE0k.mat  `sig` [6, N]: ECG, PPG 1, PPG 2, acceleration x, y, z; subject nn
//   DATA_nn_TYPE0k_BPMtrace.mat or REF_nn_TYPE0k.mat  `BPM0` [L, 1]: its labels
//   TEST_Sxx_Tyy.mat    `sig` [5, N]: as above without the ECG; subject xx
//   True_Sxx_Tyy.mat    `BPM0` [L, 1]: its labels
#ifndef RETORT_CLIENT_DATA_IEEE_SPC_2015_H_
#define RETORT_CLIENT_DATA_IEEE_SPC_2015_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/data/prepare.h"
#include "common/spec/dataset.h"

namespace retort {

// The recordings under `folder`, ordered by name, with subjects `trainNN` and `testNN`. Errors name
// the file, what it holds and what would be right: NOT_FOUND: no such folder, no recording in it,
// or no labels for one. INVALID_ARGUMENT: a file that is damaged, cut short or not what its name
// says.
absl::StatusOr<std::vector<Recording>> ReadIeeeSpc2015(const std::string& folder);

// Those as a dataset with channels `ppg1` and `ppg2`.
absl::StatusOr<Dataset> PrepareIeeeSpc2015(const std::string& folder,
                                           const PrepareOptions& options);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_IEEE_SPC_2015_H_
