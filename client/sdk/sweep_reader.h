// What the readers of the parts of a sweep file share: errors that say where, strict keys, values
// checked against the descriptors' rules.
#ifndef RETORT_CLIENT_SDK_SWEEP_READER_H_
#define RETORT_CLIENT_SDK_SWEEP_READER_H_

#include <google/protobuf/message.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/sdk/yaml_tree.h"
#include "common/fields.h"
#include "common/status.h"

namespace retort {

// A sweep file's text as a tree, and the place of each path such as `students[1].mlp.width`.
class SweepReader {
 public:
  SweepReader(std::string file, const YamlNode& root);

  const std::string& file() const { return file_; }

  // `file:line:column: path: message` at the path's value, or at its nearest parent's.
  absl::Status Fail(std::string_view path, std::string_view message) const;
  // The same at the key of a value.
  absl::Status FailAtKey(const YamlNode& node, std::string_view path,
                         std::string_view message) const;
  // `path: nothing; expected WHAT`.
  absl::Status Expected(const YamlNode& node, std::string_view path, std::string_view what) const;

  // Fails unless the node is a mapping with no other keys.
  absl::Status CheckKeys(const YamlNode& node, std::string_view path,
                         const std::vector<std::string>& allowed) const;
  // Fails unless the node is a list with at least one item.
  absl::Status CheckList(const YamlNode& node, std::string_view path, std::string_view what) const;

  // Sets the field `name` of the message from a scalar and checks its rule.
  absl::Status Set(google::protobuf::Message& message, const std::string& name,
                   const YamlNode& value, std::string_view path) const;
  // Sets all fields from a mapping without lists, but for the keys in `others`.
  absl::Status SetAll(google::protobuf::Message& message, const YamlNode& node,
                      std::string_view path, const std::vector<std::string>& others = {}) const;

  // Text of a scalar.
  absl::StatusOr<std::string> Text(const YamlNode& node, std::string_view path) const;
  // Texts of a list, each at most once.
  absl::StatusOr<std::vector<std::string>> Texts(const YamlNode& node, std::string_view path) const;
  // Whole numbers from 0 of a list, at most `most`.
  absl::StatusOr<std::vector<int64_t>> Numbers(const YamlNode& node, std::string_view path,
                                               int64_t most) const;

  // Every combination of a mapping's fields, in which lists are axes; starts from `start`.
  template <typename M>
  absl::StatusOr<std::vector<M>> Combinations(const YamlNode& node, const std::string& path,
                                              const M& start,
                                              const std::vector<std::string>& others = {}) const {
    RETORT_ASSIGN_OR_RETURN(const Messages all, Combine(node, path, start, others));
    std::vector<M> out;
    for (const auto& message : all) out.push_back(static_cast<const M&>(*message));
    return out;
  }
  // The same for a message whose type is not known.
  using Messages = std::vector<std::unique_ptr<google::protobuf::Message>>;
  absl::StatusOr<Messages> Combine(const YamlNode& node, const std::string& path,
                                   const google::protobuf::Message& start,
                                   const std::vector<std::string>& others) const;

  // `path[i]`.
  static std::string At(std::string_view path, size_t i);
  static bool IsOneOf(const std::string& word, const std::vector<std::string>& words);

 private:
  static constexpr size_t kMaxCombinations = 10000;
  static std::string TooMany();

  void Remember(const YamlNode& node, const std::string& path);

  std::string file_;
  std::map<std::string, Place, std::less<>> places_;
};

}  // namespace retort

#endif  // RETORT_CLIENT_SDK_SWEEP_READER_H_
