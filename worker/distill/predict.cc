#include "worker/distill/predict.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <utility>

#include "common/spec/dataset.h"
#include "common/spec/safetensors.h"
#include "common/spec/weights_file.h"
#include "worker/distill/data.h"
#include "worker/distill/evaluate.h"
#include "worker/distill/failure.h"
#include "worker/distill/weights.h"

namespace retort::distill {
namespace {

std::string Json(const Dataset& dataset, int64_t window, const std::string& channel,
                 const WindowEstimate& estimate, const Decoded& decoded) {
  google::protobuf::Struct row;
  auto& fields = *row.mutable_fields();
  fields["window"].set_number_value(static_cast<double>(window));
  fields["recording"].set_string_value(dataset.recordings[dataset.recording_W[window]]);
  fields["start_s"].set_number_value(dataset.start_s_W[window]);
  fields["subject"].set_string_value(dataset.subjects[estimate.subject]);
  fields["reference_bpm"].set_number_value(estimate.reference_bpm);
  fields["channel"].set_string_value(channel);
  fields["median_bpm"].set_number_value(decoded.median_bpm);
  fields["argmax_bpm"].set_number_value(decoded.argmax_bpm);
  fields["expectation_bpm"].set_number_value(decoded.expectation_bpm);
  fields["confidence"].set_number_value(decoded.confidence);
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(row, &json);  // finite numbers and texts print
  return json;
}

}  // namespace

Expected<bool> Predict(const std::string& weights_path, const std::string& dataset_path,
                       const std::function<void(const std::string& json)>& emit) {
  auto bytes = ReadWholeFile(weights_path);
  if (!bytes.ok()) return Error{bytes.error()};
  const auto file = Safetensors::Parse(*bytes, weights_path);
  if (!file.ok()) return Error{file.error()};
  const auto header = CheckWeights(*file);
  if (!header.ok()) return Error{header.error()};
  auto dataset = ReadDataset(dataset_path);
  if (!dataset.ok()) return Error{dataset.error()};
  const auto fits = CheckFits(*header, weights_path, *dataset, dataset_path);
  if (!fits.ok()) return fits;
  try {
    const auto network =
        ParseWeights(*std::move(bytes), weights_path, header->model, header->samples);
    const auto data = LoadDataset(*std::move(dataset), "");
    const auto windows = AllWindows(data->info);
    const auto estimates = EstimateWindows(*network, *data, windows, [] {});
    for (const int64_t window : windows) {
      const WindowEstimate& estimate = estimates[window];
      for (size_t c = 0; c < estimate.channels.size(); ++c) {
        emit(Json(data->info, window, data->info.channels[c], estimate, estimate.channels[c]));
      }
      if (estimate.channels.size() > 1) {
        emit(Json(data->info, window, "all", estimate, estimate.all_channels));
      }
    }
    return true;
  } catch (const Failure& failure) {
    return Error{failure.what()};
  }
}

}  // namespace retort::distill
