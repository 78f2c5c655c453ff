// Access files as text, and which one is taken.
#include "common/access/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "common/files.h"

namespace retort {
namespace {

using testing::HasSubstr;

Access Full() {
  return {.addresses = {"lab:7641", "10.0.0.7:7641", "[fe80::1]:7641"},
          .tls = true,
          .ca = "-----BEGIN CERTIFICATE-----\nx\n",
          .server_name = "retort-coordinator",
          .certificate = "-----BEGIN CERTIFICATE-----\ny\n",
          .key = "-----BEGIN PRIVATE KEY-----\nz\n",
          .token = "rt_1_2",
          .role = "worker"};
}

TEST(AccessTest, WhatIsPrintedIsReadAgain) {
  EXPECT_EQ(*ParseAccess(PrintAccess(Full())), Full());
  const Access plain{.addresses = {"127.0.0.1:7641"}, .token = "t"};
  EXPECT_EQ(*ParseAccess(PrintAccess(plain)), plain);
}

TEST(AccessTest, WhatIsWrongIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "is not an access file"},
      {"[]", "is not an access file"},
      {"{\"addresses\": [\"a:1\"]}", "retort_access: is missing"},
      {"{\"retort_access\": 2, \"addresses\": [\"a:1\"]}", "version 1"},
      {"{\"retort_access\": 1}", "addresses: must be"},
      {"{\"retort_access\": 1, \"addresses\": []}", "addresses: must be"},
      {"{\"retort_access\": 1, \"addresses\": [7]}", "addresses: must be texts"},
      {"{\"retort_access\": 1, \"addresses\": [\"a\"]}", "addresses: 'a'; expected HOST:PORT"},
      {"{\"retort_access\": 1, \"addresses\": [\"a:0\"]}", "'a:0'"},
      {"{\"retort_access\": 1, \"addresses\": [\"a,b:1\"]}", "'a,b:1'"},
      {"{\"retort_access\": 1, \"addresses\": [\"a:1\"], \"tokn\": \"x\"}", "did you mean 'token'"},
      {"{\"retort_access\": 1, \"addresses\": [\"a:1\"], \"token\": 5}", "token: must be text"},
      {"{\"retort_access\": 1, \"addresses\": [\"a:1\"], \"token\": \"a\\nb\"}", "token: must be"},
      {"{\"retort_access\": 1, \"addresses\": [\"a:1\"], \"tls\": \"yes\"}", "tls: must be true"},
      {"{\"retort_access\": 1, \"addresses\": [\"a:1\"], \"ca\": \"-----BEGIN X\"}",
       "ca: means nothing without"},
      {"{\"retort_access\": 1, \"addresses\": [\"a:1\"], \"tls\": true, \"ca\": \"x\"}",
       "ca: must be PEM"},
      {"{\"retort_access\": 1, \"addresses\": [\"a:1\"], \"tls\": true, "
       "\"key\": \"-----BEGIN X\"}",
       "certificate: is missing"},
  };
  for (const auto& [text, says] : cases) {
    EXPECT_THAT(std::string(ParseAccess(text).status().message()), HasSubstr(says)) << text;
  }
  EXPECT_FALSE(ParseAccess(std::string(300 << 10, ' ')).ok());
  EXPECT_FALSE(ParseAccess(std::string(100'000, '[')).ok()) << "deep, and refused without a crash";
}

TEST(AccessTest, LoopbackIsNotWhatOnlyBeginsLikeIt) {
  for (const char* address : {"127.0.0.1:1", "127.8.8.8:1", "localhost:1", "[::1]:1", "unix:/a"}) {
    EXPECT_TRUE(IsLoopback(address)) << address;
  }
  for (const char* address : {"127.0.0.1.example.org:1", "10.0.0.1:1", "[fe80::1]:1", "lab:1"}) {
    EXPECT_FALSE(IsLoopback(address)) << address;
  }
}

class ChooseAccessTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "retort-choose-" + NewUuid();
    setenv("XDG_STATE_HOME", folder_.c_str(), 1);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Write(const std::string& path, const Access& access) {
    EXPECT_TRUE(MakeFolders(std::filesystem::path(folder_ + path).parent_path()).ok());
    EXPECT_TRUE(WriteFileAtomically(folder_ + path, PrintAccess(access)).ok());
    return folder_ + path;
  }

  std::string folder_;
};

TEST_F(ChooseAccessTest, TheFileThatWasNamedCountsAndTheAddressReplacesItsOwn) {
  const std::string path = Write("/named", Full());
  const auto source = ChooseAccess({.access_path = path, .coordinator = "", .insecure = false}, {});
  ASSERT_TRUE(source.ok()) << source.status();
  EXPECT_EQ(source->access, Full());
  const auto moved =
      ChooseAccess({.access_path = path, .coordinator = "there:1", .insecure = false}, {});
  EXPECT_THAT(moved->access.addresses, testing::ElementsAre("there:1"));
  EXPECT_EQ(moved->access.token, "rt_1_2");
}

TEST_F(ChooseAccessTest, WhatACoordinatorLeftIsFoundByItsAddressAndTheFirstReadableRole) {
  Access left{.addresses = {"127.0.0.1:7641"}, .token = "viewer"};
  Write("/retort/access/127.0.0.1:7641/viewer.access", left);
  EXPECT_EQ(ChooseAccess({}, {"admin", "viewer"})->access.token, "viewer");
  left.token = "admin";
  Write("/retort/access/127.0.0.1:7641/admin.access", left);
  EXPECT_EQ(ChooseAccess({}, {"admin", "viewer"})->access.token, "admin");
  EXPECT_EQ(ChooseAccess({}, {"worker"})->access.token, "") << "of no role that was asked for";
  EXPECT_EQ(
      ChooseAccess({.access_path = "", .coordinator = "127.0.0.1:1", .insecure = false}, {"admin"})
          ->access.token,
      "")
      << "of another coordinator";
}

TEST_F(ChooseAccessTest, NothingGoesInClearToAnotherMachineUnlessAllowed) {
  const AccessChoice far{.access_path = "", .coordinator = "10.9.9.9:1", .insecure = false};
  EXPECT_THAT(std::string(ChooseAccess(far, {}).status().message()),
              HasSubstr("'10.9.9.9:1' is another machine"));
  const Access plain{.addresses = {"127.0.0.1:1", "lab:1"}, .token = "t"};
  const std::string path = Write("/plain", plain);
  EXPECT_FALSE(ChooseAccess({.access_path = path, .coordinator = "", .insecure = false}, {}).ok());
  EXPECT_TRUE(ChooseAccess({.access_path = path, .coordinator = "", .insecure = true}, {}).ok());
}

TEST_F(ChooseAccessTest, MissingFileAndBadAddressAreNamed) {
  EXPECT_THAT(std::string(ChooseAccess({"/none/x.access", "", false}, {}).status().message()),
              HasSubstr("/none/x.access"));
  EXPECT_THAT(std::string(ChooseAccess({"", "nowhere", false}, {}).status().message()),
              HasSubstr("--coordinator: 'nowhere'"));
}

}  // namespace
}  // namespace retort
