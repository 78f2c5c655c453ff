#include "common/access/access.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/fields.h"
#include "common/files.h"
#include "common/status.h"
#include "nlohmann/json.hpp"

namespace retort {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kLongestFile = 256 << 10;
constexpr size_t kMostAddresses = 32;
constexpr int kVersion = 1;
constexpr char kPemBegin[] = "-----BEGIN ";

const std::vector<std::string>& Keys() {
  static const auto& keys =
      *new std::vector<std::string>{"retort_access", "addresses", "tls",   "ca",  "server_name",
                                    "certificate",   "key",       "token", "role"};
  return keys;
}

absl::Status Wrong(const std::string& key, const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(key, ": ", what));
}

absl::Status ReadText(const Json& object, const char* key, std::string& text) {
  const auto found = object.find(key);
  if (found == object.end()) return absl::OkStatus();
  if (!found->is_string()) return Wrong(key, "must be text");
  text = found->get<std::string>();
  if (text.find('\0') != std::string::npos) return Wrong(key, "holds a zero byte");
  return absl::OkStatus();
}

absl::Status ReadAddresses(const Json& object, Access& access) {
  const auto found = object.find("addresses");
  if (found == object.end() || !found->is_array() || found->empty()) {
    return Wrong("addresses", "must be a list of at least one HOST:PORT");
  }
  if (found->size() > kMostAddresses) {
    return Wrong("addresses", absl::StrCat(found->size(), "; must be at most ", kMostAddresses));
  }
  for (const Json& address : *found) {
    if (!address.is_string()) return Wrong("addresses", "must be texts, HOST:PORT");
    access.addresses.push_back(address.get<std::string>());
    RETORT_RETURN_IF_ERROR(Annotate(CheckAddress(access.addresses.back()), "addresses"));
  }
  return absl::OkStatus();
}

absl::Status ReadVersion(const Json& object) {
  const auto found = object.find("retort_access");
  if (found == object.end() || !found->is_number_integer()) {
    return Wrong("retort_access", "is missing; is this an access file, made by retort-server?");
  }
  if (*found == kVersion) return absl::OkStatus();
  return Wrong("retort_access",
               absl::StrCat(found->dump(), "; this program reads version ", kVersion));
}

// A token is sent as a header: printable, without blanks.
absl::Status CheckToken(const std::string& token) {
  const bool printable =
      std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if (printable && token.size() <= 256) return absl::OkStatus();
  return Wrong("token", "must be at most 256 printable characters without blanks");
}

absl::Status CheckTls(const Access& access) {
  for (const auto& [key, pem] : {std::pair<const char*, const std::string&>("ca", access.ca),
                                 {"certificate", access.certificate},
                                 {"key", access.key}}) {
    if (!pem.empty() && !absl::StartsWith(pem, kPemBegin)) {
      return Wrong(key, absl::StrCat("must be PEM, which begins with '", kPemBegin, "'"));
    }
    if (!pem.empty() && !access.tls) return Wrong(key, "means nothing without \"tls\": true");
  }
  if (access.certificate.empty() != access.key.empty()) {
    return Wrong(access.key.empty() ? "key" : "certificate",
                 "is missing: certificate and key belong together");
  }
  return absl::OkStatus();
}

std::optional<std::string> FindLeftFile(const std::string& address,
                                        const std::vector<std::string>& roles) {
  const std::string links = AccessLinksFolder();
  if (links.empty() || address.find('/') != std::string::npos) return std::nullopt;
  for (const std::string& role : roles) {
    std::string path = absl::StrCat(links, "/", address, "/", role, ".access");
    if (access(path.c_str(), R_OK) == 0) return path;
  }
  return std::nullopt;
}

absl::Status CheckClear(const Access& access, const AccessChoice& choice) {
  if (access.tls || choice.insecure) return absl::OkStatus();
  for (const std::string& address : access.addresses) {
    if (IsLoopback(address)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "'", address, "' is another machine, and what is said would go in clear; name an access ",
        "file of the coordinator with --access, or allow it with --insecure"));
  }
  return absl::OkStatus();
}

}  // namespace

bool IsLoopback(const std::string& address) {
  if (absl::StartsWith(address, "unix:")) return true;
  const std::string host = address.substr(0, address.rfind(':'));
  // Names that only begin like an address of the loopback network are not taken for one.
  const bool dotted = host.find_first_not_of("0123456789.") == std::string::npos;
  return host == "localhost" || host == "[::1]" || (dotted && absl::StartsWith(host, "127."));
}

