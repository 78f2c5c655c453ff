// Certificates, held against the program `openssl`'s library by a handshake in access_folder_test;
// here what they say.
#include "server/access/certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace retort {
namespace {

TEST(CertificatesTest, SayWhatWasAskedFor) {
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  const auto authority = MakeAuthority("Retort test", now, absl::Hours(1000));
  ASSERT_TRUE(authority.ok()) << authority.status();
  EXPECT_EQ(*EndOf(authority->certificate), now + absl::Hours(1000));
  const auto made = MakeCertificate(
      *authority,
      {.name = "x", .hosts = {"lab", "10.0.0.1", "fe80::1"}, .lifetime = absl::Hours(10)}, now);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(*EndOf(made->certificate), now + absl::Hours(10));
  EXPECT_TRUE(CheckPair(*made).ok());
  EXPECT_TRUE(CheckPair(*authority).ok());
  EXPECT_NE(made->key, authority->key);
}

TEST(CertificatesTest, PairsThatDoNotBelongTogetherAreTold) {
  const absl::Time now = absl::Now();
  const auto a = MakeAuthority("a", now, absl::Hours(1));
  const auto b = MakeAuthority("b", now, absl::Hours(1));
  EXPECT_THAT(std::string(CheckPair({a->certificate, b->key}).message()),
              testing::HasSubstr("do not belong together"));
  EXPECT_THAT(std::string(CheckPair({"x", b->key}).message()), testing::HasSubstr("certificate"));
  EXPECT_THAT(std::string(CheckPair({a->certificate, "x"}).message()), testing::HasSubstr("key"));
  EXPECT_FALSE(EndOf("x").ok());
}

}  // namespace
}  // namespace retort
