// What the coordinator takes on at once is bounded, and what is beyond is refused clearly.

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <latch>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/files.h"
#include "common/hash.h"
#include "server/rpc/gate.h"
#include "server/rpc/lane.h"
#include "tests/rpc/harness.h"

namespace retort {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// --------------------------------------------------------------------------------------- gates

TEST(GateTest, BoundsAllAndEachCaller) {
  Gate gate("things", {.all = 3, .of_a_caller = 2});
  auto a1 = gate.Enter("a");
  auto a2 = gate.Enter("a");
  ASSERT_TRUE(a1.ok() && a2.ok());
  EXPECT_EQ(gate.Enter("a").status().code(), absl::StatusCode::kResourceExhausted);
  auto b = gate.Enter("b");
  ASSERT_TRUE(b.ok()) << "another caller has room";
  const absl::Status full = gate.Enter("c").status();
  EXPECT_EQ(full.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(full.ToString(), HasSubstr("3 things are open"));
  { const Gate::Ticket left = *std::move(a1); }
  EXPECT_EQ(gate.open(), 2u);
  EXPECT_TRUE(gate.Enter("a").ok());
}

// --------------------------------------------------------------------------------------- lanes

// A lane of one thread that stands still until the test lets it go.
class LaneTest : public testing::Test {
 protected:
  void SetUp() override {
    lane_.Continue("first", [this] {
      standing_.count_down();
      go_.wait();
    });
    standing_.wait();
  }
  // Lets it work through what was posted.
  std::vector<std::string> Run() {
    go_.count_down();
    std::promise<void> done;
    lane_.Continue("zz", [&] { done.set_value(); });
    done.get_future().wait();
    std::latch rest(1);
    lane_.Continue("a", [&] { rest.count_down(); });  // behind all of its caller's
    rest.wait();
    return order_;
  }
  std::function<void()> Note(const std::string& what) {
    return [this, what] { order_.push_back(what); };
  }

  std::latch standing_{1};
  std::latch go_{1};
  std::vector<std::string> order_;  // the one thread's
  Lane lane_{"reads", {.threads = 1, .waiting = {.all = 5, .of_a_caller = 3}}};
};

TEST_F(LaneTest, CallersTakeTurns) {
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(lane_.Post("a", Note(absl::StrCat("a", i))).ok());
  ASSERT_TRUE(lane_.Post("b", Note("b1")).ok());
  EXPECT_THAT(Run(), ElementsAre("a1", "b1", "a2", "a3"));
}

TEST_F(LaneTest, WhatIsTooMuchIsRefusedAndNeverRuns) {
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(lane_.Post("a", Note("a")).ok());
  EXPECT_EQ(lane_.Post("a", Note("too much")).code(), absl::StatusCode::kResourceExhausted);
  for (int i = 1; i <= 2; ++i) ASSERT_TRUE(lane_.Post("b", Note("b")).ok());
  const absl::Status full = lane_.Post("c", Note("too much"));
  EXPECT_EQ(full.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(full.ToString(), HasSubstr("overloaded: 5 reads wait"));
  lane_.Continue("c", Note("c"));  // a step of what was let in
  EXPECT_THAT(Run(), testing::UnorderedElementsAre("a", "a", "a", "b", "b", "c"));
}

// ---------------------------------------------------------------------------------- over the wire

class LimitsTest : public RpcTest {
 protected:
  // Starts anew with these bounds.
  void Serve(const RpcLimits& limits) {
    Stop();
    limits_ = limits;
    Start();
  }
  // A connection of its own.
  std::shared_ptr<grpc::Channel> NewChannel() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetMaxReceiveMessageSize(-1);
    return grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(),
                                     arguments);
  }
  // An upload that has sent its first byte of ten.
  struct OpenUpload {
    grpc::ClientContext context;
    v1::UploadResponse response;
    std::unique_ptr<grpc::ClientWriter<v1::UploadRequest>> writer;

    grpc::Status Finish() {
      writer->WritesDone();
      return writer->Finish();
    }
  };
  std::unique_ptr<OpenUpload> BeginUpload(char digit) {
    auto upload = std::make_unique<OpenUpload>();
    upload->writer = uploads_->Upload(&upload->context, &upload->response);
    v1::UploadRequest piece;
    piece.mutable_artifact()->set_sha256(std::string(64, digit));
    piece.mutable_artifact()->set_size_bytes(10);
    piece.set_data("x");
    upload->writer->Write(piece);
    return upload;
  }
  // Until an upload was let in: its bytes are there.
  void AwaitOffset(char digit, int64_t offset) {
    v1::UploadStatusResponse response;
    for (int i = 0; i < 500 && response.offset() != offset; ++i) {
      grpc::ClientContext context;
      v1::UploadStatusRequest request;
      request.set_sha256(std::string(64, digit));
      ASSERT_TRUE(uploads_->UploadStatus(&context, request, &response).ok());
      absl::SleepFor(absl::Milliseconds(10));
    }
    ASSERT_EQ(response.offset(), offset);
  }
};

TEST_F(LimitsTest, Uploads) {
  Serve({.uploads = {.all = 2, .of_a_caller = 2}});
  auto first = BeginUpload('a');
  auto second = BeginUpload('b');
  AwaitOffset('a', 1);
  AwaitOffset('b', 1);
  const grpc::Status refused = BeginUpload('c')->Finish();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::UNAVAILABLE) << refused.error_message();
  EXPECT_THAT(refused.error_message(), HasSubstr("2 uploads are open"));
  first->context.TryCancel();
  EXPECT_FALSE(first->Finish().ok());
  for (int i = 0; i < 100; ++i) {
    const grpc::Status status = BeginUpload('d')->Finish();
    if (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT) return;  // let in; too short
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    absl::SleepFor(absl::Milliseconds(20));
  }
  FAIL() << "the one that was cancelled made no room";
}

