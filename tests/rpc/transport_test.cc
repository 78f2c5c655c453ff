// What a connection may ask of the transport, with bytes of our own where gRPC's client behaves too
// well.

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "common/files.h"
#include "common/hash.h"
#include "tests/rpc/harness.h"

namespace retort {
namespace {

// A connection that says exactly what it is told to.
class RawConnection {
 public:
  explicit RawConnection(const std::string& address)
      : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port =
        htons(static_cast<uint16_t>(std::atoi(address.substr(address.rfind(':') + 1).c_str())));
    EXPECT_EQ(connect(socket_.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  }
  void Send(const std::string& bytes) {
    send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  // All that the server says until it closes; `closed` tells whether it did within the patience.
  std::string ReadToTheEnd(absl::Duration patience, bool* closed) {
    const absl::Time until = absl::Now() + patience;
    std::string all;
    *closed = false;
    while (!*closed && absl::Now() < until) {
      pollfd ready{socket_.get(), POLLIN, 0};
      if (poll(&ready, 1, 20) <= 0) continue;
      char buffer[4096];
      const ssize_t count = recv(socket_.get(), buffer, sizeof buffer, 0);
      *closed = count <= 0;
      if (count > 0) all.append(buffer, static_cast<size_t>(count));
    }
    return all;
  }

 private:
  UniqueFd socket_;
};

// A frame of HTTP/2 on the connection itself (RFC 9113, section 4.1).
std::string Frame(char type, const std::string& payload) {
  return std::string({0, 0, static_cast<char>(payload.size()), type, 0, 0, 0, 0, 0}) + payload;
}
const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr char kSettings = 4, kPing = 6;

// Memory of this process, which is server and clients at once.
int64_t MemoryMib() {
  std::ifstream status("/proc/self/status");
  std::string word;
  int64_t kib = 0;
  while (status >> word) {
    if (word == "VmRSS:") status >> kib;
  }
  return kib / 1024;
}

// Of 100 slow transfers. AddressSanitizer puts something around each piece of memory.
#ifdef __SANITIZE_ADDRESS__
constexpr int64_t kMostMib = 600;
#else
constexpr int64_t kMostMib = 400;
#endif

class TransportTest : public RpcTest {
 protected:
  void Serve(const TransportLimits& limits) {
    Stop();
    transport_ = limits;
    Start();
  }
  // A connection of its own, that takes little in advance: what is measured is the server's.
  std::shared_ptr<grpc::Channel> NewChannel() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 64 << 10);
    arguments.SetMaxReceiveMessageSize(-1);
    return grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(),
                                     arguments);
  }
};

TEST_F(TransportTest, AConnectionThatSaysNothingSensibleDoesNotStay) {
  Serve({.handshake = absl::Milliseconds(300)});
  for (const std::string& bytes : {std::string(), kPreface.substr(0, 10), kPreface}) {
    RawConnection connection(server_->address());
    connection.Send(bytes);
    bool closed = false;
    connection.ReadToTheEnd(absl::Seconds(5), &closed);
    EXPECT_TRUE(closed) << bytes.size() << " bytes";
  }
}

TEST_F(TransportTest, AConnectionWithoutACallDoesNotStay) {
  Serve({.idle = absl::Milliseconds(500)});
  RawConnection connection(server_->address());
  connection.Send(kPreface + Frame(kSettings, ""));
  bool closed = false;
  connection.ReadToTheEnd(absl::Seconds(10), &closed);
  EXPECT_TRUE(closed);
}

TEST_F(TransportTest, PingsWithoutEndAreNotAnswered) {
  RawConnection connection(server_->address());
  connection.Send(kPreface + Frame(kSettings, ""));
  for (int i = 0; i < 50; ++i) connection.Send(Frame(kPing, "12345678"));
  bool closed = false;
  const std::string answer = connection.ReadToTheEnd(absl::Seconds(5), &closed);
  EXPECT_TRUE(closed);
  EXPECT_THAT(answer, testing::HasSubstr("too_many_pings"));
}

TEST_F(TransportTest, CallsOfAConnectionBeyondTheBoundWait) {
  Serve({.concurrent_streams = 2});
  const auto channel = NewChannel();
  const auto sweeps = v1::SweepService::NewStub(channel);
  const auto workers = v1::WorkerService::NewStub(channel);
  const auto list = [&](absl::Duration patience, v1::SweepService::Stub& stub) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + patience));
    v1::ListSweepsResponse response;
    return stub.ListSweeps(&context, {}, &response).error_code();
  };
  ASSERT_EQ(list(absl::Seconds(10), *sweeps), grpc::OK);
  grpc::ClientContext first, second;
  auto one = workers->StreamMetrics(&first);
  auto two = workers->StreamLogs(&second);
  EXPECT_EQ(list(absl::Milliseconds(500), *sweeps), grpc::DEADLINE_EXCEEDED);
  const auto elsewhere = v1::SweepService::NewStub(NewChannel());
  EXPECT_EQ(list(absl::Seconds(10), *elsewhere), grpc::OK) << "another connection has room";
  first.TryCancel();
  EXPECT_EQ(list(absl::Seconds(10), *sweeps), grpc::OK);
}

