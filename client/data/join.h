// Several prepared datasets as one, for jobs that train or test over all of them. Pure.
#ifndef RETORT_CLIENT_DATA_JOIN_H_
#define RETORT_CLIENT_DATA_JOIN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/spec/dataset.h"

namespace retort {

struct NamedDataset {
  std::string path;  // for errors, and for a prefix where the dataset has no name of its own
  Dataset dataset;
};

// The windows of all, in order. Subjects and recordings become `name/subject`, with the dataset's
// metadata `name` or else its file's stem; names that have a `/` already (of joined ones) stay.
// Channels keep their names where all agree, and else become `channel1`, ...
//
// Metadata: filter, band_hz, rate_hz, window_s, stride_s must agree and stay; notes by recording
// are put together; `split` is `never` if one says so; other texts that differ are joined by ` + `.
// INVALID_ARGUMENT: fewer than two, other filters, rates, windows or numbers of channels, a subject
// or recording that two have; names both files.
absl::StatusOr<Dataset> JoinDatasets(const std::vector<NamedDataset>& parts);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_JOIN_H_
