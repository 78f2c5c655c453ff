#include "client/sdk/sweep_schema.h"

#include <google/protobuf/descriptor.h>

#include <vector>

#include "absl/strings/ascii.h"
#include "client/sdk/given_teachers.h"
#include "nlohmann/json.hpp"
#include "retort/v1/options.pb.h"
#include "retort/v1/spec.pb.h"

namespace retort {
namespace {

using Json = nlohmann::ordered_json;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;

// One value or a list of them: an axis.
Json Axis(const Json& value) {
  return {{"oneOf", {value, {{"type", "array"}, {"minItems", 1}, {"items", value}}}}};
}

Json ListOf(const Json& item) { return {{"type", "array"}, {"minItems", 1}, {"items", item}}; }

Json ObjectOf(Json properties, std::vector<std::string> required = {}) {
  Json object = {{"type", "object"}, {"additionalProperties", false}};
  object["properties"] = std::move(properties);
  if (!required.empty()) object["required"] = required;
  return object;
}

// Enumerators as files spell them: without the prefix of their type.
Json EnumSchema(const google::protobuf::EnumDescriptor& type) {
  const size_t prefix = type.value(0)->name().size() - std::string_view("UNSPECIFIED").size();
  Json values = Json::array();
  for (int i = 1; i < type.value_count(); ++i) {
    values.push_back(absl::AsciiStrToLower(type.value(i)->name().substr(prefix)));
  }
  return {{"enum", values}};
}

Json ScalarSchema(const FieldDescriptor& field) {
  const v1::FieldRule& rule = field.options().GetExtension(v1::rule);
  Json schema;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
      schema["type"] = "integer";
      break;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      schema["type"] = "number";
      break;
    case FieldDescriptor::CPPTYPE_BOOL:
      schema["type"] = "boolean";
      break;
    case FieldDescriptor::CPPTYPE_ENUM:
      schema = EnumSchema(*field.enum_type());
      break;
    case FieldDescriptor::CPPTYPE_MESSAGE:  // google.protobuf.Duration
      return {{"type", "string"}, {"description", "a duration such as 90s, 15m or 1h30m"}};
    default:
      schema["type"] = "string";
  }
  if (rule.has_min()) schema["minimum"] = rule.min();
  if (rule.has_max()) schema["maximum"] = rule.max();
  if (rule.has_above()) schema["exclusiveMinimum"] = rule.above();
  if (!rule.default_value().empty()) {
    schema["description"] = "when left out: " + rule.default_value();
  }
  if (!rule.word_for_zero().empty()) {
    return {{"anyOf", {{{"const", rule.word_for_zero()}}, schema}}};
  }
  return schema;
}

// The fields of a message as properties; `axes`: each may be a list.
Json Fields(const Descriptor& message, bool axes) {
  Json properties = Json::object();
  for (int i = 0; i < message.field_count(); ++i) {
    const FieldDescriptor& field = *message.field(i);
    const Json scalar = ScalarSchema(field);
    properties[field.name()] = axes ? Axis(scalar) : scalar;
  }
  return properties;
}

Json NetworkSchema(bool named) {
  const Json shorthand = {{"type", "string"}, {"pattern", "^[0-9]+/[0-9]+$"}};
  Json resnet = {
      {"anyOf",
       {shorthand, ObjectOf(Fields(*v1::ResNet1dSpec::descriptor(), true), {"base", "blocks"})}}};
  Json mlp = ObjectOf(Fields(*v1::MlpSpec::descriptor(), true), {"width", "depth"});
  Json properties = {{"resnet1d", Axis(resnet)}, {"mlp", Axis(mlp)}};
  if (named) properties["name"] = {{"type", "string"}};
  Json entry = ObjectOf(properties);
  entry["oneOf"] = {{{"required", {"resnet1d"}}}, {{"required", {"mlp"}}}};
  return entry;
}

// A network that the sweep trains, or a file.
Json TeacherSchema() {
  const Json text = {{"type", "string"}};
  Json teachers = {NetworkSchema(/*named=*/true)};
  for (const std::string& kind : GivenKeys()) {
    teachers.push_back(
        ObjectOf({{"name", text}, {kind, text}, {"trained_on", ListOf(text)}}, {"name", kind}));
  }
  return {{"anyOf", teachers}};
}

Json MethodSchema() {
  const Descriptor& method = *v1::MethodSpec::descriptor();
  Json names = Json::array();
  Json kinds = Json::object();
  for (int i = 0; i < method.field_count(); ++i) {
    const FieldDescriptor& kind = *method.field(i);
    names.push_back(kind.name());
    Json fields = Fields(*kind.message_type(), true);
    if (kind.name() != "scratch") fields["teachers"] = ListOf({{"type", "string"}});
    if (kind.name() == "dkd") fields["preset"] = {{"enum", {"zhao2022"}}};
    kinds[kind.name()] = ObjectOf(fields);
  }
  Json mapping = ObjectOf(kinds);
  mapping["minProperties"] = mapping["maxProperties"] = 1;
  return {{"anyOf", {{{"enum", names}}, mapping}}};
}

Json SplitSchema() {
  Json fields = Fields(*v1::SplitSpec::descriptor(), false);
  fields["by"] = {{"const", "subject"}};
  fields["folds"] = ListOf({{"type", "integer"}, {"minimum", 0}});
  return ObjectOf(fields);
}

Json OverrideSchema() {
  Json fields = Fields(*v1::JobMatch::descriptor(), false);
  fields["train"] = ObjectOf(Fields(*v1::TrainSpec::descriptor(), false));
  fields["memory_gib"] = ScalarSchema(*v1::Override::descriptor()->FindFieldByName("memory_gib"));
  Json entry = ObjectOf(fields);
  entry["anyOf"] = {{{"required", {"train"}}}, {{"required", {"memory_gib"}}}};
  return entry;
}

}  // namespace

