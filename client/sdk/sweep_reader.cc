#include "client/sdk/sweep_reader.h"

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace retort {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

// What a field takes, in words, from what SetField says of a value that suits no type.
std::string Wanted(const Message& message, const std::string& field) {
  const std::unique_ptr<Message> scratch(message.New());
  const std::string said = MessageOf(SetField(*scratch, field, "?"));
  const size_t at = said.find("expected ");
  return at == std::string::npos ? "text" : said.substr(at + std::string_view("expected ").size());
}

// The part of CheckRules' message behind the field's own name.
std::string WithoutName(const std::string& message) {
  const size_t colon = message.find(": ");
  return colon == std::string::npos ? message : message.substr(colon + 2);
}

}  // namespace

SweepReader::SweepReader(std::string file, const YamlNode& root) : file_(std::move(file)) {
  Remember(root, "");
}

void SweepReader::Remember(const YamlNode& node, const std::string& path) {
  places_[path] = node.place;
  for (size_t i = 0; i < node.items.size(); ++i) {
    const YamlNode& item = node.items[i];
    const std::string below = path.empty() ? item.key : path + "." + item.key;
    Remember(item, node.is_mapping() ? below : At(path, i));
  }
}

absl::Status SweepReader::Fail(std::string_view path, std::string_view message) const {
  std::string nearest(path);
  while (places_.count(nearest) == 0) {
    const size_t cut = nearest.find_last_of(".[");
    nearest = cut == std::string::npos ? "" : nearest.substr(0, cut);
  }
  return ErrorAt(
      file_, places_.find(nearest)->second,
      path.empty() ? std::string(message) : absl::StrCat(Absl(path), ": ", Absl(message)));
}

absl::Status SweepReader::FailAtKey(const YamlNode& node, std::string_view path,
                                    std::string_view message) const {
  return ErrorAt(file_, node.key_place, absl::StrCat(Absl(path), ": ", Absl(message)));
}

absl::Status SweepReader::Expected(const YamlNode& node, std::string_view path,
                                   std::string_view what) const {
  return Fail(path, absl::StrCat(node.Described(), "; expected ", Absl(what)));
}

absl::Status SweepReader::CheckKeys(const YamlNode& node, std::string_view path,
                                    const std::vector<std::string>& allowed) const {
  if (!node.is_mapping()) {
    std::string keys;
    for (const std::string& key : allowed) absl::StrAppend(&keys, keys.empty() ? "" : ", ", key);
    return Expected(node, path, "a mapping with keys among: " + keys);
  }
  for (const YamlNode& item : node.items) {
    if (IsOneOf(item.key, allowed)) continue;
    const std::string here = path.empty() ? item.key : absl::StrCat(Absl(path), ".", item.key);
    return FailAtKey(item, here, "unknown key" + Suggestion(item.key, allowed));
  }
  return absl::OkStatus();
}

absl::Status SweepReader::CheckList(const YamlNode& node, std::string_view path,
                                    std::string_view what) const {
  if (!node.is_list()) return Expected(node, path, absl::StrCat("a list of ", Absl(what)));
  if (node.items.empty()) {
    return Fail(path, absl::StrCat("[]; an axis needs at least one value: expected a list of ",
                                   Absl(what), ", or no such key"));
  }
  return absl::OkStatus();
}

absl::Status SweepReader::Set(Message& message, const std::string& name, const YamlNode& value,
                              std::string_view path) const {
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(name);
  if (!value.is_scalar()) return Expected(value, path, Wanted(message, name));
  const bool takes_text = field->cpp_type() == FieldDescriptor::CPPTYPE_STRING ||
                          field->cpp_type() == FieldDescriptor::CPPTYPE_ENUM ||
                          field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  if (value.quoted && !takes_text) {
    return Fail(path, absl::StrCat("text in quotes, \"", value.text, "\"; expected ",
                                   Wanted(message, name)));
  }
  const std::unique_ptr<Message> one(message.New());
  if (const absl::Status set = SetField(*one, name, value.text); !set.ok()) {
    return Fail(path, MessageOf(set));
  }
  if (const absl::Status good = CheckRules(*one, ""); !good.ok()) {
    return Fail(path, WithoutName(MessageOf(good)));
  }
  message.MergeFrom(*one);
  return absl::OkStatus();
}

