#include "common/ids.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace retort {

template <typename Tag>
std::string Digest<Tag>::hex() const {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes_.data()), bytes_.size()));
}

template <typename Tag>
absl::StatusOr<Digest<Tag>> Digest<Tag>::FromHex(std::string_view hex) {
  const bool digits = std::all_of(hex.begin(), hex.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  if (hex.size() != 64 || !digits) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", absl::CHexEscape(absl::string_view(hex.data(), std::min<size_t>(hex.size(), 80))),
        "' is not a SHA-256: expected 64 lower-case hexadecimal digits"));
  }
  return FromRaw(absl::HexStringToBytes(absl::string_view(hex.data(), hex.size())));
}

template <typename Tag>
absl::StatusOr<Digest<Tag>> Digest<Tag>::FromRaw(std::string_view raw) {
  if (raw.size() != 32) {
    return absl::InvalidArgumentError(absl::StrCat("a SHA-256 has 32 bytes, not ", raw.size()));
  }
  std::array<uint8_t, 32> bytes;
  std::copy(raw.begin(), raw.end(), bytes.begin());
  return Digest(bytes);
}

template class Digest<struct JobIdTag>;
template class Digest<struct ArtifactHashTag>;

}  // namespace retort
