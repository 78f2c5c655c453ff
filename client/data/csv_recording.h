// Reader of one recording from CSV files, with times or a rate; of BIDMC's files for one.
#ifndef RETORT_CLIENT_DATA_CSV_RECORDING_H_
#define RETORT_CLIENT_DATA_CSV_RECORDING_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/data/prepare.h"
#include "common/spec/dataset.h"

namespace retort {

struct CsvSource {
  std::string path;
  std::string time_column;        // seconds; or else
  std::optional<double> rate_hz;  // the rate of the rows
  std::vector<std::string> ppg;   // columns
  std::string bpm_path;           // one column: a heart rate for each window, empty where unknown
  std::string subject;            // the file's name if empty
};

// The recording; cells that are empty or not finite are missing samples. INVALID_ARGUMENT: not
// exactly one of times and rate; no PPG column; no references (a dataset is made to train and to
// test); a file or column that is not as said.
absl::StatusOr<Recording> ReadCsvRecording(const CsvSource& source, const PrepareOptions& options);

absl::StatusOr<Dataset> PrepareCsv(const CsvSource& source, const PrepareOptions& options);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_CSV_RECORDING_H_
