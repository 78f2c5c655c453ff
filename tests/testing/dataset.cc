#include "tests/testing/dataset.h"

#include <cstddef>
#include <cstdint>
#include <iterator>

#include "common/spec/dataset.h"

namespace retort {
namespace {

constexpr size_t kWindows = 100, kChannels = 2, kSamples = 256;
constexpr const char* kSubjects[] = {"a", "b", "c", "d"};

std::string MakeBytes() {
  Dataset dataset;
  dataset.windows_count = kWindows;
  dataset.channels_count = kChannels;
  dataset.samples = kSamples;
  dataset.windows_WCL.resize(kWindows * kChannels * kSamples);
  dataset.bpm_W.assign(kWindows, 60);
  dataset.fft_bpm_WC.assign(kWindows * kChannels, 60);
  dataset.start_s_W.resize(kWindows);
  dataset.recording_W.resize(kWindows);
  for (size_t i = 0; i < kWindows; ++i) {
    dataset.subject_W.push_back(static_cast<int32_t>(i % std::size(kSubjects)));
  }
  dataset.subjects.assign(std::begin(kSubjects), std::end(kSubjects));
  dataset.recordings = {"r"};
  dataset.channels = {"x", "y"};
  return SerializeDataset(dataset);
}

}  // namespace

const std::string& DatasetBytes() {
  static const std::string& bytes = *new std::string(MakeBytes());
  return bytes;
}

v1::DatasetInfo DescribeDatasetBytes() {
  v1::DatasetInfo info;
  info.set_size_bytes(static_cast<int64_t>(DatasetBytes().size()));
  info.set_windows(kWindows);
  info.set_channels(kChannels);
  info.set_samples(kSamples);
  for (const char* subject : kSubjects) info.add_subjects(subject);
  return info;
}

}  // namespace retort