TEST_F(LimitsTest, AnUploadThatSendsNothingMakesRoomAndKeepsItsBytes) {
  Serve({.uploads = {.all = 1, .of_a_caller = 1}, .patience = absl::Milliseconds(300)});
  auto stalled = BeginUpload('a');
  AwaitOffset('a', 1);
  grpc::Status status;
  for (int i = 0; i < 100; ++i) {
    status = BeginUpload('b')->Finish();
    if (status.error_code() == grpc::StatusCode::INVALID_ARGUMENT) break;
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  EXPECT_EQ(stalled->Finish().error_code(), grpc::StatusCode::CANCELLED);
  AwaitOffset('a', 1);
}

TEST_F(LimitsTest, AReaderThatDoesNotReadIsDropped) {
  Serve({.downloads = {.all = 1, .of_a_caller = 1}, .patience = absl::Milliseconds(300)});
  std::string bytes(1 << 20, 'x');
  std::vector<std::string> hashes;
  // Larger than what the transport takes in advance.
  const std::string large(size_t{32} << 20, 'y');
  const std::string hash = ArtifactHash(Sha256Of(large)).hex();
  auto writer =
      artifacts_->Write(*ArtifactHash::FromHex(hash), static_cast<int64_t>(large.size()), 0);
  ASSERT_TRUE(writer.ok());
  ASSERT_TRUE((*writer)->Append(large).ok());
  ASSERT_TRUE((*writer)->Commit().ok());
  const auto channel = NewChannel();
  const auto stub = v1::ArtifactService::NewStub(channel);
  grpc::ClientContext context;
  v1::DownloadRequest request;
  request.set_sha256(hash);
  auto stalled = stub->Download(&context, request);
  v1::DownloadResponse piece;
  ASSERT_TRUE(stalled->Read(&piece));
  grpc::Status status;
  for (int i = 0; i < 100; ++i) {
    grpc::ClientContext other;
    auto reader = uploads_->Download(&other, request);
    int64_t read = 0;
    while (reader->Read(&piece)) read += static_cast<int64_t>(piece.data().size());
    status = reader->Finish();
    if (status.ok()) {
      EXPECT_EQ(read, static_cast<int64_t>(large.size()));
      break;
    }
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_TRUE(status.ok());
  while (stalled->Read(&piece)) {
  }
  EXPECT_EQ(stalled->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(LimitsTest, WatchesAndTailsOfOneConnection) {
  Serve({.watches = {.all = 9, .of_a_caller = 1}, .tails = {.all = 9, .of_a_caller = 1}});
  ASSERT_TRUE(Create(ScratchSweep("one")).ok());
  v1::GetSweepRequest request;
  request.set_name("sweeps/one");
  grpc::ClientContext first, second, third;
  auto watch = sweeps_->WatchSweep(&first, request);
  v1::Sweep sweep;
  ASSERT_TRUE(watch->Read(&sweep));
  auto refused = sweeps_->WatchSweep(&second, request);
  EXPECT_FALSE(refused->Read(&sweep));
  EXPECT_EQ(refused->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const auto elsewhere = v1::SweepService::NewStub(NewChannel());
  auto other = elsewhere->WatchSweep(&third, request);
  EXPECT_TRUE(other->Read(&sweep)) << "another caller has room";
  first.TryCancel();
  third.TryCancel();

  grpc::ClientContext fourth, fifth;
  v1::TailLogsRequest tail;
  tail.set_job(Jobs("sweeps/one").at(0).name());
  tail.set_follow(true);
  auto tailed = sweeps_->TailLogs(&fourth, tail);
  absl::SleepFor(absl::Milliseconds(100));
  v1::TailLogsResponse piece;
  auto too_many = sweeps_->TailLogs(&fifth, tail);
  EXPECT_FALSE(too_many->Read(&piece));
  EXPECT_EQ(too_many->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  fourth.TryCancel();
}

TEST_F(LimitsTest, StreamsOfMetricsAndLogs) {
  Serve({.metric_streams = {.all = 1, .of_a_caller = 1},
         .log_streams = {.all = 1, .of_a_caller = 1}});
  grpc::ClientContext a, b;
  auto held_metrics = workers_->StreamMetrics(&a);
  auto held_logs = workers_->StreamLogs(&b);
  absl::SleepFor(absl::Milliseconds(200));
  FakeWorker worker(*workers_, "w1");
  v1::AttemptId id;
  id.set_job(std::string(64, 'a'));
  id.set_attempt(1);
  EXPECT_EQ(worker.SendMetrics(id, 0, 1).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(worker.SendLog(id, 0, "x").status().code(), absl::StatusCode::kUnavailable);
  a.TryCancel();
  b.TryCancel();
}

TEST_F(LimitsTest, Syncs) {
  Serve({.syncs = {.all = 1, .of_a_caller = 1}});
  FakeWorker first(*workers_, "w1");
  ASSERT_TRUE(first.Sync(1).ok());
  absl::SleepFor(kLease / 20);  // until the server, too, is done with it
  auto parked = std::async(std::launch::async, [&first] { return first.Sync(1); });
  absl::SleepFor(kLease / 20);
  FakeWorker second(*workers_, "w2");
  EXPECT_EQ(second.Sync(1).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(FakeWorker(*workers_, "w1").Sync(1).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(parked.get().ok());
}

TEST_F(LimitsTest, QueriesThatWait) {
  Serve({.queries = {.threads = 1, .waiting = {.all = 1, .of_a_caller = 1}}});
  v1::QueryRequest request;
  request.set_sql(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8000000) "
      "SELECT count(*) FROM n");
  struct Call {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientReader<v1::QueryResponse>> reader;
  };
  std::vector<std::unique_ptr<Call>> calls;
  int refused = 0;
  for (int i = 0; i < 3; ++i) {
    auto call = std::make_unique<Call>();
    call->context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    call->reader = sweeps_->Query(&call->context, request);
    calls.push_back(std::move(call));
    absl::SleepFor(absl::Milliseconds(100));
  }
  v1::QueryResponse response;
  for (auto& call : calls) {
    while (call->reader->Read(&response)) {
    }
    const auto code = call->reader->Finish().error_code();
    if (code == grpc::StatusCode::UNAVAILABLE) ++refused;
  }
  EXPECT_EQ(refused, 1) << "one runs, one waits";
  // What workers and other reads need goes on meanwhile.
  FakeWorker worker(*workers_, "w1");
  EXPECT_TRUE(worker.Sync(0).ok());
}

// Without rows nobody notices by writing that the caller has gone.
TEST_F(LimitsTest, AQueryThatWasCancelledStopsSoon) {
  Serve({.queries = {.threads = 1, .waiting = {.all = 1, .of_a_caller = 1}}});
  v1::QueryRequest endless, quick;
  endless.set_sql(
      "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n");
  quick.set_sql("SELECT count(*) FROM workers");
  v1::QueryResponse response;
  for (const bool by_deadline : {false, true}) {
    grpc::ClientContext context, next;
    if (by_deadline) {
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(300));
    }
    auto running = sweeps_->Query(&context, endless);
    absl::SleepFor(absl::Milliseconds(200));  // it has the one thread
    if (!by_deadline) context.TryCancel();
    EXPECT_FALSE(running->Read(&response));
    EXPECT_FALSE(running->Finish().ok());
    // Far below the 30 s that a query may take.
    next.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    auto reader = sweeps_->Query(&next, quick);
    EXPECT_TRUE(reader->Read(&response));
    const grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
}

TEST_F(LimitsTest, SizesOfRequests) {
  grpc::ClientContext a, b, c;
  v1::ListJobsRequest list;
  list.set_sweep("sweeps/" + std::string(100'000, 'a'));
  v1::ListJobsResponse jobs;
  const grpc::Status large = sweeps_->ListJobs(&a, list, &jobs);
  EXPECT_EQ(large.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(large.error_message(), HasSubstr("must be at most 65536"));
  v1::ChangeSweepRequest change;
  change.set_name("sweeps/" + std::string(3'000'000, 'a'));
  v1::Sweep sweep;
  EXPECT_EQ(sweeps_->PauseSweep(&b, change, &sweep).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  list.set_sweep("sweeps/" + std::string(kMaxMessageBytes, 'a'));
  EXPECT_EQ(sweeps_->ListJobs(&c, list, &jobs).error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

// ----------------------------------------------------------------------------------------- hostile

int Connect(const std::string& address) {
  const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  to.sin_port =
      htons(static_cast<uint16_t>(std::atoi(address.substr(address.rfind(':') + 1).c_str())));
  EXPECT_EQ(connect(socket_fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  return socket_fd;
}

TEST_F(LimitsTest, GarbageAndHalfOpenConnectionsHarmNobody) {
  std::vector<int> sockets;
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  for (int i = 0; i < 60; ++i) {
    const int socket_fd = Connect(server_->address());
    // Nothing, garbage, a preface and nothing more, a frame that claims 16 MiB, half a frame.
    std::string bytes;
    if (i % 5 == 1) bytes = std::string(5000, static_cast<char>(0xa5));
    if (i % 5 == 2) bytes = preface;
    if (i % 5 == 3) bytes = preface + std::string("\xff\xff\xff\x00\x00\x00\x00\x00\x01", 9);
    if (i % 5 == 4) bytes = preface + std::string("\x00\x00\x04", 3);
    if (!bytes.empty()) {
      EXPECT_GT(send(socket_fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), 0);
    }
    sockets.push_back(socket_fd);
  }
  ASSERT_TRUE(Create(ScratchSweep("one")).ok());
  FakeWorker worker(*workers_, "w1");
  EXPECT_TRUE(worker.TakeLease().ok());
  for (const int socket_fd : sockets) close(socket_fd);
}

}  // namespace
}  // namespace retort
