// Changes and tasks of upkeep are bounded while they wait, and what nobody waits for is not done.

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <latch>
#include <memory>
#include <vector>

#include "absl/time/clock.h"
#include "common/hash.h"
#include "server/rpc/lane.h"
#include "server/rpc/unary.h"
#include "tests/rpc/harness.h"

namespace retort {
namespace {

// A coordinator whose strand stands still until the test lets it go.
class StandingTest : public RpcTest {
 protected:
  void Serve(const RpcLimits& limits) {
    Stop();
    limits_ = limits;
    Start();
  }
  void StandStill() {
    coordinator_->Inspect(
        [this](const core::State&) {
          standing_.count_down();
          go_.wait();
        },
        [](absl::StatusOr<Answer>) {});
    standing_.wait();
  }
  void TearDown() override {
    Go();
    RpcTest::TearDown();
  }
  void Go() {
    if (!gone_) go_.count_down();
    gone_ = true;
  }
  std::shared_ptr<grpc::Channel> NewChannel() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(),
                                     arguments);
  }
  static grpc::Status Pause(const std::shared_ptr<grpc::Channel>& channel,
                            const std::string& request_id = NewUuid(),
                            absl::Duration patience = absl::Seconds(20)) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + patience));
    v1::ChangeSweepRequest request;
    request.set_request_id(request_id);
    request.set_name("sweeps/one");
    v1::Sweep response;
    return v1::SweepService::NewStub(channel)->PauseSweep(&context, request, &response);
  }
  grpc::Status BackUp(const std::shared_ptr<grpc::Channel>& channel) const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    v1::BackupRequest request;
    request.set_request_id(NewUuid());
    request.set_folder(folder_ + "/inside");  // is refused when its turn comes
    auto reader = v1::AdminService::NewStub(channel)->Backup(&context, request);
    v1::BackupResponse response;
    while (reader->Read(&response)) {
    }
    return reader->Finish();
  }
  // So many calls at once.
  static std::vector<std::future<grpc::Status>> Flood(int count,
                                                      const std::function<grpc::Status()>& call) {
    std::vector<std::future<grpc::Status>> calls;
    for (int i = 0; i < count; ++i) calls.push_back(std::async(std::launch::async, call));
    return calls;
  }
  static int CountReady(const std::vector<std::future<grpc::Status>>& calls) {
    int ready = 0;
    for (const auto& call : calls) {
      ready += call.wait_for(std::chrono::seconds(0)) == std::future_status::ready ? 1 : 0;
    }
    return ready;
  }
  // Until all but `held` of the calls were answered, which they are at once.
  static void AwaitRefused(const std::vector<std::future<grpc::Status>>& calls, int held) {
    const int wanted = static_cast<int>(calls.size()) - held;
    for (int i = 0; i < 300 && CountReady(calls) < wanted; ++i) {
      absl::SleepFor(absl::Milliseconds(10));
    }
    absl::SleepFor(absl::Milliseconds(100));
    EXPECT_EQ(CountReady(calls), wanted) << "so many wait, and no more";
  }
  // By code, of all calls.
  static std::map<int, int> Codes(std::vector<std::future<grpc::Status>>& calls) {
    std::map<int, int> codes;
    for (auto& call : calls) ++codes[call.get().error_code()];
    return codes;
  }

 private:
  std::latch standing_{1};
  std::latch go_{1};
  bool gone_ = false;
};

TEST_F(StandingTest, ChangesOfOneCallerAndOfAll) {
  Serve({.mutations = {.all = 5, .of_a_caller = 3}});
  ASSERT_TRUE(Create(ScratchSweep("one")).ok());
  const auto mine = NewChannel(), other = NewChannel();
  StandStill();
  auto first = Flood(10, [&] { return Pause(mine); });
  AwaitRefused(first, 3);
  auto second = Flood(10, [&] { return Pause(other); });
  AwaitRefused(second, 2);
  Go();
  EXPECT_EQ(Codes(first), (std::map<int, int>{{grpc::OK, 3}, {grpc::RESOURCE_EXHAUSTED, 7}}));
  EXPECT_EQ(Codes(second), (std::map<int, int>{{grpc::OK, 2}, {grpc::UNAVAILABLE, 8}}));
  EXPECT_TRUE(Pause(mine).ok()) << "there is room again";
}

