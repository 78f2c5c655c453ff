// The folder `access` of a coordinator: certificates, tokens, and the access files to hand out.
#ifndef RETORT_SERVER_ACCESS_ACCESS_FOLDER_H_
#define RETORT_SERVER_ACCESS_ACCESS_FOLDER_H_

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/access/access.h"
#include "retort/v1/admin_service.pb.h"
#include "server/access/certificates.h"
#include "server/access/tokens.h"

namespace retort {

struct AccessOptions {
  bool tls = false;
  // The operator's own certificate (PEM files); empty: certificates of our own making.
  std::string certificate_path;
  std::string key_path;
  std::string ca_path;  // who signed it; empty: what machines trust anyway
  // Callers must show a certificate: one of our own making, which access files carry, or one that
  // `client_ca_path` (PEM) signed.
  bool mutual_tls = false;
  std::string client_ca_path;
  std::vector<std::string> hosts;  // that a certificate of our own making stands for
};

// Files to serve TLS from; read again when they change.
struct TlsFiles {
  std::string certificate;
  std::string key;
  std::string client_ca;  // empty: callers show no certificate
};

// Threads: any.
class AccessFolder {
 public:
  // Makes `folder` (mode 0700) with what it lacks. Errors name the file or the flag.
  static absl::StatusOr<std::unique_ptr<AccessFolder>> Open(const std::string& folder,
                                                            const AccessOptions& options,
                                                            absl::Time now);

  // Where clients reach the coordinator, HOST:PORT each: writes the four access files (mode 0600),
  // with the tokens that they held before where these are still good.
  absl::Status Publish(std::vector<std::string> addresses, absl::Time now);
  // Makes a new certificate if it is of our own making and ends within a third of its life, or if
  // `at_once`. Those who trust the authority go on trusting it.
  absl::Status RenewCertificate(absl::Time now, bool at_once);

  // The content of an access file for a token that was just made.
  absl::StatusOr<std::string> FileFor(const NewToken& token, absl::Time now) const;

  TokenStore& tokens() { return *tokens_; }
  const TokenStore& tokens() const { return *tokens_; }
  const std::string& path() const { return folder_; }
  // Empty paths without TLS.
  const TlsFiles& tls_files() const { return tls_files_; }

 private:
  AccessFolder(std::string folder, AccessOptions options)
      : folder_(std::move(folder)), options_(std::move(options)) {}
  bool OwnMaking() const { return options_.certificate_path.empty(); }
  absl::Status PrepareTls(absl::Time now);
  absl::Status TakeOperatorsCertificate();
  absl::StatusOr<KeyPair> ReadOrMakeAuthority(absl::Time now);
  absl::Status WriteCertificate(absl::Time now);
  absl::Status WriteFileOf(v1::Role role, absl::Time now);

  const std::string folder_;
  const AccessOptions options_;
  std::unique_ptr<TokenStore> tokens_;
  KeyPair authority_;  // empty without certificates of our own making
  std::string ca_;     // PEM that callers trust
  TlsFiles tls_files_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::vector<std::string> addresses_;
};

// Leaves word for programs of the same user on this machine (AccessLinksFolder) while it lives.
class AccessLink {
 public:
  // `address`: HOST:PORT. UNAVAILABLE or another error of files: nothing was left.
  static absl::StatusOr<AccessLink> Make(const std::string& address, const std::string& folder);
  AccessLink(AccessLink&& other) noexcept
      : path_(std::exchange(other.path_, "")), folder_(std::move(other.folder_)) {}
  AccessLink& operator=(AccessLink&&) = delete;
  ~AccessLink();

 private:
  AccessLink(std::string path, std::string folder)
      : path_(std::move(path)), folder_(std::move(folder)) {}
  std::string path_;
  std::string folder_;
};

// Addresses under which other machines may find this one at `port`: its name, then the addresses of
// its networks. For coordinators that listen on all of them and were not told better.
std::vector<std::string> OwnAddresses(int port);

}  // namespace retort

#endif  // RETORT_SERVER_ACCESS_ACCESS_FOLDER_H_
