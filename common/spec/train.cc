#include "common/spec/train.h"

#include "common/spec/labels.h"
#include "retort/v1/options.pb.h"

namespace retort {
namespace {

int BatchOf(const v1::TrainSpec& train) {
  if (train.has_batch()) return train.batch();
  const auto* field = v1::TrainSpec::descriptor()->FindFieldByName("batch");
  return std::stoi(field->options().GetExtension(v1::rule).default_value());
}

}  // namespace

Expected<bool> CheckTrain(const v1::TrainSpec& train) {
  const std::string patience = "patience: " + std::to_string(train.patience());
  if (train.patience() > 0 && train.keep() != v1::KEEP_BEST) {
    return Error{patience +
                 "; needs keep: best, since it waits for a better error on validation subjects"};
  }
  if (train.patience() > 0 && train.schedule() != v1::SCHEDULE_CONSTANT) {
    return Error{patience +
                 "; needs schedule: constant, since one_cycle and cosine are planned over all "
                 "epochs, and a run that stops sooner has not followed them"};
  }
  if (train.microbatch() > BatchOf(train)) {
    return Error{"microbatch: " + std::to_string(train.microbatch()) +
                 "; must be at most the batch (" + std::to_string(BatchOf(train)) + "), or auto"};
  }
  return true;
}

void ClearNeutral(v1::TrainSpec& train) {
  if (train.patience() == 0) train.clear_patience();
  if (train.microbatch() == train.batch()) train.clear_microbatch();
  if (train.precision() == v1::PRECISION_FP32) train.clear_precision();
}

std::string TrainText(const v1::TrainSpec& train, const std::vector<std::string>& fields) {
  v1::TrainSpec whole = train;
  if (!whole.has_patience()) whole.set_patience(0);
  if (!whole.has_microbatch()) whole.set_microbatch(whole.batch());
  if (!whole.has_precision()) whole.set_precision(v1::PRECISION_FP32);
  std::string text;
  for (const std::string& name : fields) {
    const auto* field = v1::TrainSpec::descriptor()->FindFieldByName(name);
    if (field == nullptr) continue;
    text += (text.empty() ? "" : ",") + name + "=" + FieldText(whole, *field);
  }
  return text;
}

int WindowsAtOnce(const v1::TrainSpec& train) {
  return train.microbatch() > 0 ? train.microbatch() : train.batch();
}

}  // namespace retort
