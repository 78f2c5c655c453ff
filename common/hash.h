// SHA-256.
#ifndef RETORT_COMMON_HASH_H_
#define RETORT_COMMON_HASH_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/ids.h"

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace retort {

// Hash of bytes that come in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void Update(std::string_view bytes);
  // Once, at the end.
  std::array<uint8_t, 32> Finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

std::array<uint8_t, 32> Sha256Of(std::string_view bytes);

// Hash of a file's content. NOT_FOUND or UNAVAILABLE, with the path, if it cannot be read.
absl::StatusOr<ArtifactHash> HashFile(const std::string& path);

}  // namespace retort

#endif  // RETORT_COMMON_HASH_H_
