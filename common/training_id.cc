#include "common/training_id.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/hash.h"
#include "common/spec/labels.h"

namespace retort {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

void AppendValue(const Message& message, const FieldDescriptor& field, int index,
                 std::string& out) {
  const auto& r = *message.GetReflection();
  const bool many = field.is_repeated();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      absl::StrAppend(
          &out, many ? r.GetRepeatedInt32(message, &field, index) : r.GetInt32(message, &field));
      return;
    case FieldDescriptor::CPPTYPE_INT64:
      absl::StrAppend(
          &out, many ? r.GetRepeatedInt64(message, &field, index) : r.GetInt64(message, &field));
      return;
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      const double value =
          many ? r.GetRepeatedDouble(message, &field, index) : r.GetDouble(message, &field);
      out += ShortNumber(value == 0 ? 0 : value);  // -0 is 0
      return;
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      out += (many ? r.GetRepeatedBool(message, &field, index) : r.GetBool(message, &field))
                 ? "true"
                 : "false";
      return;
    case FieldDescriptor::CPPTYPE_ENUM:
      out +=
          (many ? r.GetRepeatedEnum(message, &field, index) : r.GetEnum(message, &field))->name();
      return;
    case FieldDescriptor::CPPTYPE_STRING: {
      std::string scratch;
      const std::string& text = many
                                    ? r.GetRepeatedStringReference(message, &field, index, &scratch)
                                    : r.GetStringReference(message, &field, &scratch);
      out += absl::CHexEscape(text);
      return;
    }
    default:
      out += "?";  // no specification has another type; the golden hashes would show it
  }
}

// Fields of a message by name.
const std::vector<const FieldDescriptor*>& FieldsByName(const Descriptor& descriptor) {
  thread_local absl::flat_hash_map<const Descriptor*, std::vector<const FieldDescriptor*>> known;
  auto& fields = known[&descriptor];
  if (fields.empty()) {
    for (int i = 0; i < descriptor.field_count(); ++i) fields.push_back(descriptor.field(i));
    std::sort(fields.begin(), fields.end(),
              [](const auto* a, const auto* b) { return a->name() < b->name(); });
  }
  return fields;
}

// One line for each field that is set, in the order of the lines' bytes: what is below a field
// comes before the field's own line (`.` and the digits in brackets sort below and above `=`), and
// fields come by name. A million jobs are named at once: everything goes into one string.
void Collect(const Message& message, std::string& path, std::string& out) {
  const auto& r = *message.GetReflection();
  const size_t length = path.size();
  for (const FieldDescriptor* field : FieldsByName(*message.GetDescriptor())) {
    const bool many = field->is_repeated();
    const int count = many ? r.FieldSize(message, field) : r.HasField(message, field) ? 1 : 0;
    for (int i = 0; i < count; ++i) {
      if (length > 0) path += '.';
      path += field->name();
      if (many) absl::StrAppend(&path, "[", absl::Dec(i, absl::kZeroPad6), "]");
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        Collect(many ? r.GetRepeatedMessage(message, field, i) : r.GetMessage(message, field), path,
                out);
        // A message that is set but empty still says something (`scratch`).
        absl::StrAppend(&out, path, "={}\n");
      } else {
        absl::StrAppend(&out, path, "=");
        AppendValue(message, *field, i, out);
        out += '\n';
      }
      path.resize(length);
    }
  }
}

// The first line with its end, which leaves the text.
std::string_view TakeLine(std::string_view& text) {
  const std::string_view line = text.substr(0, text.find('\n') + 1);
  text.remove_prefix(line.size());
  return line;
}

// True if the lines are in order; as Collect gives them they are, unless a field's name goes on
// where another's ends.
bool InOrder(std::string_view text) {
  std::string_view last;
  while (!text.empty()) {
    const std::string_view line = TakeLine(text);
    if (line < last) return false;
    last = line;
  }
  return true;
}

// Where a line that begins so belongs in a canonical text.
size_t PlaceOf(std::string_view line, std::string_view text) {
  std::string_view left = text;
  TakeLine(left);  // the head
  for (std::string_view ahead = left; !ahead.empty() && TakeLine(ahead) < line;) left = ahead;
  return text.size() - left.size();
}

}  // namespace

std::string CanonicalTraining(const v1::TrainingSpec& spec) {
  constexpr std::string_view kHead = "retort-training-1\n";
  std::string text(kHead), path;
  text.reserve(2048);
  Collect(spec, path, text);
  const std::string_view lines = std::string_view(text).substr(kHead.size());
  if (InOrder(lines)) return text;
  std::vector<std::string> sorted =
      absl::StrSplit(absl::string_view(text).substr(kHead.size()), '\n');
  sorted.pop_back();  // after the last line
  std::sort(sorted.begin(), sorted.end());
  return absl::StrCat("retort-training-1\n", absl::StrJoin(sorted, "\n"), "\n");
}

JobId TrainingId(const v1::TrainingSpec& spec) { return JobId(Sha256Of(CanonicalTraining(spec))); }

TrainingIds::TrainingIds(const v1::TrainingSpec& common)
    : text_(CanonicalTraining(common)),
      seed_at_(PlaceOf("seed=", text_)),
      teacher_at_(PlaceOf("teacher_job=", text_)) {}

JobId TrainingIds::Of(int64_t seed, const std::optional<JobId>& teacher) const {
  const std::string_view text = text_;
  Sha256 hash;
  hash.Update(text.substr(0, seed_at_));
  if (seed != 0) hash.Update(absl::StrCat("seed=", seed, "\n"));
  hash.Update(text.substr(seed_at_, teacher_at_ - seed_at_));
  if (teacher) hash.Update(absl::StrCat("teacher_job=", teacher->hex(), "\n"));
  hash.Update(text.substr(teacher_at_));
  return JobId(hash.Finish());
}

}  // namespace retort
