#include "common/ids.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace retort {
namespace {

// Of lower-case hexadecimal digits; -1 for all else. A table, since what kind a digit of a hash is
// cannot be foretold, by a processor neither.
constexpr std::array<int8_t, 256> kDigitValues = [] {
  std::array<int8_t, 256> values{};
  values.fill(-1);
  for (int i = 0; i < 16; ++i)
    values[static_cast<uint8_t>("0123456789abcdef"[i])] = static_cast<int8_t>(i);
  return values;
}();

int DigitValue(char c) { return kDigitValues[static_cast<uint8_t>(c)]; }

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
  int all = hex.size() == 2 * bytes.size() ? 0 : -1;  // negative once one is no digit
  for (size_t i = 0; all >= 0 && i < bytes.size(); ++i) {
    const int high = DigitValue(hex[2 * i]), low = DigitValue(hex[2 * i + 1]);
    all |= high | low;
    bytes[i] = static_cast<uint8_t>(high << 4 | low);
  }
  if (all >= 0) return Digest(bytes);
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
