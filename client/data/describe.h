// What is in a prepared dataset, for people. Pure.
#ifndef RETORT_CLIENT_DATA_DESCRIBE_H_
#define RETORT_CLIENT_DATA_DESCRIBE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "common/spec/dataset.h"

namespace retort {

// Facts about some windows. Errors are mean absolute errors in BPM over all of them.
struct WindowFacts {
  int64_t windows = 0;
  double min_bpm = 0;
  double mean_bpm = 0;
  double max_bpm = 0;
  // Of predicting each subject's windows by the mean of all other subjects' windows.
  double mean_floor_bpm = 0;
  // Of the strongest spectral peak of each channel alone, averaged over channels.
  double fft_floor_bpm = 0;
  // Of the strongest peak of the channels' added power spectra.
  double fft_all_channels_floor_bpm = 0;
};

struct SubjectFacts {
  std::string subject;
  WindowFacts facts;
};

struct DatasetSummary {
  WindowFacts all;
  std::vector<SubjectFacts> subjects;  // in the dataset's order
};

// Of a dataset that CheckDataset accepts.
DatasetSummary Summarize(const Dataset& dataset);

// The same as text: sizes, metadata, both floors, one line per subject, a histogram of
// heart rates. Ends with a newline.
std::string DescribeDataset(const Dataset& dataset);

}  // namespace retort

#endif  // RETORT_CLIENT_DATA_DESCRIBE_H_