std::string SweepSchema() {
  const Json text = {{"type", "string"}};
  const Json names = ListOf(text);
  const Json dataset = ObjectOf({{"path", text}, {"prepare", text}}, {"path"});
  Json top;
  top["name"] = {{"type", "string"}, {"pattern", "^[a-z0-9][a-z0-9-]{0,62}$"}};
  top["description"] = {{"type", "string"}, {"maxLength", 4096}};
  top["priority"] = ScalarSchema(*v1::SweepSpec::descriptor()->FindFieldByName("priority"));
  top["datasets"] = {{"type", "object"}, {"minProperties", 1}, {"additionalProperties", dataset}};
  top["train_on"] = names;
  top["evaluate"] = names;
  top["split"] = SplitSchema();
  top["teachers"] = ListOf(TeacherSchema());
  top["students"] = ListOf(NetworkSchema(/*named=*/false));
  top["methods"] = ListOf(MethodSchema());
  top["train"] = ObjectOf(Fields(*v1::TrainSpec::descriptor(), true));
  top["seeds"] = ListOf({{"type", "integer"}, {"minimum", 0}});
  top["zip"] = ListOf({{"type", "array"}, {"minItems", 2}, {"items", text}});
  top["exclude"] = ListOf(ObjectOf(Fields(*v1::JobMatch::descriptor(), false)));
  top["overrides"] = ListOf(OverrideSchema());
  top["select"] = ObjectOf({{"by", {{"const", "val.mae_bpm"}}}}, {"by"});
  top["budget"] = ObjectOf(Fields(*v1::Budget::descriptor(), false));
  for (const char* field : {"memory_gib", "checkpoint_every", "wall_limit"}) {
    top[field] = ScalarSchema(*v1::SweepSpec::descriptor()->FindFieldByName(field));
  }
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                 {"title", "Retort sweep file"}};
  schema.update(ObjectOf(top, {"name", "datasets", "split"}));
  return schema.dump(1) + "\n";
}

}  // namespace retort
