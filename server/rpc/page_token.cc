#include "server/rpc/page_token.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/hash.h"

namespace retort {
namespace {

constexpr size_t kCheckBytes = 8;

// The first bytes of a hash over arguments and key: a token that was changed does not pass either.
std::string Check(std::string_view key, std::string_view arguments) {
  Sha256 sha;
  sha.Update(std::to_string(key.size()));
  sha.Update(":");
  sha.Update(key);
  sha.Update(arguments);
  const auto digest = sha.Finish();
  return std::string(reinterpret_cast<const char*>(digest.data()), kCheckBytes);
}

}  // namespace

std::string MakePageToken(std::string_view key, std::string_view arguments) {
  return absl::WebSafeBase64Escape(Check(key, arguments) + std::string(key));
}

absl::StatusOr<std::string> ParsePageToken(std::string_view token, std::string_view arguments) {
  if (token.empty()) return std::string();
  std::string bytes;
  if (token.size() <= 1024 &&
      absl::WebSafeBase64Unescape(absl::string_view(token.data(), token.size()), &bytes) &&
      bytes.size() > kCheckBytes) {
    const std::string key = bytes.substr(kCheckBytes);
    if (Check(key, arguments) == bytes.substr(0, kCheckBytes)) return key;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "page_token: '",
      absl::CHexEscape(absl::string_view(token.data(), std::min<size_t>(token.size(), 80))),
      "'; must be the next_page_token of a list with the same arguments"));
}

absl::StatusOr<int32_t> PageSize(int32_t asked) {
  if (asked < 0 || asked > 1000) {
    return absl::InvalidArgumentError(
        absl::StrCat("page_size: ", asked, "; must be 0 to 1000 (0: 100)"));
  }
  return asked == 0 ? 100 : asked;
}

}  // namespace retort
