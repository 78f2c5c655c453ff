// Reader of BAMI-1: wrist PPG at rest, walking and running on a treadmill, 50 Hz, three PPG
// channels, reference heart rates from a simultaneous ECG.
//
// Original MAT files, found by name anywhere under a folder. BAMI1_n.mat, one person each, holds
//   rawPPG   [3, N]  PPG 1 to 3
//   bpm_ecg  [L, 1]  the reference; `bpm_proposed` beside it is an estimate of the set's authors
#ifndef RETORT_CLIENT_DATA_BAMI_H_
#define RETORT_CLIENT_DATA_BAMI_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/data/prepare.h"
#include "common/spec/dataset.h"

namespace retort {

// The labels of this set fit the window one second earlier.
inline constexpr double kBamiLagS = -1;

// The recordings under `folder`, ordered by number, with lag, and with 5, 15 and 25 known to be
// misaligned. Errors name the file, what it holds and what would be right: NOT_FOUND: no such
// folder, no recording in it. INVALID_ARGUMENT: a file that is damaged, cut short or not what its
// name says.
absl::StatusOr<std::vector<Recording>> ReadBami(const std::string& folder);

// Those as a dataset with channels `ppg1`, `ppg2` and `ppg3`.
absl::StatusOr<Dataset> PrepareBami(const std::string& folder, const PrepareOptions& options);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_BAMI_H_
