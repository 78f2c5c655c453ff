// Fields of specification messages by name, from their descriptors and the rules in
// retort/v1/options.proto. One description serves the parser of sweep files, the defaults and the
// checks.
#ifndef RETORT_COMMON_FIELDS_H_
#define RETORT_COMMON_FIELDS_H_

#include <google/protobuf/message.h>

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace retort {

// Sets the scalar, enum or Duration field `name` from its spelling in a sweep file: `128`, `1e-2`,
// `true`, `one_cycle`, `48h`. INVALID_ARGUMENT, without the field's path: no such field (names the
// nearest), or a value of another type (says which is expected).
absl::Status SetField(google::protobuf::Message& message, std::string_view name,
                      std::string_view value);

// An enumerator as files, tables and logs spell it: `one_cycle`, `out_of_memory`; the number itself
// if the type has none of this number.
std::string EnumWord(const google::protobuf::EnumDescriptor& type, int number);

// Names of a message's fields, in order of number.
std::vector<std::string> FieldNames(const google::protobuf::Message& message);

// Sets what is unset and has a default, here and in messages that are set below.
void FillDefaults(google::protobuf::Message& message);

// Checks every field that is set, here and below, against its rule. INVALID_ARGUMENT: `path.field:
// value; must be ...`.
absl::Status CheckRules(const google::protobuf::Message& message, std::string_view path);

// The candidate with the smallest edit distance, or empty if none is near (a third of the length).
std::string Nearest(std::string_view word, const std::vector<std::string>& candidates);

// `; did you mean 'x'?` with the nearest candidate, or `; expected one of: a, b`.
std::string Suggestion(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace retort

#endif  // RETORT_COMMON_FIELDS_H_
