// Certificates of a coordinator's own making (X.509, ECDSA on P-256), by OpenSSL.
#ifndef RETORT_SERVER_ACCESS_CERTIFICATES_H_
#define RETORT_SERVER_ACCESS_CERTIFICATES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace retort {

// PEM, both.
struct KeyPair {
  std::string certificate;
  std::string key;
};

// A certificate authority that signs itself. UNAVAILABLE: OpenSSL's word for what failed.
absl::StatusOr<KeyPair> MakeAuthority(const std::string& name, absl::Time now,
                                      absl::Duration lifetime);

// What a certificate is made for.
struct CertificateRequest {
  std::string name;                // common name
  std::vector<std::string> hosts;  // DNS names and IP addresses that it stands for
  bool for_server = true;          // else for a client
  absl::Duration lifetime;
};
absl::StatusOr<KeyPair> MakeCertificate(const KeyPair& authority, const CertificateRequest& request,
                                        absl::Time now);

// When the certificate ends. INVALID_ARGUMENT: it cannot be read.
absl::StatusOr<absl::Time> EndOf(const std::string& certificate);

// INVALID_ARGUMENT unless both can be read and belong together.
absl::Status CheckPair(const KeyPair& pair);

}  // namespace retort

#endif  // RETORT_SERVER_ACCESS_CERTIFICATES_H_
