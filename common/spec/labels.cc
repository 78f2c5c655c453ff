#include "common/spec/labels.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <charconv>
#include <vector>

#include "retort/v1/options.pb.h"

namespace retort {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// `name=value` of each field that is set to something else than its default, in order of number.
std::vector<std::string> Unusual(const Message& message, std::string_view skip_prefix = "") {
  std::vector<std::string> out;
  const auto& descriptor = *message.GetDescriptor();
  for (int i = 0; i < descriptor.field_count(); ++i) {
    const FieldDescriptor& field = *descriptor.field(i);
    if (!message.GetReflection()->HasField(message, &field)) continue;
    if (!skip_prefix.empty() && skip_prefix.find(" " + field.name() + " ") != std::string::npos) {
      continue;
    }
    const std::string value = FieldText(message, field);
    if (value == field.options().GetExtension(v1::rule).default_value()) continue;
    out.push_back(field.name() + "=" + value);
  }
  return out;
}

std::string Join(const std::vector<std::string>& parts) {
  std::string out;
  for (const auto& part : parts) out += (out.empty() ? "" : ",") + part;
  return out;
}

const Message* SetKind(const v1::MethodSpec& method) {
  const auto* oneof = method.GetDescriptor()->oneof_decl(0);
  const auto* field = method.GetReflection()->GetOneofFieldDescriptor(method, oneof);
  return field == nullptr ? nullptr : &method.GetReflection()->GetMessage(method, field);
}

}  // namespace

std::string FieldText(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32: {
      const int32_t number = reflection.GetInt32(message, &field);
      const std::string& zero = field.options().GetExtension(v1::rule).word_for_zero();
      return number == 0 && !zero.empty() ? zero : std::to_string(number);
    }
    case FieldDescriptor::CPPTYPE_INT64:
      return std::to_string(reflection.GetInt64(message, &field));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return ShortNumber(reflection.GetDouble(message, &field));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection.GetBool(message, &field) ? "true" : "false";
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection.GetString(message, &field);
    case FieldDescriptor::CPPTYPE_ENUM: {
      // FEATURE_NORM_L2 of FeatureNorm is `l2`: the value at 0 is PREFIX_UNSPECIFIED.
      const auto* value = reflection.GetEnum(message, &field);
      const size_t prefix =
          field.enum_type()->value(0)->name().size() - std::string_view("UNSPECIFIED").size();
      std::string name = value->name().substr(prefix);
      for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      return name;
    }
    default:
      return "?";
  }
}

std::string ShortNumber(double value) {
  char buffer[32];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, value).ptr;
  return std::string(buffer, end);
}

std::string ModelLabel(const v1::ModelSpec& model, double usual_dropout) {
  std::string label;
  std::vector<std::string> extras;
  double dropout = usual_dropout;
  switch (model.family_case()) {
    case v1::ModelSpec::kResnet1D: {
      const auto& net = model.resnet1d();
      label = "resnet1d-" + std::to_string(net.base()) + "/" + std::to_string(net.blocks());
      extras = Unusual(net, " base blocks dropout ");
      if (net.has_dropout()) dropout = net.dropout();
      break;
    }
    case v1::ModelSpec::kMlp: {
      const auto& net = model.mlp();
      label = "mlp-" + std::to_string(net.width()) + "x" + std::to_string(net.depth());
      extras = Unusual(net, " width depth dropout ");
      if (net.has_dropout()) dropout = net.dropout();
      break;
    }
    case v1::ModelSpec::FAMILY_NOT_SET:
      return "";
  }
  if (dropout != usual_dropout) extras.push_back("dropout=" + ShortNumber(dropout));
  return extras.empty() ? label : label + "," + Join(extras);
}

std::string MethodName(const v1::MethodSpec& method) {
  const auto* oneof = method.GetDescriptor()->oneof_decl(0);
  const auto* field = method.GetReflection()->GetOneofFieldDescriptor(method, oneof);
  return field == nullptr ? "" : field->name();
}

std::string MethodLabel(const v1::MethodSpec& method) {
  const Message* kind = SetKind(method);
  if (kind == nullptr) return "";
  const std::string extras = Join(Unusual(*kind));
  return extras.empty() ? MethodName(method) : MethodName(method) + "(" + extras + ")";
}

bool NeedsTeacher(const v1::MethodSpec& method) {
  return method.kind_case() != v1::MethodSpec::kScratch &&
         method.kind_case() != v1::MethodSpec::KIND_NOT_SET;
}

double TargetWidth(const v1::MethodSpec& method) {
  const Message* kind = SetKind(method);
  if (kind == nullptr) return 0;
  const auto* sigma = kind->GetDescriptor()->FindFieldByName("sigma");
  return sigma == nullptr ? 0 : kind->GetReflection()->GetDouble(*kind, sigma);
}

std::optional<ComparedFeatures> FeaturesOf(const v1::MethodSpec& method) {
  const Message* kind = SetKind(method);
  if (kind == nullptr) return std::nullopt;
  const auto field = [&](const char* name) { return kind->GetDescriptor()->FindFieldByName(name); };
  const auto *student = field("student_stage"), *teacher = field("teacher_stage"),
             *norm = field("norm");
  if (student == nullptr || teacher == nullptr || norm == nullptr) return std::nullopt;
  const auto& reflection = *kind->GetReflection();
  return ComparedFeatures{reflection.GetString(*kind, student),
                          reflection.GetString(*kind, teacher),
                          static_cast<v1::FeatureNorm>(reflection.GetEnumValue(*kind, norm))};
}

bool GlobMatches(std::string_view glob, std::string_view text) {
  // Greedy with one point of return: the last * swallows one more character after each failure.
  size_t g = 0, t = 0, star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      resume = t;
    } else if (g < glob.size() && glob[g] == text[t]) {
      ++g, ++t;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

}  // namespace retort
