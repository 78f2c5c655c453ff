// Tokens: made, checked, revoked, and kept over a restart.
#include "server/access/tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "common/files.h"
#include "server/access/roles.h"

namespace retort {
namespace {

using testing::HasSubstr;

class TokenTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "retort-tokens-" + NewUuid();
    ASSERT_TRUE(MakeFolders(folder_).ok());
    Open();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  void Open() {
    auto store = TokenStore::Open(folder_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  v1::CreateTokenRequest Request(v1::Role role, int64_t lifetime_s = 0) {
    v1::CreateTokenRequest request;
    request.set_request_id(NewUuid());
    request.set_role(role);
    request.set_label("a label");
    request.set_lifetime_s(lifetime_s);
    return request;
  }
  std::string WhyNot(const std::string& text, absl::Time now) {
    const auto identity = store_->Check(text, now);
    EXPECT_EQ(identity.status().code(), absl::StatusCode::kUnauthenticated) << text;
    return std::string(identity.status().message());
  }

  const absl::Time now_ = absl::FromUnixSeconds(1'800'000'000);
  std::string folder_;
  std::unique_ptr<TokenStore> store_;
};

TEST_F(TokenTest, IsGoodForItsRoleAlsoAfterARestart) {
  for (const v1::Role role : AllRoles()) {
    const auto made = store_->Create(Request(role), now_);
    ASSERT_TRUE(made.ok()) << made.status();
    EXPECT_EQ(store_->Check(made->text, now_)->role, role);
    Open();
    EXPECT_EQ(store_->Check(made->text, now_ + absl::Hours(99999))->role, role);
  }
}

TEST_F(TokenTest, StrangersAreRefused) {
  const std::string good = store_->Create(Request(v1::ROLE_ADMIN), now_)->text;
  std::string other = good;
  other.back() = other.back() == '0' ? '1' : '0';
  for (const std::string& text :
       {std::string(), std::string("rt_"), good.substr(1), good + " ", other, std::string(84, 'a'),
        good.substr(0, 20) + std::string(64, '0')}) {
    EXPECT_THAT(WhyNot(text, now_), HasSubstr("none of this coordinator's"));
  }
  std::filesystem::remove(folder_ + "/tokens.json");
  Open();
  EXPECT_THAT(WhyNot(good, now_), HasSubstr("none of this coordinator's"));
}

TEST_F(TokenTest, ExpiresToTheSecond) {
  const std::string text = store_->Create(Request(v1::ROLE_VIEWER, 60), now_)->text;
  EXPECT_TRUE(store_->Check(text, now_ + absl::Seconds(59)).ok());
  EXPECT_THAT(WhyNot(text, now_ + absl::Seconds(60)), HasSubstr("expired at 2027-01-15T08:01:00"));
}

TEST_F(TokenTest, RevokedIsRevokedForEver) {
  const auto made = store_->Create(Request(v1::ROLE_WORKER), now_);
  EXPECT_EQ(store_->Revoke(made->token.id(), now_)->revoked_ms(), absl::ToUnixMillis(now_));
  EXPECT_THAT(WhyNot(made->text, now_), HasSubstr("was revoked"));
  Open();
  EXPECT_THAT(WhyNot(made->text, now_), HasSubstr("was revoked"));
  EXPECT_EQ(store_->Revoke(made->token.id(), now_ + absl::Hours(1))->revoked_ms(),
            absl::ToUnixMillis(now_))
      << "again changes nothing";
  EXPECT_TRUE(absl::IsNotFound(store_->Revoke("0123456789abcdef", now_).status()));
}

TEST_F(TokenTest, ARepeatedRequestGetsTheSameToken) {
  auto request = Request(v1::ROLE_OPERATOR);
  const std::string text = store_->Create(request, now_)->text;
  Open();
  EXPECT_EQ(store_->Create(request, now_ + absl::Hours(1))->text, text);
  EXPECT_EQ(store_->List().size(), 1u);
  request.set_role(v1::ROLE_ADMIN);
  EXPECT_TRUE(absl::IsAlreadyExists(store_->Create(request, now_).status()))
      << "another role by a replayed request id";
}

TEST_F(TokenTest, NeitherFileNorListHoldsTheSecret) {
  const std::string text = store_->Create(Request(v1::ROLE_ADMIN), now_)->text;
  const std::string secret = text.substr(text.rfind('_') + 1);
  EXPECT_THAT(*ReadFile(folder_ + "/tokens.json"), testing::Not(HasSubstr(secret)));
  for (const char* file : {"/tokens.json", "/token.key"}) {
    struct stat info {};
    ASSERT_EQ(stat((folder_ + file).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << file;
  }
}

TEST_F(TokenTest, BadRequestsNameTheField) {
  auto request = Request(v1::ROLE_UNSPECIFIED);
  EXPECT_THAT(std::string(store_->Create(request, now_).status().message()), HasSubstr("role:"));
  request.set_role(v1::ROLE_ADMIN);
  request.set_label("a\x1b[31m");
  EXPECT_THAT(std::string(store_->Create(request, now_).status().message()), HasSubstr("label:"));
  request.set_label("");
  request.set_lifetime_s(-1);
  EXPECT_THAT(std::string(store_->Create(request, now_).status().message()),
              HasSubstr("lifetime_s: -1"));
  EXPECT_TRUE(store_->List().empty());
}

TEST_F(TokenTest, DamagedFilesAreNotTakenForEmptyOnes) {
  for (const char* text : {"{", "{}", "[{}]", "[{\"id\": 7}]"}) {
    ASSERT_TRUE(WriteFileAtomically(folder_ + "/tokens.json", text).ok());
    EXPECT_TRUE(absl::IsDataLoss(TokenStore::Open(folder_).status())) << text;
  }
  std::filesystem::remove(folder_ + "/tokens.json");
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/token.key", "short").ok());
  EXPECT_TRUE(absl::IsDataLoss(TokenStore::Open(folder_).status()));
}

TEST_F(TokenTest, ForgetsWhatIsLongGone) {
  const auto gone = store_->Create(Request(v1::ROLE_WORKER), now_);
  ASSERT_TRUE(store_->Revoke(gone->token.id(), now_).ok());
  ASSERT_TRUE(store_->Create(Request(v1::ROLE_WORKER), now_ + absl::Hours(24 * 31)).ok());
  EXPECT_EQ(store_->List().size(), 1u);
}

}  // namespace
}  // namespace retort
