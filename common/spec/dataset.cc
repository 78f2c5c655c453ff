#include "common/spec/dataset.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <cmath>
#include <set>
#include <utility>

#include "common/spec/safetensors.h"

namespace retort {
namespace {

constexpr char kFormat[] = "retort.dataset.v1";

std::string JsonList(const std::vector<std::string>& names) {
  google::protobuf::ListValue list;
  for (const auto& name : names) list.add_values()->set_string_value(name);
  std::string out;
  // Strings alone cannot fail to print.
  (void)google::protobuf::util::MessageToJsonString(list, &out);
  return out;
}

Expected<std::vector<std::string>> NameList(const Safetensors& file, const std::string& key) {
  auto text = file.Metadata(key);
  if (!text.ok()) return Error{text.error()};
  google::protobuf::ListValue list;
  if (!google::protobuf::util::JsonStringToMessage(*text, &list).ok()) {
    return Error{file.what() + ": metadata '" + key + "' is not a JSON list"};
  }
  std::vector<std::string> names;
  for (const auto& value : list.values()) {
    if (value.kind_case() != google::protobuf::Value::kStringValue) {
      return Error{file.what() + ": metadata '" + key + "' holds something else than names"};
    }
    names.push_back(value.string_value());
  }
  return names;
}

template <typename T>
Expected<bool> Load(const Safetensors& file, const std::string& name, DType dtype,
                    const std::vector<int64_t>& shape, std::vector<T>& out) {
  auto tensor = file.Find(name);
  if (!tensor.ok()) return Error{tensor.error()};
  if (tensor->dtype != dtype || tensor->shape != shape) {
    std::string wanted;
    for (int64_t extent : shape) wanted += (wanted.empty() ? "" : ", ") + std::to_string(extent);
    return Error{file.what() + ": tensor '" + name + "' must be " + std::string(NameOf(dtype)) +
                 " [" + wanted + "]"};
  }
  out = tensor->Copy<T>();
  return true;
}

Error Wrong(const std::string& what, const std::string& why) { return Error{what + ": " + why}; }

}  // namespace

Expected<bool> CheckDataset(const Dataset& d, const std::string& what) {
  if (d.windows_count < 1 || d.channels_count < 1 || d.samples < 1) {
    return Wrong(what, "a dataset needs at least one window, channel and sample");
  }
  const auto w = static_cast<size_t>(d.windows_count);
  const auto c = static_cast<size_t>(d.channels_count);
  if (d.windows_WCL.size() != w * c * d.samples || d.bpm_W.size() != w || d.subject_W.size() != w ||
      d.fft_bpm_WC.size() != w * c || d.start_s_W.size() != w || d.recording_W.size() != w) {
    return Wrong(what, "its tensors do not have the same number of windows");
  }
  if (d.channels.size() != c) return Wrong(what, "metadata 'channels' does not name each channel");
  if (std::set<std::string>(d.subjects.begin(), d.subjects.end()).size() != d.subjects.size()) {
    return Wrong(what, "metadata 'subjects' has a name twice");
  }
  std::vector<bool> has_window(d.subjects.size(), false);
  for (size_t i = 0; i < w; ++i) {
    const std::string at = " at window " + std::to_string(i);
    if (!(d.bpm_W[i] >= 20 && d.bpm_W[i] <= 250)) {
      return Wrong(what, "bpm is " + std::to_string(d.bpm_W[i]) + at + "; must be from 20 to 250");
    }
    if (d.subject_W[i] < 0 || d.subject_W[i] >= static_cast<int>(d.subjects.size())) {
      return Wrong(what, "subject is " + std::to_string(d.subject_W[i]) + at +
                             "; must be an index into the " + std::to_string(d.subjects.size()) +
                             " subjects");
    }
    if (d.recording_W[i] < 0 || d.recording_W[i] >= static_cast<int>(d.recordings.size())) {
      return Wrong(what, "recording is " + std::to_string(d.recording_W[i]) + at +
                             "; must be an index into the " + std::to_string(d.recordings.size()) +
                             " recordings");
    }
    has_window[d.subject_W[i]] = true;
  }
  for (size_t i = 0; i < d.subjects.size(); ++i) {
    if (!has_window[i]) return Wrong(what, "subject '" + d.subjects[i] + "' has no window");
  }
  for (float value : d.windows_WCL) {
    if (!std::isfinite(value)) return Wrong(what, "windows hold a number that is not finite");
  }
  for (float value : d.fft_bpm_WC) {
    if (!std::isfinite(value)) return Wrong(what, "fft_bpm holds a number that is not finite");
  }
  return true;
}

Expected<Dataset> ParseDataset(std::string bytes, const std::string& what) {
  auto file = Safetensors::Parse(std::move(bytes), what);
  if (!file.ok()) return Error{file.error()};
  auto format = file->Metadata("format");
  if (!format.ok() || *format != kFormat) {
    return Wrong(what, std::string("not a prepared dataset: its metadata 'format' is not '") +
                           kFormat + "'; `retort data prepare` and `retort data synth` make one");
  }
  auto windows = file->Find("windows");
  if (!windows.ok()) return Error{windows.error()};
  if (windows->shape.size() != 3) return Wrong(what, "tensor 'windows' must have 3 dimensions");
  Dataset d;
  const int64_t w = windows->shape[0], c = windows->shape[1], l = windows->shape[2];
  if (c > 4096 || l > 1'000'000) return Wrong(what, "more than 4096 channels or 10^6 samples");
  d.windows_count = w;
  d.channels_count = static_cast<int32_t>(c);
  d.samples = static_cast<int32_t>(l);
  for (const auto& loaded : {Load(*file, "windows", DType::kF32, {w, c, l}, d.windows_WCL),
                             Load(*file, "bpm", DType::kF32, {w}, d.bpm_W),
                             Load(*file, "subject", DType::kI32, {w}, d.subject_W),
                             Load(*file, "fft_bpm", DType::kF32, {w, c}, d.fft_bpm_WC),
                             Load(*file, "start_s", DType::kF32, {w}, d.start_s_W),
                             Load(*file, "recording", DType::kI32, {w}, d.recording_W)}) {
    if (!loaded.ok()) return Error{loaded.error()};
  }
  for (const auto& [key, names] : {std::pair{"subjects", &d.subjects},
                                   {"recordings", &d.recordings},
                                   {"channels", &d.channels}}) {
    auto list = NameList(*file, key);
    if (!list.ok()) return Error{list.error()};
    *names = std::move(*list);
  }
  for (const auto& [key, value] : file->metadata()) {
    if (key != "format" && key != "subjects" && key != "recordings" && key != "channels") {
      d.metadata[key] = value;
    }
  }
  auto checked = CheckDataset(d, what);
  if (!checked.ok()) return Error{checked.error()};
  return d;
}

Expected<Dataset> ReadDataset(const std::string& path) {
  auto file = ReadWholeFile(path);
  if (!file.ok()) return Error{file.error()};
  return ParseDataset(std::move(*file), path);
}

std::string SerializeDataset(const Dataset& d) {
  std::map<std::string, std::string> metadata = d.metadata;
  metadata["format"] = kFormat;
  metadata["subjects"] = JsonList(d.subjects);
  metadata["recordings"] = JsonList(d.recordings);
  metadata["channels"] = JsonList(d.channels);
  const int64_t w = d.windows_count, c = d.channels_count, l = d.samples;
  return SerializeSafetensors(metadata,
                              {{"windows", DType::kF32, {w, c, l}, BytesOfVector(d.windows_WCL)},
                               {"bpm", DType::kF32, {w}, BytesOfVector(d.bpm_W)},
                               {"subject", DType::kI32, {w}, BytesOfVector(d.subject_W)},
                               {"fft_bpm", DType::kF32, {w, c}, BytesOfVector(d.fft_bpm_WC)},
                               {"start_s", DType::kF32, {w}, BytesOfVector(d.start_s_W)},
                               {"recording", DType::kI32, {w}, BytesOfVector(d.recording_W)}});
}

}  // namespace retort
