#include "client/sdk/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace retort {
namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr size_t kMaxDepth = 16;
constexpr int kMaxNodes = 100000;

absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

Place PlaceOf(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

// Thrown through yaml-cpp's parser, which has no other way to stop; caught in ParseYaml.
struct Refused {
  Place place;
  std::string message;
};

// Builds the tree from the parser's events, so that limits hold before anything is kept.
class TreeBuilder : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAnchor(const YAML::Mark& mark, const std::string& name) override {
    throw Refused{PlaceOf(mark),
                  absl::StrCat("&", name, ": anchors are not taken; write the value out")};
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{PlaceOf(mark), "aliases are not taken; write the value out"};
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Begin(mark, "", anchor, YamlNode::Kind::kNull);
    End();
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    // yaml-cpp marks plain scalars with the tag `?` and quoted ones with `!`.
    const bool quoted = tag == "!";
    Begin(mark, quoted ? "" : tag, anchor, YamlNode::Kind::kScalar);
    open_.back().text = value;
    open_.back().quoted = quoted;
    End();
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Begin(mark, tag, anchor, YamlNode::Kind::kList);
  }
  void OnSequenceEnd() override { End(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Begin(mark, tag, anchor, YamlNode::Kind::kMapping);
  }
  void OnMapEnd() override { End(); }

  YamlNode TakeRoot() { return std::move(root_); }

 private:
  void Begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
             YamlNode::Kind kind) {
    const Place place = PlaceOf(mark);
    if (anchor != 0) throw Refused{place, "anchors are not taken; write the value out"};
    if (!tag.empty() && tag != "?") {
      throw Refused{place, absl::StrCat(tag, ": tags are not taken; leave it out")};
    }
    if (open_.size() >= kMaxDepth) {
      throw Refused{place, absl::StrCat("nested deeper than ", kMaxDepth, " levels")};
    }
    if (++nodes_ > kMaxNodes) {
      throw Refused{place, absl::StrCat("more than ", kMaxNodes, " values")};
    }
    YamlNode node;
    node.kind = kind;
    node.place = place;
    open_.push_back(std::move(node));
  }

  void End() {
    YamlNode node = std::move(open_.back());
    open_.pop_back();
    if (open_.empty()) {
      root_ = std::move(node);
    } else if (!open_.back().is_mapping()) {
      open_.back().items.push_back(std::move(node));
    } else {
      EndInMapping(std::move(node));
    }
  }

  // Events of a mapping alternate between key and value. A key waits as an item without a value.
  void EndInMapping(YamlNode node) {
    YamlNode& mapping = open_.back();
    const bool is_value = !mapping.items.empty() && mapping.items.back().place.line == 0;
    if (is_value) {
      node.key = std::move(mapping.items.back().key);
      node.key_place = mapping.items.back().key_place;
      mapping.items.back() = std::move(node);
      return;
    }
    if (!node.is_scalar()) {
      throw Refused{node.place, absl::StrCat(node.Described(), ": a key must be a name")};
    }
    if (mapping.Find(node.text) != nullptr) {
      throw Refused{node.place, absl::StrCat(node.text, ": the key stands twice")};
    }
    YamlNode waiting;
    waiting.key = std::move(node.text);
    waiting.key_place = node.place;
    waiting.place = {0, 0};
    mapping.items.push_back(std::move(waiting));
  }

  std::vector<YamlNode> open_;
  YamlNode root_;
  int nodes_ = 0;
};

}  // namespace

const YamlNode* YamlNode::Find(std::string_view wanted) const {
  if (!is_mapping()) return nullptr;
  for (const YamlNode& item : items) {
    if (item.key == wanted) return &item;
  }
  return nullptr;
}

std::string YamlNode::Described() const {
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kScalar: {
      constexpr size_t kShown = 80;
      return text.size() <= kShown ? absl::StrCat("'", text, "'")
                                   : absl::StrCat("'", text.substr(0, kShown), "…'");
    }
    case Kind::kList:
      return "a list";
    case Kind::kMapping:
      return "a mapping";
  }
  return "";
}

absl::Status ErrorAt(std::string_view file, Place place, std::string_view message) {
  return absl::InvalidArgumentError(
      absl::StrCat(Absl(file), ":", place.line, ":", place.column, ": ", Absl(message)));
}

absl::StatusOr<YamlNode> ParseYaml(const std::string& text, std::string_view file) {
  if (text.size() > kMaxBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(Absl(file), ": ", text.size(), " bytes; a sweep file has at most 1 MiB"));
  }
  if (text.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(Absl(file), ": not a text file"));
  }
  TreeBuilder builder;
  try {
    std::istringstream in(text);
    YAML::Parser parser(in);
    if (!parser.HandleNextDocument(builder)) {
      return ErrorAt(file, {}, "the file is empty; a sweep needs name, datasets and split");
    }
    TreeBuilder second;
    if (parser.HandleNextDocument(second)) {
      return ErrorAt(file, {}, "more than one document; a sweep file has one");
    }
  } catch (const Refused& refused) {
    return ErrorAt(file, refused.place, refused.message);
  } catch (const YAML::Exception& error) {
    return ErrorAt(file, PlaceOf(error.mark), absl::StrCat("not valid YAML: ", error.msg));
  }
  return builder.TakeRoot();
}

}  // namespace retort
