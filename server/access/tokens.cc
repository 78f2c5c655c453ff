#include "server/access/tokens.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/ids.h"
#include "common/status.h"
#include "nlohmann/json.hpp"
#include "server/access/roles.h"

namespace retort {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kPrefix[] = "rt_";
constexpr size_t kPrefixSize = 3;
constexpr size_t kIdDigits = 16;
constexpr size_t kTextSize = kPrefixSize + kIdDigits + 1 + 64;
constexpr size_t kMostTokens = 10'000;
constexpr size_t kLongestLabel = 64;
constexpr absl::Duration kLongestLife = absl::Hours(24 * 3660);
constexpr absl::Duration kRemembered = absl::Hours(24 * 30);

std::string Hex(std::string_view bytes) {
  return absl::BytesToHexString(absl::string_view(bytes.data(), bytes.size()));
}

std::string HashOf(std::string_view text) { return ArtifactHash(Sha256Of(text)).hex(); }

std::string HmacOf(const std::string& key, const std::string& message) {
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(message.data()), message.size(), out, &size);
  return Hex({reinterpret_cast<const char*>(out), size});
}

absl::Status CheckRequest(const v1::CreateTokenRequest& request) {
  if (request.role() == v1::ROLE_UNSPECIFIED || !v1::Role_IsValid(request.role())) {
    return absl::InvalidArgumentError("role: must be viewer, operator, worker or admin");
  }
  const bool plain =
      std::all_of(request.label().begin(), request.label().end(), [](unsigned char c) {
        return absl::ascii_isalnum(c) || c == ' ' || c == '.' || c == '-' || c == '_';
      });
  if (!plain || request.label().size() > kLongestLabel) {
    return absl::InvalidArgumentError(absl::StrCat("label: must be at most ", kLongestLabel,
                                                   " letters, digits, blanks, '.', '-' or '_'"));
  }
  if (request.lifetime_s() < 0 || absl::Seconds(request.lifetime_s()) > kLongestLife) {
    return absl::InvalidArgumentError(
        absl::StrCat("lifetime_s: ", request.lifetime_s(),
                     "; must be from 0 (until revoked) to ten years in seconds"));
  }
  return absl::OkStatus();
}

std::string ArgumentsOf(const v1::CreateTokenRequest& request) {
  return absl::StrCat(request.role(), " ", request.lifetime_s(), " ", request.label());
}

absl::StatusOr<std::string> ReadOrMakeKey(const std::string& path) {
  auto key = ReadFile(path);
  if (key.ok() && key->size() == 64) return key;
  if (key.ok()) return absl::DataLossError(absl::StrCat(path, ": ", key->size(), " bytes, not 64"));
  if (!absl::IsNotFound(key.status())) return key.status();
  unsigned char bytes[32];
  if (RAND_bytes(bytes, sizeof bytes) != 1) {
    return absl::UnavailableError("the system gives no random numbers");
  }
  std::string made = Hex({reinterpret_cast<const char*>(bytes), sizeof bytes});
  RETORT_RETURN_IF_ERROR(WriteFileAtomically(path, made, 0600));
  return made;
}

Json ToJson(const v1::Token& token) {
  return {{"id", token.id()},
          {"role", RoleWord(token.role())},
          {"label", token.label()},
          {"created_ms", token.created_ms()},
          {"expires_ms", token.expires_ms()},
          {"revoked_ms", token.revoked_ms()}};
}

}  // namespace

absl::StatusOr<std::unique_ptr<TokenStore>> TokenStore::Open(const std::string& folder) {
  std::unique_ptr<TokenStore> store(new TokenStore(folder));
  RETORT_ASSIGN_OR_RETURN(store->key_, ReadOrMakeKey(folder + "/token.key"));
  const auto text = ReadFile(store->path_);
  if (text.ok()) {
    RETORT_RETURN_IF_ERROR(store->Load(*text));
  } else if (!absl::IsNotFound(text.status())) {
    return text.status();
  }
  return store;
}

absl::Status TokenStore::Load(const std::string& text) {
  const auto bad = [this](const std::string& what) {
    return absl::DataLossError(
        absl::StrCat(path_, ": ", what, "; move it away to begin with new tokens"));
  };
  const Json list = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!list.is_array()) return bad("is no list of tokens");
  for (const Json& entry : list) {
    try {
      Record record;
      record.token.set_id(entry.at("id").get<std::string>());
      RETORT_ASSIGN_OR_RETURN(const v1::Role role, ParseRole(entry.at("role").get<std::string>()));
      record.token.set_role(role);
      record.token.set_label(entry.at("label").get<std::string>());
      record.token.set_created_ms(entry.at("created_ms").get<int64_t>());
      record.token.set_expires_ms(entry.at("expires_ms").get<int64_t>());
      record.token.set_revoked_ms(entry.at("revoked_ms").get<int64_t>());
      record.hash = entry.at("sha256").get<std::string>();
      record.arguments = entry.at("arguments").get<std::string>();
      records_.emplace(record.token.id(), std::move(record));
    } catch (const nlohmann::json::exception& error) {
      return bad(error.what());
    }
  }
  return absl::OkStatus();
}

