#include "common/training_id.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/hash.h"
#include "common/spec/labels.h"

namespace retort {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::string Value(const Message& message, const FieldDescriptor& field, int index) {
  const auto& r = *message.GetReflection();
  const bool many = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(many ? r.GetRepeatedInt32(message, &field, index)
                               : r.GetInt32(message, &field));
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(many ? r.GetRepeatedInt64(message, &field, index)
                               : r.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      const double value =
          many ? r.GetRepeatedDouble(message, &field, index) : r.GetDouble(message, &field);
      return ShortNumber(value == 0 ? 0 : value);  // -0 is 0
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      return (many ? r.GetRepeatedBool(message, &field, index) : r.GetBool(message, &field))
                 ? "true"
                 : "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return (many ? r.GetRepeatedEnum(message, &field, index) : r.GetEnum(message, &field))
          ->name();
    case FieldDescriptor::CPPTYPE_STRING:
      return absl::CHexEscape(many ? r.GetRepeatedString(message, &field, index)
                                   : r.GetString(message, &field));
    default:
      return "?";  // no specification has another type; the golden hashes would show it
  }
}

void Collect(const Message& message, const std::string& path, std::vector<std::string>& lines) {
  const auto& r = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  r.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const int count = field->is_repeated() ? r.FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      std::string here = path.empty() ? field->name() : absl::StrCat(path, ".", field->name());
      if (field->is_repeated()) absl::StrAppend(&here, "[", absl::Dec(i, absl::kZeroPad6), "]");
      if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) {
        lines.push_back(absl::StrCat(here, "=", Value(message, *field, i)));
        continue;
      }
      // A message that is set but empty still says something (`scratch`).
      lines.push_back(absl::StrCat(here, "={}"));
      Collect(field->is_repeated() ? r.GetRepeatedMessage(message, field, i)
                                   : r.GetMessage(message, field),
              here, lines);
    }
  }
}

}  // namespace

std::string CanonicalTraining(const v1::TrainingSpec& spec) {
  std::vector<std::string> lines;
  Collect(spec, "", lines);
  std::sort(lines.begin(), lines.end());
  return absl::StrCat("retort-training-1\n", absl::StrJoin(lines, "\n"), "\n");
}

JobId TrainingId(const v1::TrainingSpec& spec) { return JobId(Sha256Of(CanonicalTraining(spec))); }

}  // namespace retort
