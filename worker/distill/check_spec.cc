#include "worker/distill/check_spec.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>

#include "common/spec/given_teacher.h"
#include "common/spec/labels.h"
#include "common/spec/stages.h"
#include "common/spec/train.h"
#include "common/spec/trainer_version.h"
#include "retort/v1/options.pb.h"

namespace retort::distill {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

Error Wrong(const std::string& field, const std::string& why) {
  return Error{"spec." + field + ": " + why};
}

// Unset means something of its own there, or what was done before the field came.
bool MayBeUnset(const FieldDescriptor& field) {
  constexpr const char* kFields[] = {
      "retort.v1.DkdMethod.ce_weight",         "retort.v1.FeatureMethod.student_stage",
      "retort.v1.FeatureMethod.teacher_stage", "retort.v1.TrainSpec.patience",
      "retort.v1.TrainSpec.microbatch",        "retort.v1.TrainSpec.precision"};
  return std::find(std::begin(kFields), std::end(kFields), field.full_name()) != std::end(kFields);
}

// The value of a number or enum as a double.
double NumberOf(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.GetInt32(message, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.GetDouble(message, &field);
    case FieldDescriptor::CPPTYPE_ENUM:
      return reflection.GetEnumValue(message, &field);
    default:
      return 0;
  }
}

Expected<bool> CheckValue(const Message& message, const FieldDescriptor& field,
                          const std::string& path) {
  const double value = NumberOf(message, field);
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_ENUM) {
    const auto* name = field.enum_type()->FindValueByNumber(static_cast<int>(value));
    if (value != 0 && name != nullptr) return true;
    return Wrong(path, ShortNumber(value) + "; must be a value of " + field.enum_type()->name());
  }
  const v1::FieldRule& rule = field.options().GetExtension(v1::rule);
  if (value == 0 && !rule.word_for_zero().empty()) return true;
  // Written so that NaN fails.
  if (rule.has_min() && !(value >= rule.min())) {
    return Wrong(path, ShortNumber(value) + "; must be at least " + ShortNumber(rule.min()));
  }
  if (rule.has_above() && !(value > rule.above())) {
    return Wrong(path, ShortNumber(value) + "; must be above " + ShortNumber(rule.above()));
  }
  if (rule.has_max() && !(value <= rule.max())) {
    return Wrong(path, ShortNumber(value) + "; must be at most " + ShortNumber(rule.max()));
  }
  if (!std::isfinite(value)) return Wrong(path, ShortNumber(value) + "; must be finite");
  return true;
}

// Every field of `message` and of the messages in it; outside a oneof each must be set.
Expected<bool> CheckFields(const Message& message, const std::string& path) {
  const auto& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    const std::string name = path + "." + field.name();
    if (!reflection.HasField(message, &field)) {
      if (field.real_containing_oneof() != nullptr || MayBeUnset(field)) continue;
      return Wrong(name, "not set; a job's spec has every default written out");
    }
    const auto checked = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE
                             ? CheckFields(reflection.GetMessage(message, &field), name)
                             : CheckValue(message, field, name);
    if (!checked.ok()) return checked;
  }
  return true;
}

Expected<bool> CheckModel(const v1::ModelSpec& model, const std::string& path) {
  if (model.family_case() == v1::ModelSpec::FAMILY_NOT_SET) {
    return Wrong(path, "no family; must be resnet1d or mlp");
  }
  return CheckFields(model, path);
}

Expected<bool> CheckTeacher(const v1::TrainingSpec& spec) {
  const std::string method = MethodName(spec.method());
  const bool given = spec.has_given_teacher();
  if (!NeedsTeacher(spec.method())) {
    if (given)
      return Wrong("given_teacher", "set; the method " + method + " learns from no teacher");
    if (spec.teacher_job().empty() && !spec.has_teacher_model()) return true;
    return Wrong("teacher_job",
                 "'" + spec.teacher_job() + "'; the method " + method + " learns from no teacher");
  }
  if (given) {
    if (HashOf(spec.given_teacher()).empty()) {
      return Wrong("given_teacher", "no file; must be weights, outputs or a TorchScript module");
    }
    if (spec.teacher_job().empty() && !spec.has_teacher_model()) return true;
    return Wrong("given_teacher", "stands beside teacher_job or teacher_model; must be alone");
  }
  if (spec.teacher_job().empty()) {
    return Wrong("teacher_job", "empty; the method " + method + " learns from a teacher");
  }
  return CheckModel(spec.teacher_model(), "teacher_model");
}

}  // namespace

Expected<bool> CheckSpec(const v1::TrainingSpec& spec) {
  if (spec.trainer_version() != kTrainerVersion) {
    return Wrong("trainer_version", std::to_string(spec.trainer_version()) +
                                        "; this runner has version " +
                                        std::to_string(kTrainerVersion));
  }
  if (spec.dataset().sha256().empty()) return Wrong("dataset", "not set");
  if (spec.evaluate().empty()) {
    return Wrong("evaluate", "empty; must name at least one dataset to test on");
  }
  if (spec.method().kind_case() == v1::MethodSpec::KIND_NOT_SET) {
    return Wrong("method", "not set; must be scratch, hard, soft, dkd or feature");
  }
  if (auto checked = CheckModel(spec.model(), "model"); !checked.ok()) return checked;
  if (auto checked = CheckFields(spec.method(), "method"); !checked.ok()) return checked;
  if (auto checked = CheckStages(spec); !checked.ok())
    return Error{"spec.method." + checked.error()};
  if (auto checked = CheckFields(spec.train(), "train"); !checked.ok()) return checked;
  if (auto agrees = CheckTrain(spec.train()); !agrees.ok()) {
    return Error{"spec.train." + agrees.error()};
  }
  return CheckTeacher(spec);
}

}  // namespace retort::distill
