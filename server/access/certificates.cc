#include "server/access/certificates.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status.h"

namespace retort {
namespace {

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>>;
using Number = std::unique_ptr<BIGNUM, Freed<BN_free>>;

// Machines whose clocks are behind may use it at once.
constexpr absl::Duration kSkew = absl::Hours(24);

absl::Status Failed(const char* what) {
  char reason[256] = "no reason given";
  if (const unsigned long code = ERR_get_error(); code != 0) {
    ERR_error_string_n(code, reason, sizeof reason);
  }
  ERR_clear_error();
  return absl::UnavailableError(absl::StrCat("OpenSSL cannot ", what, ": ", reason));
}

Bio ReadBio(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

Certificate ReadCertificate(const std::string& pem) {
  return Certificate(PEM_read_bio_X509(ReadBio(pem).get(), nullptr, nullptr, nullptr));
}

// No password is asked for: whoever starts a coordinator may not be there.
Key ReadKey(const std::string& pem) {
  const auto no_password = [](char*, int, int, void*) { return -1; };
  return Key(PEM_read_bio_PrivateKey(ReadBio(pem).get(), nullptr, no_password, nullptr));
}

std::string TextOf(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

absl::StatusOr<KeyPair> Print(X509* certificate, EVP_PKEY* key) {
  Bio first(BIO_new(BIO_s_mem())), second(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(first.get(), certificate) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(second.get(), key, nullptr, nullptr, 0, nullptr, nullptr) !=
          1) {
    return Failed("write a certificate");
  }
  return KeyPair{TextOf(first.get()), TextOf(second.get())};
}

bool SetSerial(X509* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
  bytes[0] &= 0x7f;
  const Number number(BN_bin2bn(bytes, sizeof bytes, nullptr));
  return BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr;
}

bool SetTimes(X509* certificate, absl::Time now, absl::Duration lifetime) {
  return ASN1_TIME_set(X509_getm_notBefore(certificate), absl::ToTimeT(now - kSkew)) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), absl::ToTimeT(now + lifetime)) != nullptr;
}

bool SetName(X509_NAME* name, const std::string& text) {
  // 64 is the most that a common name may have.
  const std::string cut = text.substr(0, 64);
  return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(cut.data()),
                                    static_cast<int>(cut.size()), -1, 0) == 1;
}

bool Extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

bool IsIp(const std::string& host) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, host.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

std::string AlternativeNames(const std::vector<std::string>& hosts) {
  std::vector<std::string> names;
  for (const std::string& host : hosts) {
    names.push_back(absl::StrCat(IsIp(host) ? "IP:" : "DNS:", host));
  }
  return absl::StrJoin(names, ",");
}

}  // namespace

absl::StatusOr<KeyPair> MakeAuthority(const std::string& name, absl::Time now,
                                      absl::Duration lifetime) {
  const Key key(EVP_EC_gen("P-256"));
  const Certificate certificate(X509_new());
  X509* const x509 = certificate.get();
  const bool made = key != nullptr && x509 != nullptr && X509_set_version(x509, 2) == 1 &&
                    SetSerial(x509) && SetTimes(x509, now, lifetime) &&
                    SetName(X509_get_subject_name(x509), name) &&
                    X509_set_issuer_name(x509, X509_get_subject_name(x509)) == 1 &&
                    X509_set_pubkey(x509, key.get()) == 1 &&
                    Extend(x509, x509, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
                    Extend(x509, x509, NID_key_usage, "critical,keyCertSign,cRLSign") &&
                    Extend(x509, x509, NID_subject_key_identifier, "hash") &&
                    X509_sign(x509, key.get(), EVP_sha256()) > 0;
  if (!made) return Failed("make a certificate authority");
  return Print(x509, key.get());
}

absl::StatusOr<KeyPair> MakeCertificate(const KeyPair& authority, const CertificateRequest& request,
                                        absl::Time now) {
  const Certificate issuer = ReadCertificate(authority.certificate);
  const Key issuer_key = ReadKey(authority.key);
  if (issuer == nullptr || issuer_key == nullptr) return Failed("read the certificate authority");
  const Key key(EVP_EC_gen("P-256"));
  const Certificate certificate(X509_new());
  X509* const x509 = certificate.get();
  const bool made =
      key != nullptr && x509 != nullptr && X509_set_version(x509, 2) == 1 && SetSerial(x509) &&
      SetTimes(x509, now, request.lifetime) && SetName(X509_get_subject_name(x509), request.name) &&
      X509_set_issuer_name(x509, X509_get_subject_name(issuer.get())) == 1 &&
      X509_set_pubkey(x509, key.get()) == 1 &&
      Extend(x509, issuer.get(), NID_basic_constraints, "critical,CA:FALSE") &&
      Extend(x509, issuer.get(), NID_key_usage, "critical,digitalSignature") &&
      Extend(x509, issuer.get(), NID_ext_key_usage,
             request.for_server ? "serverAuth" : "clientAuth") &&
      Extend(x509, issuer.get(), NID_subject_key_identifier, "hash") &&
      Extend(x509, issuer.get(), NID_authority_key_identifier, "keyid") &&
      (request.hosts.empty() ||
       Extend(x509, issuer.get(), NID_subject_alt_name, AlternativeNames(request.hosts))) &&
      X509_sign(x509, issuer_key.get(), EVP_sha256()) > 0;
  if (!made) return Failed("make a certificate");
  return Print(x509, key.get());
}

absl::StatusOr<absl::Time> EndOf(const std::string& certificate) {
  const Certificate read = ReadCertificate(certificate);
  std::tm end{};
  if (read == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(read.get()), &end) != 1) {
    return absl::InvalidArgumentError("is no certificate in PEM");
  }
  return absl::FromTM(end, absl::UTCTimeZone());
}

absl::Status CheckPair(const KeyPair& pair) {
  const Certificate certificate = ReadCertificate(pair.certificate);
  if (certificate == nullptr) return absl::InvalidArgumentError("the certificate is no PEM");
  const Key key = ReadKey(pair.key);
  if (key == nullptr) {
    return absl::InvalidArgumentError("the key is no PEM, or asks for a password");
  }
  if (X509_check_private_key(certificate.get(), key.get()) == 1) return absl::OkStatus();
  ERR_clear_error();
  return absl::InvalidArgumentError("certificate and key do not belong together");
}

}  // namespace retort