// A hundred readers that take one piece and then no more, of three gigabytes in all.
TEST_F(TransportTest, SlowDownloadsTakeLittleMemory) {
  const std::string large(size_t{32} << 20, 'y');
  const std::string hash = ArtifactHash(Sha256Of(large)).hex();
  auto writer =
      artifacts_->Write(*ArtifactHash::FromHex(hash), static_cast<int64_t>(large.size()), 0);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Append(large).ok());
  ASSERT_TRUE((*writer)->Commit().ok());
  struct Slow {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::DownloadResponse>> reader;
  };
  v1::DownloadRequest request;
  request.set_sha256(hash);
  v1::DownloadResponse piece;
  const int64_t before = MemoryMib();
  std::vector<std::unique_ptr<v1::ArtifactService::Stub>> stubs;
  std::vector<std::unique_ptr<Slow>> all;
  for (int i = 0; i < 100; ++i) {
    if (i % 50 == 0) stubs.push_back(v1::ArtifactService::NewStub(NewChannel()));
    all.push_back(std::make_unique<Slow>());
    all.back()->reader = stubs.back()->Download(&all.back()->context, request);
    ASSERT_TRUE(all.back()->reader->Read(&piece)) << i;
  }
  absl::SleepFor(absl::Milliseconds(500));
  const int64_t taken = MemoryMib() - before;
  std::printf("100 slow downloads: %lld MiB\n", static_cast<long long>(taken));
  EXPECT_LT(taken, kMostMib);
  for (const auto& slow : all) slow->context.TryCancel();
}

// A hundred that have sent a piece and stay.
TEST_F(TransportTest, SlowUploadsTakeLittleMemory) {
  struct Slow {
    grpc::ClientContext context;
    v1::UploadResponse response;
    std::unique_ptr<grpc::ClientWriter<v1::UploadRequest>> writer;
  };
  v1::UploadRequest piece;
  piece.mutable_artifact()->set_size_bytes(int64_t{1} << 30);
  const int64_t before = MemoryMib();
  std::vector<std::unique_ptr<v1::ArtifactService::Stub>> stubs;
  std::vector<std::unique_ptr<Slow>> all;
  for (int i = 0; i < 100; ++i) {
    if (i % 50 == 0) stubs.push_back(v1::ArtifactService::NewStub(NewChannel()));
    all.push_back(std::make_unique<Slow>());
    all.back()->writer = stubs.back()->Upload(&all.back()->context, &all.back()->response);
    piece.mutable_artifact()->set_sha256(
        ArtifactHash(Sha256Of(std::string(static_cast<size_t>(i) + 1, 'x'))).hex());
    piece.set_data(std::string(1 << 20, 'x'));
    ASSERT_TRUE(all.back()->writer->Write(piece));
    piece.clear_artifact();
    ASSERT_TRUE(all.back()->writer->Write(piece));
    piece.mutable_artifact()->set_size_bytes(int64_t{1} << 30);
  }
  absl::SleepFor(absl::Milliseconds(500));
  const int64_t taken = MemoryMib() - before;
  std::printf("100 slow uploads: %lld MiB\n", static_cast<long long>(taken));
  EXPECT_LT(taken, kMostMib);
  for (const auto& slow : all) slow->context.TryCancel();
}

// What is sent at once beyond the quota is refused by the transport; nothing else is harmed.
TEST_F(TransportTest, BytesBeyondTheQuotaAreRefusedAndWorkGoesOn) {
  Serve({.bytes = size_t{8} << 20});
  const auto upload = [this](char digit) {
    const std::string bytes(size_t{1} << 20, digit);
    v1::UploadRequest piece;
    piece.mutable_artifact()->set_sha256(ArtifactHash(Sha256Of(bytes)).hex());
    piece.mutable_artifact()->set_size_bytes(static_cast<int64_t>(bytes.size()));
    piece.set_data(bytes);
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Seconds(20)));
    v1::UploadResponse response;
    auto writer = uploads_->Upload(&context, &response);
    writer->Write(piece);
    writer->WritesDone();
    return writer->Finish();
  };
  int refused = 0;
  // How much of it is on its way at one time is not ours to say.
  for (int round = 0; round < 20 && refused == 0; ++round) {
    std::vector<std::future<grpc::Status>> uploads;
    for (int i = 0; i < 16; ++i) {
      uploads.push_back(std::async(std::launch::async, upload, static_cast<char>('a' + i)));
    }
    for (auto& call : uploads) {
      const grpc::Status status = call.get();
      if (status.ok()) continue;
      ++refused;
      EXPECT_THAT(status.error_code(), testing::AnyOf(grpc::RESOURCE_EXHAUSTED, grpc::UNAVAILABLE))
          << status.error_message();
    }
    for (int i = 0; i < 16; ++i) {
      const std::string bytes(size_t{1} << 20, static_cast<char>('a' + i));
      const std::string hash = ArtifactHash(Sha256Of(bytes)).hex();
      std::filesystem::remove(folder_ + "/artifacts/" + hash.substr(0, 2) + "/" + hash);
    }
  }
  EXPECT_GT(refused, 0);
  // What they took is given back a moment after they end.
  grpc::Status again = upload('z');
  for (int i = 0; i < 1000 && !again.ok(); ++i) {
    absl::SleepFor(absl::Milliseconds(10));
    again = upload('z');
  }
  ASSERT_TRUE(again.ok()) << again.error_message();
  ASSERT_TRUE(Create(ScratchSweep("one")).ok());
  EXPECT_TRUE(FakeWorker(*workers_, "w1").TakeLease().ok());
}

}  // namespace
}  // namespace retort
