// Reader of recordings or windows from folders of .npy files: what the converters write, and what
// is easy to write from Python.
//
// Recordings: each folder, at any depth, with
//   signal.npy  [C, N] or [N]  PPG; not finite where samples are missing
//   rate.npy    a scalar, Hz
//   bpm.npy     [L]            a reference for each window (8 s, every 2 s); not finite where none
//   bad.npy     [L] optional   not 0 where a window is to be left out
// is a recording with its path as name, and the first folder of that path as subject.
//
// Windows: a folder with
//   windows.npy [W, C, L] or [W, L]  8 s each, so that its rate is L / 8
//   bpm.npy, subject.npy             [W]; subjects are texts or whole numbers
//   bad.npy                          [W] optional, as above
#ifndef RETORT_CLIENT_DATA_NPY_RECORDINGS_H_
#define RETORT_CLIENT_DATA_NPY_RECORDINGS_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/data/prepare.h"
#include "common/spec/dataset.h"

namespace retort {

// Channels `ppg1`, .... Windows can only be filtered `window`. Errors name the file, what it holds
// and what would be right. NOT_FOUND: no such folder, nothing of the above in it.
absl::StatusOr<Dataset> PrepareNpy(const std::string& folder, const PrepareOptions& options);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_NPY_RECORDINGS_H_
