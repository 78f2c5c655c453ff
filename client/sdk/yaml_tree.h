// A YAML document as a tree that remembers where everything stands, for strict readers.
#ifndef RETORT_CLIENT_SDK_YAML_TREE_H_
#define RETORT_CLIENT_SDK_YAML_TREE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace retort {

// A place in a file, counted from 1.
struct Place {
  int line = 1;
  int column = 1;
};

// One value. A mapping's values carry their keys; order is the file's.
struct YamlNode {
  enum class Kind { kNull, kScalar, kList, kMapping };

  Kind kind = Kind::kNull;
  std::string text;     // of a scalar
  bool quoted = false;  // a scalar in quotes is text and never a number
  Place place;
  std::string key;  // of a value in a mapping
  Place key_place;
  std::vector<YamlNode> items;  // of a list or mapping

  bool is_scalar() const { return kind == Kind::kScalar; }
  bool is_list() const { return kind == Kind::kList; }
  bool is_mapping() const { return kind == Kind::kMapping; }
  // The value of a mapping's key, or null.
  const YamlNode* Find(std::string_view key) const;
  // What it is, for errors: `nothing`, `'text'`, `a list`, `a mapping`.
  std::string Described() const;
};

// Reads one document. INVALID_ARGUMENT with `file:line:column: `: more than 1 MiB, nested deeper
// than 16, more than 100,000 values, not YAML, a key that stands twice, anchors, aliases or tags
// (they let a small file mean a huge one).
absl::StatusOr<YamlNode> ParseYaml(const std::string& text, std::string_view file);

// `file:line:column: message` as INVALID_ARGUMENT.
absl::Status ErrorAt(std::string_view file, Place place, std::string_view message);

}  // namespace retort

#endif  // RETORT_CLIENT_SDK_YAML_TREE_H_
