// A recording in CSV for `retort model predict`.
#ifndef RETORT_CLIENT_CLI_SIGNAL_CSV_H_
#define RETORT_CLIENT_CLI_SIGNAL_CSV_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/data/prepare.h"
#include "common/spec/dataset.h"

namespace retort {

// Windows of a recording, prepared as datasets are. The first line names the columns: `time_s`
// (seconds, evenly spaced; may be missing, and then `rate_hz` says how many rows a second has), and
// PPG channels under any other names. Reference heart rates are not known: those of the dataset
// mean nothing. INVALID_ARGUMENT names file, line and column, and what would be right.
absl::StatusOr<Dataset> ReadSignalCsv(const std::string& text, const std::string& file,
                                      double rate_hz, const PrepareOptions& options);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_SIGNAL_CSV_H_
