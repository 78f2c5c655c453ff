#include "server/rpc/artifact_service.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/rpc/server.h"

namespace retort {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string HexOf(std::string_view bytes) { return ArtifactHash(Sha256Of(bytes)).hex(); }

class ArtifactServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "retort-artifact-service-" + NewUuid();
    artifacts_ = *ArtifactStore::Open(folder_);
    service_ = std::make_unique<ArtifactService>(
        ArtifactParts{.artifacts = *artifacts_,
                      .lane = lane_,
                      .uploads = uploads_,
                      .downloads = downloads_,
                      .limits = limits_,
                      .lost = [this](const ArtifactHash& hash) { lost_.push_back(hash); }});
    server_ =
        *RpcServer::Start({.host = "127.0.0.1", .port = 0, .loopback = true}, {service_.get()});
    stub_ = v1::ArtifactService::NewStub(
        grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  }
  void TearDown() override {
    server_.reset();
    std::filesystem::remove_all(folder_);
  }

  // Sends `bytes` from `offset` in pieces; cancels behind `cut` bytes if that is not negative.
  grpc::Status Upload(const std::string& hex, int64_t size, int64_t offset, std::string_view bytes,
                      int64_t cut = -1) {
    grpc::ClientContext context;
    v1::UploadResponse response;
    auto writer = stub_->Upload(&context, &response);
    v1::UploadRequest piece;
    piece.mutable_artifact()->set_sha256(hex);
    piece.mutable_artifact()->set_size_bytes(size);
    piece.set_offset(offset);
    const int64_t end = cut >= 0 ? cut : static_cast<int64_t>(bytes.size());
    constexpr int64_t kPiece = 300'000;
    do {
      const auto from = static_cast<size_t>(offset);
      const auto count = static_cast<size_t>(std::min(kPiece, end - offset));
      piece.set_data(std::string(bytes.substr(from, count)));
      if (!writer->Write(piece)) break;
      offset += static_cast<int64_t>(count);
      piece.Clear();
    } while (offset < end);
    if (cut >= 0) {
      while (ReachedOffset(hex) < cut) std::this_thread::sleep_for(std::chrono::milliseconds(2));
      context.TryCancel();
    } else {
      writer->WritesDone();
    }
    return writer->Finish();
  }
  int64_t ReachedOffset(const std::string& hex) {
    grpc::ClientContext context;
    v1::UploadStatusRequest request;
    v1::UploadStatusResponse response;
    request.set_sha256(hex);
    EXPECT_TRUE(stub_->UploadStatus(&context, request, &response).ok());
    return response.offset();
  }
  grpc::Status Download(const std::string& hex, int64_t offset, std::string* bytes) {
    grpc::ClientContext context;
    v1::DownloadRequest request;
    request.set_sha256(hex);
    request.set_offset(offset);
    auto reader = stub_->Download(&context, request);
    v1::DownloadResponse piece;
    bytes->clear();
    while (reader->Read(&piece)) *bytes += piece.data();
    return reader->Finish();
  }

  std::string folder_;
  std::vector<ArtifactHash> lost_;
  RpcLimits limits_;
  Gate uploads_{"uploads", limits_.uploads};
  Gate downloads_{"downloads", limits_.downloads};
  Lane lane_{"transfers", limits_.files};
  std::unique_ptr<ArtifactStore> artifacts_;
  std::unique_ptr<ArtifactService> service_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<v1::ArtifactService::Stub> stub_;
};

std::string Bytes(size_t count) {
  std::string bytes(count, '\0');
  for (size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>(i * 31 + i / 251);
  return bytes;
}

TEST_F(ArtifactServiceTest, UploadsOnceAndDownloadsFromAnyOffset) {
  const std::string bytes = Bytes(2'000'000);
  const std::string hex = HexOf(bytes);
  for (int i = 0; i < 2; ++i) {
    const grpc::Status status = Upload(hex, 2'000'000, 0, bytes);
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
  std::string got;
  EXPECT_TRUE(Download(hex, 0, &got).ok());
  EXPECT_EQ(got, bytes);
  EXPECT_TRUE(Download(hex, 1'999'990, &got).ok());
  EXPECT_EQ(got, bytes.substr(1'999'990));
  EXPECT_TRUE(Upload(HexOf(""), 0, 0, "").ok());
  EXPECT_TRUE(Download(HexOf(""), 0, &got).ok());
}

TEST_F(ArtifactServiceTest, MissingTellsWhatIsNotHeld) {
  ASSERT_TRUE(Upload(HexOf("here"), 4, 0, "here").ok());
  grpc::ClientContext context;
  v1::MissingRequest request;
  v1::MissingResponse response;
  for (const char* bytes : {"b", "here", "a"}) request.add_sha256(HexOf(bytes));
  ASSERT_TRUE(stub_->Missing(&context, request, &response).ok());
  EXPECT_THAT(response.sha256(), ElementsAre(HexOf("b"), HexOf("a")));
}

TEST_F(ArtifactServiceTest, CancelledUploadIsResumed) {
  const std::string bytes = Bytes(1'000'000);
  const std::string hex = HexOf(bytes);
  EXPECT_FALSE(Upload(hex, 1'000'000, 0, bytes, 600'000).ok());
  grpc::Status status;
  for (int i = 0; i < 100;
       ++i) {  // until the coordinator has noticed that the first caller is gone
    status = Upload(hex, 1'000'000, 600'000, bytes);
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(status.ok()) << status.error_message();
  std::string got;
  EXPECT_TRUE(Download(hex, 0, &got).ok());
  EXPECT_EQ(got, bytes);
}

TEST_F(ArtifactServiceTest, RefusesWrongBytesAndNamesTheField) {
  EXPECT_EQ(Upload(HexOf("good"), 4, 0, "evil").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ReachedOffset(HexOf("good")), 0);

  const grpc::Status status = Upload("12ab", 4, 0, "good");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("12ab"));
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  google::rpc::ErrorInfo info;
  google::rpc::BadRequest bad;
  ASSERT_EQ(details.details_size(), 2);
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  ASSERT_TRUE(details.details(1).UnpackTo(&bad));
  EXPECT_EQ(info.reason(), "INVALID_ARGUMENT");
  EXPECT_EQ(bad.field_violations(0).field(), "artifact.sha256");

  std::string got;
  EXPECT_EQ(Download(HexOf("none"), 0, &got).error_code(), grpc::StatusCode::NOT_FOUND);
  const std::string big = Bytes((1 << 20) + 1);
  grpc::ClientContext context;
  v1::UploadResponse response;
  auto writer = stub_->Upload(&context, &response);
  v1::UploadRequest piece;
  piece.set_data(big);
  writer->Write(piece);
  writer->WritesDone();
  EXPECT_THAT(writer->Finish().error_message(), HasSubstr("data: 1048577 bytes"));
}

TEST_F(ArtifactServiceTest, DamageEndsADownload) {
  ASSERT_TRUE(Upload(HexOf("good"), 4, 0, "good").ok());
  const std::string path = folder_ + "/" + HexOf("good").substr(0, 2) + "/" + HexOf("good");
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  std::ofstream(path) << "evil";
  std::string got;
  EXPECT_EQ(Download(HexOf("good"), 0, &got).error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_THAT(lost_, ElementsAre(ArtifactHash(Sha256Of("good"))));
  ASSERT_TRUE(Upload(HexOf("good"), 4, 0, "good").ok()) << "what is damaged can be replaced";
  EXPECT_TRUE(Download(HexOf("good"), 0, &got).ok());
}

}  // namespace
}  // namespace retort