TEST_F(StandingTest, AChangeThatNobodyWaitsForAnyMoreIsNotMade) {
  ASSERT_TRUE(Create(ScratchSweep("one")).ok());
  const auto channel = NewChannel();
  const std::string id = NewUuid();
  StandStill();
  EXPECT_EQ(Pause(channel, id, absl::Milliseconds(200)).error_code(), grpc::DEADLINE_EXCEEDED);
  absl::SleepFor(absl::Milliseconds(100));  // until the server knows it too
  Go();
  // It would have been committed with what comes after it.
  ASSERT_TRUE(Create(ScratchSweep("two", 2)).ok());
  EXPECT_NE(GetSweep("sweeps/one").state(), v1::SWEEP_STATE_PAUSED);
  // Asked again it is made, once.
  EXPECT_TRUE(Pause(channel, id).ok());
  EXPECT_EQ(GetSweep("sweeps/one").state(), v1::SWEEP_STATE_PAUSED);
  grpc::ClientContext context;
  v1::ChangeSweepRequest resume;
  resume.set_request_id(NewUuid());
  resume.set_name("sweeps/one");
  v1::Sweep resumed;
  ASSERT_TRUE(sweeps_->ResumeSweep(&context, resume, &resumed).ok());
  EXPECT_TRUE(Pause(channel, id).ok());
  EXPECT_NE(GetSweep("sweeps/one").state(), v1::SWEEP_STATE_PAUSED) << "an answer, not a change";
}

TEST_F(StandingTest, TasksOfUpkeepOfOneCallerAndOfAll) {
  Serve({.tasks = {.all = 3, .of_a_caller = 2}});
  const auto mine = NewChannel(), other = NewChannel();
  StandStill();
  auto first = Flood(6, [&] { return BackUp(mine); });
  AwaitRefused(first, 2);
  auto second = Flood(6, [&] { return BackUp(other); });
  AwaitRefused(second, 1);
  Go();
  // What was let in is refused for its folder, or because another backup runs.
  EXPECT_GE(Codes(first)[grpc::RESOURCE_EXHAUSTED], 4);
  EXPECT_EQ(Codes(second)[grpc::UNAVAILABLE], 5);
  EXPECT_EQ(BackUp(mine).error_code(), grpc::INVALID_ARGUMENT) << "there is room again";
}

TEST_F(RpcTest, OfEachKindOfUpkeepOneRunsAtATime) {
  std::latch running(1), go(1);
  UpkeepWatch watch;
  watch.progress = [&, once = false](const UpkeepProgress&) mutable {
    if (std::exchange(once, true)) return;
    running.count_down();
    go.wait();
  };
  auto check = std::async(std::launch::async, [&] { return upkeep_->Check({}, watch); });
  running.wait();
  grpc::ClientContext a, b;
  v1::CheckResponse checked;
  auto reader = admin_->Check(&a, {});
  while (reader->Read(&checked)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::RESOURCE_EXHAUSTED);
  v1::CollectGarbageRequest collect;
  collect.set_request_id(NewUuid());
  v1::CollectGarbageResponse collected;
  EXPECT_EQ(admin_->CollectGarbage(&b, collect, &collected).error_code(), grpc::UNAVAILABLE);
  go.count_down();
  EXPECT_TRUE(check.get().ok());
}

// Lists nothing, and counts how often it was asked to.
class CountingService final : public v1::SweepService::CallbackService {
 public:
  explicit CountingService(Lane& lane) : lane_(lane) {}
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context,
                                     const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse*) override {
    auto* reactor = AnswerOn(context, lane_, *request, 1000, [this] {
      ++worked;
      return absl::OkStatus();
    });
    ++taken;
    return reactor;
  }
  std::atomic<int> taken = 0;
  std::atomic<int> worked = 0;

 private:
  Lane& lane_;
};

TEST(ExpiredTest, WhatNobodyWaitsForIsNotWorkedOn) {
  Lane lane("reads", {.threads = 1, .waiting = {.all = 100, .of_a_caller = 100}});
  std::latch go(1);
  CountingService service(lane);
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  const auto stub = v1::SweepService::NewStub(server->InProcessChannel({}));
  const auto call = [&](absl::Duration patience) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + patience));
    v1::ListJobsResponse response;
    return stub->ListJobs(&context, {}, &response);
  };
  lane.Continue("first", [&] { go.wait(); });
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(call(absl::Milliseconds(50)).error_code(), grpc::DEADLINE_EXCEEDED);
  }
  for (int i = 0; i < 300 && service.taken < 5; ++i) absl::SleepFor(absl::Milliseconds(10));
  ASSERT_EQ(service.taken, 5) << "they wait on the lane";
  go.count_down();
  EXPECT_TRUE(call(absl::Seconds(10)).ok());
  EXPECT_EQ(service.worked, 1) << "the one that somebody waits for";
  server->Shutdown();
}

}  // namespace
}  // namespace retort
