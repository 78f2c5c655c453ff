// Who may call what, in clear on loopback and over TLS.
#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/access/link.h"
#include "common/files.h"
#include "server/access/roles.h"
#include "server/rpc/guarded.h"
#include "tests/rpc/harness.h"

namespace retort {
namespace {

using testing::HasSubstr;

// Every call of every service, `SweepService/GetSweep`.
std::set<std::string> AllCalls() {
  std::set<std::string> calls;
  for (const google::protobuf::FileDescriptor* file :
       {v1::Sweep::descriptor()->file(), v1::SyncRequest::descriptor()->file(),
        v1::MissingRequest::descriptor()->file(), v1::CheckRequest::descriptor()->file(),
        v1::GetSweepRequest::descriptor()->file()}) {
    for (int i = 0; i < file->service_count(); ++i) {
      const auto* service = file->service(i);
      for (int j = 0; j < service->method_count(); ++j) {
        calls.insert(absl::StrCat(service->name(), "/", service->method(j)->name()));
      }
    }
  }
  return calls;
}

TEST(RefusalLinesTest, AStrangerCannotFillTheLog) {
  RefusalLines lines;
  const absl::Time begin = absl::FromUnixSeconds(1'700'000'000);
  int written = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto left_out = lines.Admit(begin + absl::Milliseconds(i));
    written += left_out.has_value();
    EXPECT_EQ(left_out.value_or(0), 0);
  }
  EXPECT_EQ(written, RefusalLines::kMostInAMinute);
  EXPECT_EQ(lines.Admit(begin + absl::Minutes(2)), 1000 - RefusalLines::kMostInAMinute);
  EXPECT_EQ(lines.Admit(begin + absl::Minutes(2)), 0) << "they were told of";
  EXPECT_EQ(lines.Admit(begin), 0) << "the clock was set back";
}

class AccessRpcTest : public RpcTest {
 protected:
  void SetUp() override {
    security_.emplace();
    RpcTest::SetUp();
  }
  // Starts again, as the options say.
  void StartWith(const AccessOptions& options) {
    Stop();
    security_ = options;
    Start();
  }
  Access FileOf(const std::string& role) {
    return *ReadAccessFile(absl::StrCat(folder_, "/access/", role, ".access"));
  }
  // Makes the call with an empty message, whatever kind it is.
  grpc::Status Make(const Access& access, const std::string& call) {
    grpc::GenericStub stub(OpenChannel(access, 0));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    grpc::CompletionQueue queue;
    auto stream = stub.PrepareCall(&context, "/retort.v1." + call, &queue);
    const auto next = [&queue] {
      void* tag = nullptr;
      bool ok = false;
      return queue.Next(&tag, &ok) && ok;
    };
    stream->StartCall(nullptr);
    next();
    const grpc::Slice nothing;
    stream->WriteLast(grpc::ByteBuffer(&nothing, 1), grpc::WriteOptions(), nullptr);
    next();
    // Calls that answer were let in, and their end is not waited for.
    grpc::ByteBuffer answer;
    stream->Read(&answer, nullptr);
    if (next()) context.TryCancel();
    grpc::Status status;
    stream->Finish(&status, nullptr);
    next();
    queue.Shutdown();
    return status;
  }
  grpc::Status List(const Access& access, int64_t deadline_ms = 10'000) {
    auto stub = v1::SweepService::NewStub(OpenChannel(access, 0));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(deadline_ms));
    v1::ListSweepsResponse response;
    return stub->ListSweeps(&context, {}, &response);
  }
  std::unique_ptr<v1::AdminService::Stub> Admin(const Access& access) {
    return v1::AdminService::NewStub(OpenChannel(access, 0));
  }
  v1::CreateTokenResponse NewToken(v1::Role role, int64_t lifetime_s = 0) {
    v1::CreateTokenRequest request;
    request.set_request_id(NewUuid());
    request.set_role(role);
    request.set_lifetime_s(lifetime_s);
    grpc::ClientContext context;
    v1::CreateTokenResponse response;
    const auto status = Admin(FileOf("admin"))->CreateToken(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
};

TEST_F(AccessRpcTest, TheTableHasEveryCallOnce) {
  std::set<std::string> rows;
  for (const CallRoles& row : AllCallRoles()) {
    EXPECT_TRUE(rows.insert(std::string(row.call)).second) << row.call << " twice";
  }
  EXPECT_EQ(rows, AllCalls()) << "a call without a row in server/access/roles.cc, or the reverse";
}

TEST_F(AccessRpcTest, EveryCallIsMadeByTheRolesOfItsRowAlone) {
  Access stranger = FileOf("viewer");
  stranger.token.clear();
  for (const std::string& call : AllCalls()) {
    EXPECT_EQ(Make(stranger, call).error_code(), grpc::StatusCode::UNAUTHENTICATED) << call;
    for (const v1::Role role : AllRoles()) {
      const grpc::Status status = Make(FileOf(RoleWord(role)), call);
      if (MayCall(role, call)) {
        EXPECT_NE(status.error_code(), grpc::StatusCode::PERMISSION_DENIED) << call;
        EXPECT_NE(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << call;
        EXPECT_NE(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << call;
      } else {
        EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED)
            << call << " by " << RoleWord(role) << ": " << status.error_message();
      }
    }
  }
}

TEST_F(AccessRpcTest, AWorkerSeesNothingOfSweepsButItsLeases) {
  const Access worker = FileOf("worker");
  for (const char* call : {"SweepService/GetSweep", "SweepService/ListJobs", "SweepService/GetJob",
                           "SweepService/Query", "SweepService/TailLogs"}) {
    EXPECT_EQ(Make(worker, call).error_code(), grpc::StatusCode::PERMISSION_DENIED) << call;
  }
}

TEST_F(AccessRpcTest, RevokedExpiredAndWrongTokensAreTold) {
  const auto made = NewToken(v1::ROLE_VIEWER);
  const Access access = *ParseAccess(made.access_file());
  EXPECT_TRUE(List(access).ok());
  v1::RevokeTokenRequest request;
  request.set_request_id(NewUuid());
  request.set_id(made.token().id());
  grpc::ClientContext context;
  v1::Token token;
  ASSERT_TRUE(Admin(FileOf("admin"))->RevokeToken(&context, request, &token).ok());
  EXPECT_EQ(List(access).error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_THAT(List(access).error_message(), HasSubstr("was revoked"));

  const Access soon = *ParseAccess(NewToken(v1::ROLE_VIEWER, 1).access_file());
  absl::SleepFor(absl::Milliseconds(1100));
  EXPECT_THAT(List(soon).error_message(), HasSubstr("expired at"));

  Access wrong = access;
  wrong.token = "rt_" + std::string(16, 'a') + "_" + std::string(64, 'b');
  EXPECT_THAT(List(wrong).error_message(), HasSubstr("none of this coordinator's"));
}

TEST_F(AccessRpcTest, AReplayedRequestIdOfAnotherRoleSaysNothing) {
  v1::ChangeSweepRequest request;
  request.set_request_id(NewUuid());
  request.set_name("sweeps/s");
  const auto pause = [&](const std::string& role) {
    auto stub = v1::SweepService::NewStub(OpenChannel(FileOf(role), 0));
    grpc::ClientContext context;
    v1::Sweep answer;
    return stub->PauseSweep(&context, request, &answer);
  };
  channel_ = OpenChannel(FileOf("operator"), 0);
  sweeps_ = v1::SweepService::NewStub(channel_);
  uploads_ = v1::ArtifactService::NewStub(channel_);
  ASSERT_TRUE(Create(ScratchSweep("s")).ok());
  ASSERT_TRUE(pause("operator").ok());
  EXPECT_TRUE(pause("operator").ok()) << "a repeat of one's own";
  for (const char* role : {"viewer", "worker"}) {
    EXPECT_EQ(pause(role).error_code(), grpc::StatusCode::PERMISSION_DENIED) << role;
  }
}

TEST_F(AccessRpcTest, HealthNeedsNoToken) {
  grpc::GenericStub stub(
      grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  server_->SetServing();
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const grpc::Slice nothing;
  const grpc::ByteBuffer empty(&nothing, 1);
  grpc::ByteBuffer answer;
  grpc::Status status;
  auto call = stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", empty, &queue);
  call->StartCall();
  call->Finish(&answer, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  EXPECT_TRUE(status.ok()) << status.error_message();
}

TEST_F(AccessRpcTest, OverTlsTheAccessFileIsEnoughAndNothingElseIs) {
  AccessOptions options;
  options.tls = true;
  StartWith(options);
  EXPECT_TRUE(List(FileOf("viewer")).ok()) << List(FileOf("viewer")).error_message();

  Access plain{.addresses = {server_->address()}, .token = FileOf("viewer").token};
  EXPECT_EQ(List(plain, 2000).error_code(), grpc::StatusCode::UNAVAILABLE) << "in clear";

  Access wrong = FileOf("viewer");
  wrong.ca = MakeAuthority("another", absl::Now(), absl::Hours(1))->certificate;
  EXPECT_EQ(List(wrong, 2000).error_code(), grpc::StatusCode::UNAVAILABLE) << "of another CA";

  Access renamed = FileOf("viewer");
  renamed.server_name = "another";
  EXPECT_EQ(List(renamed, 2000).error_code(), grpc::StatusCode::UNAVAILABLE) << "another name";
}

TEST_F(AccessRpcTest, MutualTlsAsksForACertificateOfTheCoordinators) {
  AccessOptions options;
  options.tls = true;
  options.mutual_tls = true;
  StartWith(options);
  EXPECT_TRUE(List(FileOf("viewer")).ok()) << List(FileOf("viewer")).error_message();
  EXPECT_TRUE(List(*ParseAccess(NewToken(v1::ROLE_VIEWER).access_file())).ok());
  Access bare = FileOf("viewer");
  bare.certificate.clear();
  bare.key.clear();
  EXPECT_EQ(List(bare, 2000).error_code(), grpc::StatusCode::UNAVAILABLE);
  const auto other = MakeAuthority("another", absl::Now(), absl::Hours(1));
  const auto forged = MakeCertificate(
      *other, {.name = "x", .hosts = {}, .for_server = false, .lifetime = absl::Hours(1)},
      absl::Now());
  bare.certificate = forged->certificate;
  bare.key = forged->key;
  EXPECT_EQ(List(bare, 2000).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(AccessRpcTest, ARenewedCertificateIsServedWithoutARestart) {
  AccessOptions options;
  options.tls = true;
  StartWith(options);
  auto old = OpenChannel(FileOf("viewer"), 0);
  ASSERT_TRUE(List(FileOf("viewer")).ok());
  // A third authority's: whether it is served can be told from outside.
  const auto authority = MakeAuthority("new", absl::Now(), absl::Hours(1));
  const auto pair = MakeCertificate(
      *authority, {.name = "x", .hosts = {"retort-coordinator"}, .lifetime = absl::Hours(1)},
      absl::Now());
  ASSERT_TRUE(WriteFileAtomically(access_->tls_files().key, pair->key, 0600).ok());
  ASSERT_TRUE(WriteFileAtomically(access_->tls_files().certificate, pair->certificate).ok());
  Access renewed = FileOf("viewer");
  renewed.ca = authority->certificate;
  const absl::Time until = absl::Now() + absl::Seconds(30);
  while (!List(renewed, 1000).ok() && absl::Now() < until) absl::SleepFor(absl::Milliseconds(200));
  EXPECT_TRUE(List(renewed).ok()) << List(renewed).error_message();
}

TEST_F(AccessRpcTest, ALinkFollowsItsFileToAnotherTokenAndAddress) {
  const std::string path = folder_ + "/mine.access";
  const auto made = NewToken(v1::ROLE_VIEWER);
  Access mine = *ParseAccess(made.access_file());
  const Access good = mine;
  mine.token = "rt_wrong";
  ASSERT_TRUE(WriteFileAtomically(path, PrintAccess(mine), 0600).ok());
  Link link({mine, path, ""});
  const auto list = [&link] {
    auto stub = v1::SweepService::NewStub(link.channel());
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(2));
    v1::ListSweepsResponse response;
    return stub->ListSweeps(&context, {}, &response).error_code();
  };
  EXPECT_EQ(list(), grpc::StatusCode::UNAUTHENTICATED);
  ASSERT_TRUE(WriteFileAtomically(path, "half of a fi", 0600).ok());
  absl::SleepFor(absl::Milliseconds(1100));
  EXPECT_EQ(list(), grpc::StatusCode::UNAUTHENTICATED) << "a broken file changes nothing";
  ASSERT_TRUE(WriteFileAtomically(path, PrintAccess(good), 0600).ok());
  absl::SleepFor(absl::Milliseconds(1100));
  EXPECT_EQ(list(), grpc::StatusCode::OK);
}

TEST_F(AccessRpcTest, ALinkTriesTheNextAddressWhenOneIsDead) {
  Access access = FileOf("viewer");
  access.addresses = {"127.0.0.1:1", server_->address()};
  Link link({access, "", ""});
  const absl::Time until = absl::Now() + absl::Seconds(20);
  grpc::Status status;
  do {
    auto stub = v1::SweepService::NewStub(link.channel());
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(2));
    v1::ListSweepsResponse response;
    status = stub->ListSweeps(&context, {}, &response);
    if (!status.ok()) absl::SleepFor(absl::Milliseconds(100));
  } while (!status.ok() && absl::Now() < until);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(link.address(), server_->address());
}

}  // namespace
}  // namespace retort
