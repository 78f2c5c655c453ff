// Ids are types. A digest names bytes; a job's id is the digest of what is trained
// (common/training_id.h).
#ifndef RETORT_COMMON_IDS_H_
#define RETORT_COMMON_IDS_H_

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace retort {

// A SHA-256. `Tag` keeps ids of different things apart.
template <typename Tag>
class Digest {
 public:
  Digest() = default;
  explicit Digest(const std::array<uint8_t, 32>& bytes) : bytes_(bytes) {}

  const std::array<uint8_t, 32>& bytes() const { return bytes_; }
  // The 32 bytes as a string, for storage.
  std::string raw() const { return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()}; }
  // 64 lower-case hexadecimal digits.
  std::string hex() const;
  // The first 12 digits, as tables show it.
  std::string short_hex() const { return hex().substr(0, 12); }

  friend auto operator<=>(const Digest&, const Digest&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const Digest& d) {
    return H::combine(std::move(h), d.bytes_);
  }

  // INVALID_ARGUMENT unless exactly 64 hexadecimal digits.
  static absl::StatusOr<Digest> FromHex(std::string_view hex);
  // INVALID_ARGUMENT unless exactly 32 bytes.
  static absl::StatusOr<Digest> FromRaw(std::string_view raw);

 private:
  std::array<uint8_t, 32> bytes_{};
};

using JobId = Digest<struct JobIdTag>;
using ArtifactHash = Digest<struct ArtifactHashTag>;

}  // namespace retort

#endif  // RETORT_COMMON_IDS_H_
