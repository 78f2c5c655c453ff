#include "client/sdk/sweep_schema.h"

#include <gtest/gtest.h>

#include "client/sdk/yaml_tree.h"
#include "common/files.h"
#include "nlohmann/json.hpp"

namespace retort {
namespace {

using Json = nlohmann::json;

// True if some alternative of the schema allows every key of the node and below; only keys and
// kinds are looked at.
bool Allows(const Json& schema, const YamlNode& node) {
  for (const char* choice : {"anyOf", "oneOf"}) {
    if (!schema.contains(choice) || schema.contains("properties")) continue;
    for (const Json& alternative : schema[choice]) {
      if (Allows(alternative, node)) return true;
    }
    return false;
  }
  const std::string type = schema.value("type", "scalar");
  if (type == "array") {
    if (!node.is_list()) return false;
    for (const YamlNode& item : node.items) {
      if (!Allows(schema["items"], item)) return false;
    }
    return true;
  }
  if (type != "object") return node.is_scalar();
  if (!node.is_mapping()) return false;
  for (const YamlNode& item : node.items) {
    const Json& rest = schema["additionalProperties"];
    if (schema.contains("properties") && schema["properties"].contains(item.key)) {
      if (!Allows(schema["properties"][item.key], item)) return false;
    } else if (rest.is_boolean() || !Allows(rest, item)) {
      return false;
    }
  }
  return true;
}

YamlNode ReadSweep(const std::string& name) {
  const auto text = ReadFile(std::string(RETORT_SOURCE_DIR "/deploy/sweeps/") + name);
  EXPECT_TRUE(text.ok()) << text.status();
  const auto root = ParseYaml(*text, name);
  EXPECT_TRUE(root.ok()) << root.status();
  return *root;
}

TEST(SweepSchema, IsTheFileThatEditorsRead) {
  const auto kept = ReadFile(RETORT_SOURCE_DIR "/deploy/sweeps/sweep.schema.json");
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(*kept, SweepSchema())
      << "write it anew:  retort sweep schema > deploy/sweeps/sweep.schema.json";
}

TEST(SweepSchema, AllowsEveryKeyOfTheExamplesAndNoOther) {
  const Json schema = Json::parse(SweepSchema());
  for (const char* name : {"annotated.yaml", "demo.yaml", "ieee.yaml", "study.yaml"}) {
    EXPECT_TRUE(Allows(schema, ReadSweep(name))) << name;
  }
  for (const char* bad : {"trian: {}", "train: {epoch: 3}", "students: [{mlp: {widht: 3}}]",
                          "methods: [{soft: {sigmas: 3}}]", "split: {kfold: [2, 3]}"}) {
    const auto root = ParseYaml(bad, "bad");
    ASSERT_TRUE(root.ok());
    EXPECT_FALSE(Allows(schema, *root)) << bad;
  }
}

}  // namespace
}  // namespace retort
