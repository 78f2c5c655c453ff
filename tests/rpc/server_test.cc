#include "server/rpc/server.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <gtest/gtest.h>

#include "server/rpc/page_token.h"

namespace retort {
namespace {

using testing::HasSubstr;

// Calls a method by name with raw bytes and returns the first answer's, so that no stub of it is
// needed.
absl::StatusOr<std::string> CallRaw(const std::string& address, const std::string& method,
                                    const std::string& request) {
  grpc::GenericStub stub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  grpc::CompletionQueue queue;
  const auto done = [&queue] {
    void* tag;
    bool ok = false;
    queue.Next(&tag, &ok);
    return ok;
  };
  auto call = stub.PrepareCall(&context, method, &queue);
  call->StartCall(nullptr);
  done();
  const grpc::Slice slice(request);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
  done();
  grpc::ByteBuffer answer;
  call->Read(&answer, nullptr);
  const bool ok = done();
  grpc::Status status;
  call->Finish(&status, nullptr);
  done();
  if (!ok) return absl::UnknownError(status.error_message());
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!answer.Dump(&slices).ok()) return absl::UnknownError("no bytes");
  for (const grpc::Slice& s : slices)
    bytes.append(reinterpret_cast<const char*>(s.begin()), s.size());
  return bytes;
}

constexpr char kHealth[] = "/grpc.health.v1.Health/Check";

TEST(RpcServerTest, HealthSaysServingOnlyOnceItIs) {
  auto server = *RpcServer::Start({.host = "127.0.0.1", .port = 0, .loopback = true}, {});
  // HealthCheckResponse.status is field 1: 1 is SERVING, 2 NOT_SERVING.
  EXPECT_EQ(*CallRaw(server->address(), kHealth, ""), "\x08\x02");
  server->SetServing();
  EXPECT_EQ(*CallRaw(server->address(), kHealth, ""), "\x08\x01");
}

TEST(RpcServerTest, ReflectionListsServices) {
  auto server = *RpcServer::Start({.host = "127.0.0.1", .port = 0, .loopback = true}, {});
  // ServerReflectionRequest.list_services is field 7.
  const auto answer =
      CallRaw(server->address(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
              "\x3a\x01*");
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_THAT(*answer, HasSubstr("grpc.health.v1.Health"));
}

TEST(RpcServerTest, PortInUseIsAnError) {
  auto server = *RpcServer::Start({.host = "127.0.0.1", .port = 0, .loopback = true}, {});
  const auto address = *ParseListenAddress(server->address());
  EXPECT_GT(address.port, 0);
  const auto second = RpcServer::Start(address, {});
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.status().ToString(), HasSubstr(server->address()));
}

TEST(ListenAddressTest, KnowsLoopback) {
  for (const char* listen : {"127.0.0.1:7641", "127.9.9.9:0", "localhost:1", "[::1]:7641"}) {
    EXPECT_TRUE(ParseListenAddress(listen)->loopback) << listen;
  }
  for (const char* listen :
       {"0.0.0.0:7641", "127.evil.example:1", "[::]:1", "localhost.example:2"}) {
    EXPECT_FALSE(ParseListenAddress(listen)->loopback) << listen;
  }
  for (const char* listen :
       {"", "7641", ":7641", "localhost", "a:b", "::1:7641", "h:-1", "h:65536", "a b:1"}) {
    EXPECT_FALSE(ParseListenAddress(listen).ok()) << listen;
  }
}

TEST(PageTokenTest, IsBoundToItsArguments) {
  const std::string token = MakePageToken("key\0!", "a=1");
  EXPECT_EQ(*ParsePageToken(token, "a=1"), std::string("key\0!"));
  EXPECT_EQ(*ParsePageToken("", "a=1"), "");
  std::string changed = token;
  changed.back() = changed.back() == 'A' ? 'B' : 'A';
  for (const std::string& bad :
       {std::string("x"), std::string("%%"), changed, MakePageToken("key", "a=2")}) {
    EXPECT_EQ(ParsePageToken(bad, "a=1").status().code(), absl::StatusCode::kInvalidArgument)
        << bad;
  }
  EXPECT_EQ(*PageSize(0), 100);
  EXPECT_EQ(*PageSize(1000), 1000);
  EXPECT_FALSE(PageSize(1001).ok());
  EXPECT_FALSE(PageSize(-1).ok());
}

}  // namespace
}  // namespace retort