absl::Status CheckAddress(const std::string& address) {
  if (absl::StartsWith(address, "unix:") && address.size() > 5) return absl::OkStatus();
  const size_t colon = address.rfind(':');
  const std::string host = address.substr(0, colon == std::string::npos ? 0 : colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const auto made_of = [&host](const char* others) {
    return std::all_of(host.begin(), host.end(), [others](char c) {
      return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
             std::strchr(others, c) != nullptr;
    });
  };
  const bool good_host = bracketed ? made_of("[]:.%") : !host.empty() && made_of(".-_");
  int port = 0;
  if (good_host && host.size() <= 260 && absl::SimpleAtoi(address.substr(colon + 1), &port) &&
      port >= 1 && port <= 65535) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", address, "'; expected HOST:PORT, such as 127.0.0.1:7641 or [::1]:7641"));
}

absl::StatusOr<Access> ParseAccess(std::string_view text) {
  if (text.size() > kLongestFile) {
    return absl::InvalidArgumentError(
        absl::StrCat(text.size(), " bytes; an access file has at most ", kLongestFile));
  }
  // Depth is bounded before anything is built: values are texts, or a list of texts.
  const auto shallow = [](int depth, Json::parse_event_t, Json&) { return depth <= 2; };
  const Json object = Json::parse(text.begin(), text.end(), shallow, /*allow_exceptions=*/false);
  if (!object.is_object()) {
    return absl::InvalidArgumentError(
        "is not an access file: expected one JSON object, made by retort-server");
  }
  for (const auto& [key, value] : object.items()) {
    if (std::find(Keys().begin(), Keys().end(), key) == Keys().end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", key, "' is no key of an access file", Suggestion(key, Keys())));
    }
  }
  Access access;
  RETORT_RETURN_IF_ERROR(ReadVersion(object));
  RETORT_RETURN_IF_ERROR(ReadAddresses(object, access));
  if (const auto tls = object.find("tls"); tls != object.end()) {
    if (!tls->is_boolean()) return Wrong("tls", "must be true or false");
    access.tls = tls->get<bool>();
  }
  RETORT_RETURN_IF_ERROR(ReadText(object, "ca", access.ca));
  RETORT_RETURN_IF_ERROR(ReadText(object, "server_name", access.server_name));
  RETORT_RETURN_IF_ERROR(ReadText(object, "certificate", access.certificate));
  RETORT_RETURN_IF_ERROR(ReadText(object, "key", access.key));
  RETORT_RETURN_IF_ERROR(ReadText(object, "token", access.token));
  RETORT_RETURN_IF_ERROR(ReadText(object, "role", access.role));
  RETORT_RETURN_IF_ERROR(CheckToken(access.token));
  RETORT_RETURN_IF_ERROR(CheckTls(access));
  return access;
}

std::string PrintAccess(const Access& access) {
  Json object = {{"retort_access", kVersion}, {"addresses", access.addresses}, {"tls", access.tls}};
  const auto add = [&object](const char* key, const std::string& text) {
    if (!text.empty()) object[key] = text;
  };
  add("ca", access.ca);
  add("server_name", access.server_name);
  add("certificate", access.certificate);
  add("key", access.key);
  add("token", access.token);
  add("role", access.role);
  return object.dump(2) + "\n";
}

absl::StatusOr<Access> ReadAccessFile(const std::string& path) {
  RETORT_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  auto access = ParseAccess(text);
  if (!access.ok()) return Annotate(access.status(), path);
  return access;
}

std::string AccessLinksFolder() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state == '/') return absl::StrCat(state, "/retort/access");
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return absl::StrCat(home, "/.local/state/retort/access");
  return "";
}

absl::StatusOr<AccessSource> ChooseAccess(const AccessChoice& choice,
                                          const std::vector<std::string>& roles) {
  if (!choice.coordinator.empty()) {
    RETORT_RETURN_IF_ERROR(Annotate(CheckAddress(choice.coordinator), "--coordinator"));
  }
  AccessSource source;
  source.path = choice.access_path;
  source.coordinator = choice.coordinator;
  if (source.path.empty()) {
    if (source.coordinator.empty()) source.coordinator = kDefaultCoordinator;
    source.path = FindLeftFile(source.coordinator, roles).value_or("");
  }
  if (!source.path.empty()) {
    RETORT_ASSIGN_OR_RETURN(source.access, ReadAgain(source));
  } else {
    source.access.addresses = {source.coordinator};
  }
  RETORT_RETURN_IF_ERROR(CheckClear(source.access, choice));
  return source;
}

absl::StatusOr<Access> ReadAgain(const AccessSource& source) {
  RETORT_ASSIGN_OR_RETURN(Access access, ReadAccessFile(source.path));
  if (!source.coordinator.empty()) access.addresses = {source.coordinator};
  return access;
}

}  // namespace retort
