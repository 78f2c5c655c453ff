// The tokens that a coordinator takes, in a file of their own (never in the database): hashes only.
#ifndef RETORT_SERVER_ACCESS_TOKENS_H_
#define RETORT_SERVER_ACCESS_TOKENS_H_

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "retort/v1/admin_service.pb.h"

namespace retort {

// Who calls.
struct Identity {
  v1::Role role = v1::ROLE_UNSPECIFIED;
  std::string token_id;
};

// A token that was just made, the only time that its text is known.
struct NewToken {
  v1::Token token;
  std::string text;  // rt_ID_SECRET
};

// A token's text is made of the request's id and a key that stays in the folder (HMAC), so that a
// repeated request gets the same token without its text being kept anywhere.
// Threads: any.
class TokenStore {
 public:
  // Reads `folder`/tokens.json and `folder`/token.key, or makes them. The folder exists. DATA_LOSS:
  // they are there and cannot be understood; errors of reading and writing files.
  static absl::StatusOr<std::unique_ptr<TokenStore>> Open(const std::string& folder);

  // Durable before it returns. INVALID_ARGUMENT: a field; ALREADY_EXISTS: the request id was used
  // for another token; errors of writing a file, then nothing has changed.
  absl::StatusOr<NewToken> Create(const v1::CreateTokenRequest& request, absl::Time now);
  // NOT_FOUND: no such token. Durable before it returns.
  absl::StatusOr<v1::Token> Revoke(const std::string& id, absl::Time now);
  // Oldest first.
  std::vector<v1::Token> List() const;

  // UNAUTHENTICATED, with the reason: no token of this coordinator, expired, revoked.
  absl::StatusOr<Identity> Check(std::string_view text, absl::Time now) const;

 private:
  struct Record {
    v1::Token token;
    std::string hash;       // SHA-256 of the text, hexadecimal
    std::string arguments;  // of the request that made it
  };

  explicit TokenStore(std::string folder) : path_(std::move(folder) + "/tokens.json") {}
  absl::Status Load(const std::string& text);
  absl::Status Save() const;            // under mutex_
  void ForgetLongGone(absl::Time now);  // under mutex_

  const std::string path_;
  std::string key_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  absl::flat_hash_map<std::string, Record> records_;  // by id
};

}  // namespace retort

#endif  // RETORT_SERVER_ACCESS_TOKENS_H_
