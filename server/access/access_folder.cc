#include "server/access/access_folder.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"
#include "server/access/roles.h"

namespace retort {
namespace {

// In certificates of our own making: callers ask for this name, whatever the address, so that a
// coordinator may move to another one.
constexpr char kServerName[] = "retort-coordinator";
constexpr absl::Duration kAuthorityLife = absl::Hours(24 * 3650);
constexpr absl::Duration kCertificateLife = absl::Hours(24 * 365);

absl::Status MakePrivateFolder(const std::string& path) {
  RETORT_RETURN_IF_ERROR(MakeFolders(path));
  if (chmod(path.c_str(), 0700) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, path, "cannot be made private");
}

absl::StatusOr<std::string> ReadNamed(const char* flag, const std::string& path) {
  auto text = ReadFile(path);
  if (!text.ok()) return Annotate(text.status(), flag);
  return text;
}

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

std::string WithPort(const std::string& host, int port) {
  return host.find(':') == std::string::npos ? absl::StrCat(host, ":", port)
                                             : absl::StrCat("[", host, "]:", port);
}

}  // namespace

absl::StatusOr<std::unique_ptr<AccessFolder>> AccessFolder::Open(const std::string& folder,
                                                                 const AccessOptions& options,
                                                                 absl::Time now) {
  std::unique_ptr<AccessFolder> made(new AccessFolder(folder, options));
  RETORT_RETURN_IF_ERROR(MakePrivateFolder(folder));
  RETORT_ASSIGN_OR_RETURN(made->tokens_, TokenStore::Open(folder));
  if (options.tls) RETORT_RETURN_IF_ERROR(made->PrepareTls(now));
  return made;
}

absl::Status AccessFolder::PrepareTls(absl::Time now) {
  if (OwnMaking()) {
    RETORT_ASSIGN_OR_RETURN(authority_, ReadOrMakeAuthority(now));
    ca_ = authority_.certificate;
    tls_files_ = {folder_ + "/server.pem", folder_ + "/server.key", ""};
    RETORT_RETURN_IF_ERROR(WriteCertificate(now));
  } else {
    RETORT_RETURN_IF_ERROR(TakeOperatorsCertificate());
  }
  if (!options_.client_ca_path.empty()) {
    RETORT_ASSIGN_OR_RETURN(const std::string ca,
                            ReadNamed("--client-ca", options_.client_ca_path));
    RETORT_RETURN_IF_ERROR(Annotate(EndOf(ca).status(), "--client-ca: " + options_.client_ca_path));
    tls_files_.client_ca = options_.client_ca_path;
  } else if (options_.mutual_tls) {
    tls_files_.client_ca = folder_ + "/ca.pem";
  }
  return absl::OkStatus();
}

absl::Status AccessFolder::TakeOperatorsCertificate() {
  KeyPair pair;
  RETORT_ASSIGN_OR_RETURN(pair.certificate, ReadNamed("--tls-cert", options_.certificate_path));
  RETORT_ASSIGN_OR_RETURN(pair.key, ReadNamed("--tls-key", options_.key_path));
  RETORT_RETURN_IF_ERROR(Annotate(
      CheckPair(pair),
      absl::StrCat("--tls-cert ", options_.certificate_path, ", --tls-key ", options_.key_path)));
  if (!options_.ca_path.empty()) {
    RETORT_ASSIGN_OR_RETURN(ca_, ReadNamed("--tls-ca", options_.ca_path));
    RETORT_RETURN_IF_ERROR(Annotate(EndOf(ca_).status(), "--tls-ca: " + options_.ca_path));
  }
  tls_files_ = {options_.certificate_path, options_.key_path, ""};
  return absl::OkStatus();
}

absl::StatusOr<KeyPair> AccessFolder::ReadOrMakeAuthority(absl::Time now) {
  const std::string certificate_path = folder_ + "/ca.pem";
  const std::string key_path = folder_ + "/ca.key";
  const auto certificate = ReadFile(certificate_path);
  if (certificate.ok()) {
    KeyPair pair{*certificate, ""};
    RETORT_ASSIGN_OR_RETURN(pair.key, ReadFile(key_path));
    RETORT_RETURN_IF_ERROR(Annotate(CheckPair(pair), certificate_path));
    return pair;
  }
  if (!absl::IsNotFound(certificate.status())) return certificate.status();
  RETORT_ASSIGN_OR_RETURN(KeyPair made, MakeAuthority("Retort " + HostName(), now, kAuthorityLife));
  // The key first: an authority without its key could not be used again.
  RETORT_RETURN_IF_ERROR(WriteFileAtomically(key_path, made.key, 0600));
  RETORT_RETURN_IF_ERROR(WriteFileAtomically(certificate_path, made.certificate, 0644));
  return made;
}

absl::Status AccessFolder::WriteCertificate(absl::Time now) {
  CertificateRequest request{
      .name = kServerName, .hosts = {kServerName, "localhost"}, .lifetime = kCertificateLife};
  for (const std::string& host : options_.hosts) request.hosts.push_back(host);
  RETORT_ASSIGN_OR_RETURN(const KeyPair pair, MakeCertificate(authority_, request, now));
  RETORT_RETURN_IF_ERROR(WriteFileAtomically(tls_files_.key, pair.key, 0600));
  return WriteFileAtomically(tls_files_.certificate, pair.certificate, 0644);
}

absl::Status AccessFolder::RenewCertificate(absl::Time now, bool at_once) {
  if (!options_.tls || !OwnMaking()) return absl::OkStatus();
  if (!at_once) {
    RETORT_ASSIGN_OR_RETURN(const std::string present, ReadFile(tls_files_.certificate));
    RETORT_ASSIGN_OR_RETURN(const absl::Time end, EndOf(present));
    if (end - now > kCertificateLife / 3) return absl::OkStatus();
  }
  return WriteCertificate(now);
}

absl::StatusOr<std::string> AccessFolder::FileFor(const NewToken& token, absl::Time now) const {
  Access access;
  {
    std::lock_guard lock(mutex_);
    access.addresses = addresses_;
  }
  access.token = token.text;
  access.role = RoleWord(token.token.role());
  access.tls = options_.tls;
  access.ca = ca_;
  if (options_.tls && OwnMaking()) access.server_name = kServerName;
  if (options_.mutual_tls && options_.client_ca_path.empty()) {
    CertificateRequest request{
        .name = token.token.id(), .hosts = {}, .for_server = false, .lifetime = kAuthorityLife};
    if (token.token.expires_ms() > 0) {
      request.lifetime = absl::FromUnixMillis(token.token.expires_ms()) - now;
    }
    RETORT_ASSIGN_OR_RETURN(const KeyPair pair, MakeCertificate(authority_, request, now));
    access.certificate = pair.certificate;
    access.key = pair.key;
  }
  return PrintAccess(access);
}

absl::Status AccessFolder::Publish(std::vector<std::string> addresses, absl::Time now) {
  {
    std::lock_guard lock(mutex_);
    addresses_ = std::move(addresses);
  }
  for (const v1::Role role : AllRoles()) RETORT_RETURN_IF_ERROR(WriteFileOf(role, now));
  return absl::OkStatus();
}

absl::Status AccessFolder::WriteFileOf(v1::Role role, absl::Time now) {
  const std::string path = absl::StrCat(folder_, "/", RoleWord(role), ".access");
  NewToken token;
  if (const auto before = ReadAccessFile(path); before.ok()) {
    const auto known = tokens_->Check(before->token, now);
    if (known.ok() && known->role == role) {
      token.text = before->token;
      token.token.set_role(role);
      token.token.set_id(known->token_id);
    }
  }
  if (token.text.empty()) {
    v1::CreateTokenRequest request;
    request.set_request_id(NewUuid());
    request.set_role(role);
    request.set_label(RoleWord(role) + ".access");
    RETORT_ASSIGN_OR_RETURN(token, tokens_->Create(request, now));
  }
  RETORT_ASSIGN_OR_RETURN(const std::string text, FileFor(token, now));
  return WriteFileAtomically(path, text, 0600);
}

absl::StatusOr<AccessLink> AccessLink::Make(const std::string& address, const std::string& folder) {
  const std::string links = AccessLinksFolder();
  if (links.empty()) return absl::UnavailableError("neither XDG_STATE_HOME nor HOME is set");
  RETORT_RETURN_IF_ERROR(MakePrivateFolder(links));
  std::error_code error;
  const std::string target = std::filesystem::absolute(folder, error).string();
  std::string path = absl::StrCat(links, "/", address);
  // Under another name first: a link cannot be replaced in place.
  const std::string made = absl::StrCat(links, "/.", NewUuid());
  if (symlink(target.c_str(), made.c_str()) != 0) {
    return ErrnoStatus(errno, made, "cannot be made");
  }
  if (rename(made.c_str(), path.c_str()) != 0) {
    const int reason = errno;
    unlink(made.c_str());
    return ErrnoStatus(reason, path, "cannot be made");
  }
  return AccessLink(std::move(path), target);
}

AccessLink::~AccessLink() {
  if (path_.empty()) return;
  std::error_code error;
  // Another coordinator may have taken the address, and left word of its own.
  if (std::filesystem::read_symlink(path_, error) == folder_) unlink(path_.c_str());
}

std::vector<std::string> OwnAddresses(int port) {
  std::vector<std::string> addresses;
  if (const std::string name = HostName(); CheckAddress(WithPort(name, port)).ok()) {
    addresses.push_back(WithPort(name, port));
  }
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return addresses;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    const bool up = (entry->ifa_flags & IFF_UP) != 0 && (entry->ifa_flags & IFF_LOOPBACK) == 0;
    if (!up || entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != AF_INET) continue;
    char text[INET_ADDRSTRLEN];
    const auto* address = reinterpret_cast<const sockaddr_in*>(entry->ifa_addr);
    if (inet_ntop(AF_INET, &address->sin_addr, text, sizeof text) != nullptr) {
      addresses.push_back(WithPort(text, port));
    }
  }
  freeifaddrs(list);
  return addresses;
}

}  // namespace retort
