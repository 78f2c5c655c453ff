#include "common/files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <regex>

#include "common/hash.h"

namespace retort {
namespace {

class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "retort-files-" + NewUuid();
    ASSERT_TRUE(MakeFolders(folder_).ok());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string folder_;
};

TEST_F(FilesTest, WritesReplacesAndLeavesNothingElse) {
  const std::string path = folder_ + "/a";
  ASSERT_TRUE(WriteFileAtomically(path, "one").ok());
  ASSERT_TRUE(WriteFileAtomically(path, std::string("t\0o", 3), 0600).ok());
  EXPECT_EQ(*ReadFile(path), std::string("t\0o", 3));
  EXPECT_EQ(std::filesystem::status(path).permissions(),
            std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  int entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder_)) ++entries;
  EXPECT_EQ(entries, 1);
}

TEST_F(FilesTest, ErrorsNameThePath) {
  EXPECT_EQ(ReadFile(folder_ + "/none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(ReadFile(folder_).ok()) << "a folder is not a file";
  const auto status = WriteFileAtomically(folder_ + "/no/such", "x");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.ToString().find("/no/such"), std::string::npos);
}

TEST_F(FilesTest, HashesAFileAsItsBytes) {
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/abc", "abc").ok());
  // FIPS 180-2, appendix B.1.
  EXPECT_EQ(HashFile(folder_ + "/abc")->hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(NewUuid, HasTheSpellingOfVersion4AndIsNew) {
  EXPECT_TRUE(std::regex_match(
      NewUuid(),
      std::regex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")));
  EXPECT_NE(NewUuid(), NewUuid());
}

}  // namespace
}  // namespace retort
