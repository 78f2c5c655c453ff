#include "common/ids.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace retort {
namespace {

// Of a lower-case hexadecimal digit, or -1.
int DigitValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

template <typename Tag>
std::string Digest<Tag>::hex() const {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes_.data()), bytes_.size()));
}

template <typename Tag>
absl::StatusOr<Digest<Tag>> Digest<Tag>::FromHex(std::string_view hex) {
  // Without strings on the way: every attempt that a worker reports comes through here.
  std::array<uint8_t, 32> bytes;
  bool digits = hex.size() == 64;
  for (size_t i = 0; digits && i < bytes.size(); ++i) {
    const int high = DigitValue(hex[2 * i]), low = DigitValue(hex[2 * i + 1]);
    digits = high >= 0 && low >= 0;
    bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  if (digits) return Digest(bytes);
  return absl::InvalidArgumentError(absl::StrCat(
      "'", absl::CHexEscape(absl::string_view(hex.data(), std::min<size_t>(hex.size(), 80))),
      "' is not a SHA-256: expected 64 lower-case hexadecimal digits"));
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
