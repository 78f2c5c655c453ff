// The folder that a coordinator keeps its certificates, tokens and access files in.
#include "server/access/access_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "common/files.h"
#include "server/access/roles.h"

namespace retort {
namespace {

using testing::HasSubstr;

class AccessFolderTest : public testing::Test {
 protected:
  void SetUp() override { root_ = testing::TempDir() + "retort-access-" + NewUuid(); }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::unique_ptr<AccessFolder> Open(const AccessOptions& options) {
    auto opened = AccessFolder::Open(root_, options, now_);
    EXPECT_TRUE(opened.ok()) << opened.status();
    return opened.ok() ? *std::move(opened) : nullptr;
  }
  std::string WhyNot(const AccessOptions& options) {
    return std::string(AccessFolder::Open(root_, options, now_).status().message());
  }
  Access Read(const std::string& file) { return *ReadAccessFile(root_ + "/" + file); }
  mode_t ModeOf(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 0777;
  }
  static AccessOptions Tls() {
    AccessOptions options;
    options.tls = true;
    options.hosts = {"lab", "10.0.0.7"};
    return options;
  }

  const absl::Time now_ = absl::FromUnixSeconds(1'800'000'000);
  std::string root_;
};

TEST_F(AccessFolderTest, HasAPrivateFileForEachRole) {
  auto access = Open(Tls());
  ASSERT_TRUE(access->Publish({"lab:1", "10.0.0.7:1"}, now_).ok());
  EXPECT_EQ(ModeOf(root_), 0700u);
  for (const v1::Role role : AllRoles()) {
    const Access read = Read(RoleWord(role) + ".access");
    EXPECT_EQ(ModeOf(root_ + "/" + RoleWord(role) + ".access"), 0600u);
    EXPECT_EQ(access->tokens().Check(read.token, now_)->role, role);
    EXPECT_EQ(read.role, RoleWord(role));
    EXPECT_THAT(read.addresses, testing::ElementsAre("lab:1", "10.0.0.7:1"));
    EXPECT_TRUE(read.tls);
    EXPECT_THAT(read.ca, testing::StartsWith("-----BEGIN CERTIFICATE-----"));
    EXPECT_TRUE(read.certificate.empty());
  }
  for (const char* key : {"/ca.key", "/server.key"}) EXPECT_EQ(ModeOf(root_ + key), 0600u);
}

TEST_F(AccessFolderTest, ARestartKeepsAuthorityAndTokensAndTakesNewAddresses) {
  ASSERT_TRUE(Open(Tls())->Publish({"lab:1"}, now_).ok());
  const Access before = Read("worker.access");
  auto access = Open(Tls());
  ASSERT_TRUE(access->Publish({"lab:2"}, now_).ok());
  Access after = Read("worker.access");
  EXPECT_THAT(after.addresses, testing::ElementsAre("lab:2"));
  after.addresses = before.addresses;
  EXPECT_EQ(after, before);
  EXPECT_EQ(access->tokens().List().size(), AllRoles().size());
}

TEST_F(AccessFolderTest, ARevokedTokenOfAFileIsReplacedAtTheNextStart) {
  {
    auto access = Open({});
    ASSERT_TRUE(access->Publish({"127.0.0.1:1"}, now_).ok());
    const auto leaked = access->tokens().Check(Read("worker.access").token, now_);
    ASSERT_TRUE(access->tokens().Revoke(leaked->token_id, now_).ok());
  }
  auto access = Open({});
  ASSERT_TRUE(access->Publish({"127.0.0.1:1"}, now_).ok());
  EXPECT_EQ(access->tokens().Check(Read("worker.access").token, now_)->role, v1::ROLE_WORKER);
}

TEST_F(AccessFolderTest, MutualTlsPutsACertificateIntoEachFile) {
  AccessOptions options = Tls();
  options.mutual_tls = true;
  auto access = Open(options);
  ASSERT_TRUE(access->Publish({"lab:1"}, now_).ok());
  EXPECT_TRUE(CheckPair({Read("viewer.access").certificate, Read("viewer.access").key}).ok());
  EXPECT_NE(Read("viewer.access").key, Read("admin.access").key);
}

TEST_F(AccessFolderTest, CertificatesAreRenewedBeforeTheyEnd) {
  auto access = Open(Tls());
  const std::string first = *ReadFile(root_ + "/server.pem");
  ASSERT_TRUE(access->RenewCertificate(now_ + absl::Hours(24 * 200), false).ok());
  EXPECT_EQ(*ReadFile(root_ + "/server.pem"), first) << "more than a third of its life is left";
  ASSERT_TRUE(access->RenewCertificate(now_ + absl::Hours(24 * 300), false).ok());
  const std::string second = *ReadFile(root_ + "/server.pem");
  EXPECT_GT(*EndOf(second), *EndOf(first));
  ASSERT_TRUE(access->RenewCertificate(now_, true).ok());
  EXPECT_NE(*ReadFile(root_ + "/server.pem"), second);
  EXPECT_TRUE(CheckPair({*ReadFile(root_ + "/server.pem"), *ReadFile(root_ + "/server.key")}).ok());
}

TEST_F(AccessFolderTest, TheOperatorsCertificateIsTakenAsItIs) {
  const auto authority = MakeAuthority("lab", now_, absl::Hours(100));
  const auto pair = MakeCertificate(
      *authority, {.name = "lab", .hosts = {"lab"}, .lifetime = absl::Hours(100)}, now_);
  ASSERT_TRUE(MakeFolders(root_).ok());
  const auto write = [&](const char* name, const std::string& text) {
    EXPECT_TRUE(WriteFileAtomically(root_ + name, text).ok());
    return root_ + name;
  };
  AccessOptions options;
  options.tls = true;
  options.certificate_path = write("/own.pem", pair->certificate);
  options.key_path = write("/own.key", authority->key);
  EXPECT_THAT(WhyNot(options), HasSubstr("do not belong together"));
  options.key_path = write("/own.key", pair->key);
  options.ca_path = write("/own-ca.pem", "nonsense");
  EXPECT_THAT(WhyNot(options), HasSubstr("--tls-ca: " + options.ca_path));
  options.ca_path = write("/own-ca.pem", authority->certificate);
  auto access = Open(options);
  ASSERT_TRUE(access->Publish({"lab:1"}, now_).ok());
  EXPECT_EQ(Read("viewer.access").ca, authority->certificate);
  EXPECT_EQ(Read("viewer.access").server_name, "") << "its certificate names its host";
  EXPECT_FALSE(std::filesystem::exists(root_ + "/ca.key"));
  ASSERT_TRUE(access->RenewCertificate(now_, true).ok());
  EXPECT_EQ(*ReadFile(options.certificate_path), pair->certificate) << "it is not ours to renew";
  options.certificate_path = "/none.pem";
  EXPECT_THAT(WhyNot(options), HasSubstr("--tls-cert: /none.pem"));
}

TEST_F(AccessFolderTest, LeavesWordForProgramsOfTheSameUserAndTakesItBack) {
  setenv("XDG_STATE_HOME", (root_ + "/state").c_str(), 1);
  auto access = Open({});
  ASSERT_TRUE(access->Publish({"127.0.0.1:5"}, now_).ok());
  const AccessChoice choice{.access_path = "", .coordinator = "127.0.0.1:5", .insecure = false};
  {
    const auto link = AccessLink::Make("127.0.0.1:5", root_);
    ASSERT_TRUE(link.ok()) << link.status();
    EXPECT_EQ(ChooseAccess(choice, {"worker"})->access.token, Read("worker.access").token);
    // Another coordinator took the address while this one still ends.
    const auto other = AccessLink::Make("127.0.0.1:5", root_ + "/other");
    EXPECT_EQ(ChooseAccess(choice, {"worker"})->access.token, "");
  }
  EXPECT_EQ(ChooseAccess(choice, {"worker"})->access.token, "");
}

}  // namespace
}  // namespace retort