absl::Status SweepReader::SetAll(Message& message, const YamlNode& node, std::string_view path,
                                 const std::vector<std::string>& others) const {
  std::vector<std::string> keys = FieldNames(message);
  keys.insert(keys.end(), others.begin(), others.end());
  RETORT_RETURN_IF_ERROR(CheckKeys(node, path, keys));
  for (const YamlNode& item : node.items) {
    if (IsOneOf(item.key, others)) continue;
    RETORT_RETURN_IF_ERROR(Set(message, item.key, item, absl::StrCat(Absl(path), ".", item.key)));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> SweepReader::Text(const YamlNode& node, std::string_view path) const {
  if (!node.is_scalar() || node.text.empty()) return Expected(node, path, "text");
  return node.text;
}

absl::StatusOr<std::vector<std::string>> SweepReader::Texts(const YamlNode& node,
                                                            std::string_view path) const {
  RETORT_RETURN_IF_ERROR(CheckList(node, path, "names"));
  std::vector<std::string> out;
  for (size_t i = 0; i < node.items.size(); ++i) {
    RETORT_ASSIGN_OR_RETURN(std::string text, Text(node.items[i], At(path, i)));
    if (IsOneOf(text, out)) {
      return Fail(At(path, i), absl::StrCat("'", text, "'; each name may stand once"));
    }
    out.push_back(std::move(text));
  }
  return out;
}

absl::StatusOr<std::vector<int64_t>> SweepReader::Numbers(const YamlNode& node,
                                                          std::string_view path,
                                                          int64_t most) const {
  RETORT_RETURN_IF_ERROR(CheckList(node, path, "whole numbers"));
  std::vector<int64_t> out;
  for (size_t i = 0; i < node.items.size(); ++i) {
    const YamlNode& item = node.items[i];
    int64_t number = 0;
    if (!item.is_scalar() || item.quoted || !absl::SimpleAtoi(item.text, &number)) {
      return Expected(item, At(path, i), "a whole number");
    }
    if (number < 0 || number > most) {
      return Fail(At(path, i), absl::StrCat(number, "; must be at least 0 and at most ", most));
    }
    out.push_back(number);
  }
  return out;
}

std::string SweepReader::At(std::string_view path, size_t i) {
  return absl::StrCat(Absl(path), "[", i, "]");
}

bool SweepReader::IsOneOf(const std::string& word, const std::vector<std::string>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string SweepReader::TooMany() {
  return absl::StrCat("more than ", kMaxCombinations, " combinations; give fewer values");
}

absl::StatusOr<SweepReader::Messages> SweepReader::Combine(
    const YamlNode& node, const std::string& path, const google::protobuf::Message& start,
    const std::vector<std::string>& others) const {
  std::vector<std::string> keys = FieldNames(start);
  keys.insert(keys.end(), others.begin(), others.end());
  RETORT_RETURN_IF_ERROR(CheckKeys(node, path, keys));
  const auto copy = [](const google::protobuf::Message& of) {
    std::unique_ptr<google::protobuf::Message> made(of.New());
    made->CopyFrom(of);
    return made;
  };
  Messages out;
  out.push_back(copy(start));
  for (const YamlNode& item : node.items) {
    if (IsOneOf(item.key, others)) continue;
    const std::string here = path + "." + item.key;
    if (item.is_list()) RETORT_RETURN_IF_ERROR(CheckList(item, here, "values"));
    const size_t count = item.is_list() ? item.items.size() : 1;
    if (out.size() * count > kMaxCombinations) return Fail(here, TooMany());
    Messages next;
    for (const auto& before : out) {
      for (size_t i = 0; i < count; ++i) {
        next.push_back(copy(*before));
        RETORT_RETURN_IF_ERROR(Set(*next.back(), item.key, item.is_list() ? item.items[i] : item,
                                   item.is_list() ? At(here, i) : here));
      }
    }
    out = std::move(next);
  }
  return out;
}

}  // namespace retort