absl::Status TokenStore::Save() const {
  std::vector<const Record*> sorted;
  for (const auto& [id, record] : records_) sorted.push_back(&record);
  std::sort(sorted.begin(), sorted.end(), [](const Record* a, const Record* b) {
    return std::pair(a->token.created_ms(), a->token.id()) <
           std::pair(b->token.created_ms(), b->token.id());
  });
  Json list = Json::array();
  for (const Record* record : sorted) {
    Json entry = ToJson(record->token);
    entry["sha256"] = record->hash;
    entry["arguments"] = record->arguments;
    list.push_back(std::move(entry));
  }
  return WriteFileAtomically(path_, list.dump(1) + "\n", 0600);
}

void TokenStore::ForgetLongGone(absl::Time now) {
  absl::erase_if(records_, [now](const auto& entry) {
    const v1::Token& token = entry.second.token;
    const int64_t gone_ms = token.revoked_ms() > 0 ? token.revoked_ms() : token.expires_ms();
    return gone_ms > 0 && now - absl::FromUnixMillis(gone_ms) > kRemembered;
  });
}

absl::StatusOr<NewToken> TokenStore::Create(const v1::CreateTokenRequest& request, absl::Time now) {
  RETORT_RETURN_IF_ERROR(CheckRequest(request));
  NewToken made;
  const std::string id = HashOf("id of " + request.request_id()).substr(0, kIdDigits);
  made.text = absl::StrCat(kPrefix, id, "_", HmacOf(key_, request.request_id()));
  std::lock_guard lock(mutex_);
  ForgetLongGone(now);
  if (const auto known = records_.find(id); known != records_.end()) {
    made.token = known->second.token;
    if (known->second.arguments == ArgumentsOf(request)) return made;
    return absl::AlreadyExistsError(absl::StrCat("request_id: ", request.request_id(),
                                                 " was used for a token with other arguments"));
  }
  if (records_.size() >= kMostTokens) {
    return absl::ResourceExhaustedError(
        absl::StrCat(records_.size(), " tokens are known; revoke some"));
  }
  made.token.set_id(id);
  made.token.set_role(request.role());
  made.token.set_label(request.label());
  made.token.set_created_ms(absl::ToUnixMillis(now));
  if (request.lifetime_s() > 0) {
    made.token.set_expires_ms(absl::ToUnixMillis(now + absl::Seconds(request.lifetime_s())));
  }
  records_[id] = {made.token, HashOf(made.text), ArgumentsOf(request)};
  if (const absl::Status saved = Save(); !saved.ok()) {
    records_.erase(id);
    return saved;
  }
  return made;
}

absl::StatusOr<v1::Token> TokenStore::Revoke(const std::string& id, absl::Time now) {
  std::lock_guard lock(mutex_);
  const auto found = records_.find(id);
  if (found == records_.end()) {
    return absl::NotFoundError(absl::StrCat("id: no token has '", id, "'"));
  }
  v1::Token& token = found->second.token;
  if (token.revoked_ms() > 0) return token;
  token.set_revoked_ms(absl::ToUnixMillis(now));
  if (const absl::Status saved = Save(); !saved.ok()) {
    token.set_revoked_ms(0);
    return saved;
  }
  return token;
}

std::vector<v1::Token> TokenStore::List() const {
  std::vector<v1::Token> tokens;
  std::lock_guard lock(mutex_);
  for (const auto& [id, record] : records_) tokens.push_back(record.token);
  std::sort(tokens.begin(), tokens.end(), [](const v1::Token& a, const v1::Token& b) {
    return std::pair(a.created_ms(), a.id()) < std::pair(b.created_ms(), b.id());
  });
  return tokens;
}

absl::StatusOr<Identity> TokenStore::Check(std::string_view text, absl::Time now) const {
  const absl::Status unknown = absl::UnauthenticatedError(
      "the token is none of this coordinator's; is the access file of another one, or replaced?");
  if (text.size() != kTextSize || !text.starts_with(kPrefix)) return unknown;
  const std::string id(text.substr(kPrefixSize, kIdDigits));
  // Hashed whether the id is known or not.
  const std::string hash = HashOf(text);
  std::lock_guard lock(mutex_);
  const auto found = records_.find(id);
  if (found == records_.end()) return unknown;
  const auto& [token, expected, arguments] = found->second;
  if (hash.size() != expected.size() ||
      CRYPTO_memcmp(hash.data(), expected.data(), hash.size()) != 0) {
    return unknown;
  }
  if (token.revoked_ms() > 0) {
    return absl::UnauthenticatedError(absl::StrCat("the token ", id, " was revoked"));
  }
  if (token.expires_ms() > 0 && now >= absl::FromUnixMillis(token.expires_ms())) {
    return absl::UnauthenticatedError(
        absl::StrCat("the token ", id, " expired at ",
                     absl::FormatTime(absl::RFC3339_sec, absl::FromUnixMillis(token.expires_ms()),
                                      absl::UTCTimeZone())));
  }
  return Identity{token.role(), id};
}

}  // namespace retort
