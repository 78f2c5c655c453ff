// Tokens of pages: the key after which the next page begins, bound to the arguments of the list.
#ifndef RETORT_SERVER_RPC_PAGE_TOKEN_H_
#define RETORT_SERVER_RPC_PAGE_TOKEN_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace retort {

// Opaque to clients. `arguments` is whatever else the list was asked with, in any fixed spelling.
std::string MakePageToken(std::string_view key, std::string_view arguments);

// The key; empty for an empty token. INVALID_ARGUMENT: not a token, or one that was given for other
// arguments.
absl::StatusOr<std::string> ParsePageToken(std::string_view token, std::string_view arguments);

// `asked`, or 100 for 0. INVALID_ARGUMENT outside 0..1000.
absl::StatusOr<int32_t> PageSize(int32_t asked);

}  // namespace retort

#endif  // RETORT_SERVER_RPC_PAGE_TOKEN_H_
