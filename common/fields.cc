#include "common/fields.h"

#include <google/protobuf/duration.pb.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "common/spec/labels.h"
#include "common/status.h"
#include "retort/v1/options.pb.h"

namespace retort {
namespace {

using google::protobuf::Duration;
using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

// Enumerators as files spell them: without the prefix that ends where UNSPECIFIED begins, in lower
// case.
std::string EnumSpelling(const EnumDescriptor& type, int index) {
  const size_t prefix = type.value(0)->name().size() - std::string_view("UNSPECIFIED").size();
  return absl::AsciiStrToLower(type.value(index)->name().substr(prefix));
}

std::vector<std::string> EnumSpellings(const EnumDescriptor& type) {
  std::vector<std::string> out;
  for (int i = 1; i < type.value_count(); ++i) out.push_back(EnumSpelling(type, i));
  return out;
}

absl::Status WantedInstead(std::string_view value, std::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("'", Absl(value), "'; expected ", Absl(what)));
}

bool IsDuration(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE &&
         field.message_type() == Duration::descriptor();
}

absl::Status SetDuration(Message& message, const FieldDescriptor& field, std::string_view value) {
  absl::Duration duration;
  if (!absl::ParseDuration(Absl(value), &duration) || duration == absl::InfiniteDuration() ||
      duration == -absl::InfiniteDuration()) {
    return WantedInstead(value, "a duration such as 90s, 15m or 1h30m");
  }
  auto& proto = static_cast<Duration&>(*message.GetReflection()->MutableMessage(&message, &field));
  proto.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  proto.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
  return absl::OkStatus();
}

absl::Status SetEnum(Message& message, const FieldDescriptor& field, std::string_view value) {
  const EnumDescriptor& type = *field.enum_type();
  for (int i = 1; i < type.value_count(); ++i) {
    if (EnumSpelling(type, i) == value) {
      message.GetReflection()->SetEnum(&message, &field, type.value(i));
      return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", Absl(value), "'", Suggestion(value, EnumSpellings(type))));
}

absl::Status SetScalar(Message& message, const FieldDescriptor& field, std::string_view value) {
  const auto& reflection = *message.GetReflection();
  const absl::string_view text = Absl(value);
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      int32_t number = 0;
      const std::string& zero = field.options().GetExtension(v1::rule).word_for_zero();
      const bool is_word = !zero.empty() && value == zero;
      if (!is_word && (!absl::SimpleAtoi(text, &number) || (number == 0 && !zero.empty()))) {
        return WantedInstead(value, zero.empty() ? "a whole number" : "a whole number or " + zero);
      }
      reflection.SetInt32(&message, &field, number);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_INT64: {
      int64_t number = 0;
      if (!absl::SimpleAtoi(text, &number)) return WantedInstead(value, "a whole number");
      reflection.SetInt64(&message, &field, number);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_DOUBLE: {
      double number = 0;
      if (!absl::SimpleAtod(text, &number) || !std::isfinite(number)) {
        return WantedInstead(value, "a number");
      }
      reflection.SetDouble(&message, &field, number);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_BOOL:
      if (value != "true" && value != "false") return WantedInstead(value, "true or false");
      reflection.SetBool(&message, &field, value == "true");
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_STRING:
      reflection.SetString(&message, &field, std::string(value));
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_ENUM:
      return SetEnum(message, field, value);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (IsDuration(field)) return SetDuration(message, field, value);
      return WantedInstead(value, "a mapping");
    default:
      return absl::InternalError(
          absl::StrCat("field ", field.full_name(), " has an unsupported type"));
  }
}

// The value of a numeric field or Duration (in seconds).
std::optional<double> Number(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection.GetInt32(message, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return static_cast<double>(reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection.GetDouble(message, &field);
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      if (!IsDuration(field)) return std::nullopt;
      const auto& duration = static_cast<const Duration&>(reflection.GetMessage(message, &field));
      return static_cast<double>(duration.seconds()) + duration.nanos() * 1e-9;
    }
    default:
      return std::nullopt;
  }
}

absl::Status CheckRule(double value, const v1::FieldRule& rule, std::string_view path) {
  const bool good = std::isfinite(value) && (!rule.has_min() || value >= rule.min()) &&
                    (!rule.has_max() || value <= rule.max()) &&
                    (!rule.has_above() || value > rule.above());
  if (good || (value == 0 && !rule.word_for_zero().empty())) return absl::OkStatus();
  std::vector<std::string> bounds;
  if (rule.has_above()) bounds.push_back("above " + ShortNumber(rule.above()));
  if (rule.has_min()) bounds.push_back("at least " + ShortNumber(rule.min()));
  if (rule.has_max()) bounds.push_back("at most " + ShortNumber(rule.max()));
  if (bounds.empty()) bounds.push_back("finite");
  return absl::InvalidArgumentError(absl::StrCat(
      Absl(path), ": ", ShortNumber(value), "; must be ", absl::StrJoin(bounds, " and "),
      rule.word_for_zero().empty() ? "" : ", or " + rule.word_for_zero()));
}

// Insertions, deletions, replacements and swaps of neighbours (the commonest slip of the hand).
int EditDistance(std::string_view a, std::string_view b) {
  std::vector<int> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    before = std::exchange(last, row);
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::string EnumWord(const EnumDescriptor& type, int number) {
  const auto* value = type.FindValueByNumber(number);
  return value == nullptr ? absl::StrCat(number) : EnumSpelling(type, value->index());
}

std::vector<std::string> FieldNames(const Message& message) {
  std::vector<std::string> names;
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    names.push_back(message.GetDescriptor()->field(i)->name());
  }
  return names;
}

absl::Status SetField(Message& message, std::string_view name, std::string_view value) {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(std::string(name));
  if (field == nullptr || field->is_repeated()) {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown key", Suggestion(name, FieldNames(message))));
  }
  return SetScalar(message, *field, value);
}

void FillDefaults(Message& message) {
  const auto& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    if (field.is_repeated()) continue;
    if (reflection.HasField(message, &field)) {
      if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        FillDefaults(*reflection.MutableMessage(&message, &field));
      }
      continue;
    }
    const std::string& value = field.options().GetExtension(v1::rule).default_value();
    // A default that does not parse is a mistake in a .proto file; tests/unit fills every message
    // once.
    if (!value.empty()) (void)SetScalar(message, field, value);
  }
}

absl::Status CheckRules(const Message& message, std::string_view path) {
  const auto& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->is_map()) continue;
    const std::string here =
        path.empty() ? field->name() : absl::StrCat(Absl(path), ".", field->name());
    const bool nested = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (field->is_repeated()) {
      for (int i = 0; nested && i < reflection.FieldSize(message, field); ++i) {
        RETORT_RETURN_IF_ERROR(CheckRules(reflection.GetRepeatedMessage(message, field, i),
                                          absl::StrCat(here, "[", i, "]")));
      }
      continue;
    }
    if (const auto number = Number(message, *field); number.has_value()) {
      RETORT_RETURN_IF_ERROR(CheckRule(*number, field->options().GetExtension(v1::rule), here));
    } else if (nested) {
      RETORT_RETURN_IF_ERROR(CheckRules(reflection.GetMessage(message, field), here));
    }
  }
  return absl::OkStatus();
}

std::string Nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  int best_distance = static_cast<int>(std::max<size_t>(word.size(), 3)) / 3 + 1;
  for (const std::string& candidate : candidates) {
    const int distance = EditDistance(word, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string Suggestion(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string nearest = Nearest(word, candidates);
  const std::string all = absl::StrCat("expected one of: ", absl::StrJoin(candidates, ", "));
  return nearest.empty() ? absl::StrCat("; ", all)
                         : absl::StrCat("; did you mean '", nearest, "'? (", all, ")");
}

}  // namespace retort
