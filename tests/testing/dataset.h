// A dataset that is small, and on which nobody trains.
#ifndef RETORT_TESTS_TESTING_DATASET_H_
#define RETORT_TESTS_TESTING_DATASET_H_

#include <string>

#include "retort/v1/spec.pb.h"

namespace retort {

// The bytes of a dataset of 100 windows, 2 channels, 256 samples and the subjects a, b, c, d.
const std::string& DatasetBytes();
// What is to be said of these bytes in a spec, but for their hash.
v1::DatasetInfo DescribeDatasetBytes();

}  // namespace retort

#endif  // RETORT_TESTS_TESTING_DATASET_H_
