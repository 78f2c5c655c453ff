#include "server/artifacts/log_store.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "common/files.h"
#include "common/hash.h"

namespace retort {
namespace {

class LogStoreTest : public testing::Test {
 protected:
  void TearDown() override { std::filesystem::remove_all(folder_); }
  const std::string folder_ = testing::TempDir() + "retort-logs-" + NewUuid();
  const JobId job_{Sha256Of("job")};
  LogStore store_{folder_};
};

TEST_F(LogStoreTest, RepeatsChangeNothingAndGapsAreNotTaken) {
  EXPECT_EQ(store_.Append(job_, 1, 0, "hello ")->stored_offset, 6);
  EXPECT_EQ(store_.Append(job_, 1, 0, "HELLO ")->stored_offset, 6);
  EXPECT_EQ(store_.Append(job_, 1, 4, "xxworld")->stored_offset, 11);
  EXPECT_EQ(store_.Append(job_, 1, 12, "gap")->stored_offset, 11);
  EXPECT_EQ(*store_.Read(job_, 1, 0, 100), "hello world");
  EXPECT_EQ(*store_.Read(job_, 1, 6, 3), "wor");
  EXPECT_EQ(*store_.Read(job_, 1, 50, 3), "");
  EXPECT_EQ(*store_.Read(job_, 2, 0, 3), "") << "attempts do not share a log";
  EXPECT_EQ(store_.Append(job_, 1, -1, "x").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(LogStoreTest, IsBounded) {
  const std::string most(static_cast<size_t>(kMaxLogBytes) - 2, 'a');
  EXPECT_FALSE(store_.Append(job_, 1, 0, most)->full);
  const auto progress = store_.Append(job_, 1, kMaxLogBytes - 2, "four");
  EXPECT_EQ(progress->stored_offset, kMaxLogBytes);
  EXPECT_TRUE(progress->full);
  EXPECT_TRUE(store_.Append(job_, 1, kMaxLogBytes + 2, "more")->full);
  EXPECT_EQ(store_.SizeOf(job_, 1), kMaxLogBytes);
}

}  // namespace
}  // namespace retort
