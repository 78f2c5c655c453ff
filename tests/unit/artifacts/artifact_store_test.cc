#include "server/artifacts/artifact_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace retort {
namespace {

using testing::HasSubstr;

ArtifactHash HashOf(std::string_view bytes) { return ArtifactHash(Sha256Of(bytes)); }

class ArtifactStoreTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "retort-artifacts-" + NewUuid();
    Reopen();
  }
  void TearDown() override {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }
  void Reopen() {
    store_.reset();
    auto store = ArtifactStore::Open(folder_);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  absl::Status Upload(const ArtifactHash& hash, int64_t size, std::string_view bytes) {
    auto writer = store_->Write(hash, size, 0);
    if (!writer.ok()) return writer.status();
    if (auto status = (*writer)->Append(bytes); !status.ok()) return status;
    return (*writer)->Commit();
  }
  absl::StatusOr<std::string> Download(const ArtifactHash& hash, int64_t offset, size_t piece = 3) {
    auto reader = store_->Read(hash, offset);
    if (!reader.ok()) return reader.status();
    std::string all;
    while (true) {
      auto bytes = (*reader)->Read(piece);
      if (!bytes.ok()) return bytes.status();
      if (bytes->empty()) return all;
      all += *bytes;
    }
  }
  int Partials() {
    int count = 0;
    for ([[maybe_unused]] const auto& e : std::filesystem::directory_iterator(folder_ + "/partial"))
      ++count;
    return count;
  }
  std::string PathOf(const ArtifactHash& hash) {
    return folder_ + "/" + hash.hex().substr(0, 2) + "/" + hash.hex();
  }

  std::string folder_;
  std::unique_ptr<ArtifactStore> store_;
};

TEST_F(ArtifactStoreTest, HoldsWhatWasUploadedAlsoAfterReopening) {
  const ArtifactHash hash = HashOf("0123456789");
  EXPECT_FALSE(store_->Has(hash));
  ASSERT_TRUE(Upload(hash, 10, "0123456789").ok());
  EXPECT_EQ(Partials(), 0);
  Reopen();
  EXPECT_EQ(*store_->SizeOf(hash), 10);
  EXPECT_EQ(*Download(hash, 0), "0123456789");
  EXPECT_EQ(*Download(hash, 7), "789");
  EXPECT_EQ(*Download(hash, 10), "");
  EXPECT_EQ(Download(hash, 11).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->Write(hash, 10, 0).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(store_->Progress(hash).complete);
}

TEST_F(ArtifactStoreTest, EmptyArtifactIsOne) {
  ASSERT_TRUE(Upload(HashOf(""), 0, "").ok());
  EXPECT_EQ(*Download(HashOf(""), 0), "");
}

TEST_F(ArtifactStoreTest, WrongHashAndTooManyBytesAreDiscarded) {
  const ArtifactHash hash = HashOf("good");
  for (const auto& [size, bytes] : {std::pair{4, "evil"}, std::pair{3, "good"}}) {
    const absl::Status status = Upload(hash, size, bytes);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(status.ToString(), HasSubstr(hash.hex()));
    EXPECT_FALSE(store_->Has(hash));
    EXPECT_EQ(store_->Progress(hash).offset, 0) << "nothing may be left to resume from";
  }
  EXPECT_TRUE(Upload(hash, 4, "good").ok());
}

TEST_F(ArtifactStoreTest, TooFewBytesAreKept) {
  const ArtifactHash hash = HashOf("0123456789");
  const absl::Status status = Upload(hash, 10, "01234");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.ToString(), HasSubstr("5 of 10"));
  EXPECT_FALSE(store_->Has(hash));
  EXPECT_EQ(store_->Progress(hash).offset, 5);
}

TEST_F(ArtifactStoreTest, BrokenUploadIsResumedAfterARestart) {
  const ArtifactHash hash = HashOf("0123456789");
  ASSERT_TRUE((*store_->Write(hash, 10, 0))->Append("0123").ok());
  Reopen();
  EXPECT_EQ(store_->Progress(hash).offset, 4);
  EXPECT_EQ(store_->Write(hash, 10, 3).status().code(), absl::StatusCode::kFailedPrecondition);
  auto writer = store_->Write(hash, 10, 4);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Append("456789").ok());
  ASSERT_TRUE((*writer)->Commit().ok());
  EXPECT_EQ(*Download(hash, 0), "0123456789");
}

TEST_F(ArtifactStoreTest, DamageToAPartialIsFoundWhenItIsResumed) {
  const ArtifactHash hash = HashOf("0123456789");
  ASSERT_TRUE((*store_->Write(hash, 10, 0))->Append("0123").ok());
  std::ofstream(folder_ + "/partial/" + hash.hex()) << "01x3";
  auto writer = store_->Write(hash, 10, 4);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Append("456789").ok());
  EXPECT_EQ((*writer)->Commit().code(), absl::StatusCode::kInvalidArgument);
  writer->reset();
  EXPECT_EQ(store_->Progress(hash).offset, 0);
}

TEST_F(ArtifactStoreTest, TwoUploadsAtOnceBothSucceed) {
  const ArtifactHash hash = HashOf("0123456789");
  auto first = *store_->Write(hash, 10, 0);
  auto second = *store_->Write(hash, 10, 0);
  ASSERT_TRUE(first->Append("01234").ok());
  ASSERT_TRUE(second->Append("0123456789").ok());
  EXPECT_EQ(store_->Write(hash, 10, 5).status().code(), absl::StatusCode::kUnavailable)
      << "nobody takes over a partial that is being written";
  ASSERT_TRUE(second->Commit().ok());
  second.reset();
  ASSERT_TRUE(first->Append("56789").ok());
  ASSERT_TRUE(first->Commit().ok());
  first.reset();
  EXPECT_EQ(*Download(hash, 0), "0123456789");
  EXPECT_EQ(Partials(), 0);
}

TEST_F(ArtifactStoreTest, DamageIsFoundWhenReadWhole) {
  const ArtifactHash hash = HashOf("0123456789");
  ASSERT_TRUE(Upload(hash, 10, "0123456789").ok());
  std::filesystem::permissions(PathOf(hash), std::filesystem::perms::owner_all);
  std::ofstream(PathOf(hash)) << "01234567x9";
  EXPECT_EQ(Download(hash, 0).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(Download(hash, 2).ok()) << "a part cannot be checked";
  auto reader = *store_->Read(hash, 0);
  std::filesystem::resize_file(PathOf(hash), 5);
  EXPECT_EQ(reader->Read(10).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ArtifactStoreTest, ErrorsNameWhatIsWrong) {
  const ArtifactHash hash = HashOf("x");
  EXPECT_EQ(Download(hash, 0).status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(Download(hash, 0).status().ToString(), HasSubstr(hash.hex()));
  EXPECT_EQ(store_->Write(hash, -1, 0).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->Write(hash, kMaxArtifactBytes + 1, 0).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(store_->Write(hash, 5, 6).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace retort
