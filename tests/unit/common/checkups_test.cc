#include "common/checkups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/files.h"

namespace retort {
namespace {

using testing::HasSubstr;

constexpr int64_t kGiB = int64_t{1} << 30;

FolderFacts Good() {
  return {.writable = absl::OkStatus(),
          .flush = absl::Milliseconds(2),
          .free_bytes = 50 * kGiB,
          .all_bytes = 100 * kGiB};
}

TEST(CheckupsTest, AClockIsWrongOnlyAsFarAsThatIsSure) {
  const auto state = [](absl::Duration ahead, absl::Duration uncertainty) {
    return JudgeClock("client", ahead, uncertainty).state();
  };
  EXPECT_EQ(state(absl::Seconds(1), absl::Milliseconds(1)), v1::CHECKUP_STATE_OK);
  EXPECT_EQ(state(absl::Seconds(5), absl::Milliseconds(1)), v1::CHECKUP_STATE_WARNING);
  EXPECT_EQ(state(-absl::Seconds(5), absl::Milliseconds(1)), v1::CHECKUP_STATE_WARNING);
  EXPECT_EQ(state(absl::Seconds(5), absl::Seconds(4)), v1::CHECKUP_STATE_OK);
  EXPECT_EQ(state(-absl::Hours(1), absl::Milliseconds(1)), v1::CHECKUP_STATE_ERROR);
  EXPECT_EQ(JudgeClock("client", -absl::Minutes(5), absl::Milliseconds(3)).found(),
            "the coordinator's is 5m behind, give or take 3ms");
  EXPECT_EQ(JudgeClock("client", absl::Microseconds(40), absl::Microseconds(90)).found(),
            "the coordinator's agrees with ours, give or take 1ms");
}

TEST(CheckupsTest, ASecretThatOthersMayReadIsAnError) {
  EXPECT_EQ(JudgeSecret("client", "f", S_IFREG | 0600).state(), v1::CHECKUP_STATE_OK);
  EXPECT_EQ(JudgeSecret("client", "f", S_IFREG | 0400).state(), v1::CHECKUP_STATE_OK);
  const v1::Checkup open = JudgeSecret("client", "viewer.access", S_IFREG | 0644);
  EXPECT_EQ(open.state(), v1::CHECKUP_STATE_ERROR);
  EXPECT_EQ(open.found(), "viewer.access has mode 0644");
  EXPECT_THAT(open.advice(), HasSubstr("chmod 600"));
  EXPECT_THAT(JudgeSecret("client", "access", S_IFDIR | 0755).advice(), HasSubstr("chmod 700"));
}

TEST(CheckupsTest, ADiskIsJudgedByWhatIsFreeAndNeededAndHowFastItIs) {
  const auto judge = [](const FolderFacts& facts, int64_t needed = 0) {
    return JudgeFolder("worker", facts, needed, "the cache");
  };
  EXPECT_EQ(judge(Good()).state(), v1::CHECKUP_STATE_OK);
  EXPECT_EQ(judge(Good()).found(), "50 GiB of 100 GiB free, a small file is durable in 2ms");
  FolderFacts facts = Good();
  facts.free_bytes = 100 << 20;
  EXPECT_EQ(judge(facts).state(), v1::CHECKUP_STATE_ERROR);
  facts.free_bytes = 4 * kGiB;
  EXPECT_EQ(judge(facts).state(), v1::CHECKUP_STATE_WARNING);
  facts = Good();
  EXPECT_THAT(judge(facts, 60 * kGiB).advice(), HasSubstr("the cache may take 60 GiB"));
  facts.flush = absl::Milliseconds(200);
  EXPECT_EQ(judge(facts).state(), v1::CHECKUP_STATE_WARNING);
  facts = Good();
  facts.writable = absl::PermissionDeniedError("read-only");
  EXPECT_EQ(judge(facts).state(), v1::CHECKUP_STATE_ERROR);
  EXPECT_EQ(JudgeFolder("worker", absl::NotFoundError("/x: no such folder"), 0, "").state(),
            v1::CHECKUP_STATE_ERROR);
}

TEST(CheckupsTest, LooksAtARealFolderAndLeavesNothingInIt) {
  const std::string folder = testing::TempDir() + "checkups-" + NewUuid();
  EXPECT_FALSE(LookAtFolder(folder).ok());
  ASSERT_TRUE(MakeFolders(folder).ok());
  const auto facts = LookAtFolder(folder);
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_TRUE(facts->writable.ok());
  EXPECT_GT(facts->all_bytes, 0);
  EXPECT_EQ(rmdir(folder.c_str()), 0) << "something was left";
}

TEST(CheckupsTest, VersionsAndLimitsAreCompared) {
  EXPECT_EQ(JudgeVersion("client", "0.1.0", "0.1.0").state(), v1::CHECKUP_STATE_OK);
  EXPECT_EQ(JudgeVersion("client", "0.1.0", "0.2.0").found(), "is 0.1.0, the coordinator 0.2.0");
  EXPECT_EQ(JudgeDescriptors("worker", 1024, 4096).state(), v1::CHECKUP_STATE_WARNING);
  EXPECT_EQ(JudgeDescriptors("worker", 4096, 4096).state(), v1::CHECKUP_STATE_OK);
}

TEST(CheckupsTest, LongTextsAreCutBetweenCharacters) {
  std::string text(511, 'a');
  text += "\xc3\xa9";  // é
  EXPECT_EQ(MakeCheckup("w", "x", v1::CHECKUP_STATE_OK, text).found(), std::string(511, 'a'));
}

TEST(CheckupsTest, BytesHaveAUnit) {
  EXPECT_EQ(BytesText(0), "0 B");
  EXPECT_EQ(BytesText(1536), "1.5 KiB");
  EXPECT_EQ(BytesText(250 * kGiB), "250 GiB");
}

}  // namespace
}  // namespace retort
