// A flood by some clients starves no worker. Counts and order are asserted, and times only printed.

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <fstream>
#include <future>
#include <map>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/files.h"
#include "tests/rpc/harness.h"

namespace retort {
namespace {

// Memory of this process, which is server and clients at once, in MiB.
int64_t MemoryMib() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word == "VmRSS:") {
      int64_t kib = 0;
      status >> kib;
      return kib / 1024;
    }
  }
  return 0;
}

// Calls that are all in flight at once.
class Flood {
 public:
  template <typename Request, typename Response>
  struct Call {
    grpc::ClientContext context;
    Request request;
    Response response;
  };

  // `start`: (context, request, response, done) of a stub's async call.
  template <typename Request, typename Response, typename Start>
  void Send(const Request& request, const Start& start) {
    auto call = std::make_shared<Call<Request, Response>>();
    call->request = request;
    call->context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    {
      std::lock_guard lock(mutex_);
      ++open_;
    }
    start(&call->context, &call->request, &call->response, [this, call](const grpc::Status& s) {
      std::lock_guard lock(mutex_);
      ++codes_[s.error_code()];
      --open_;
      if (open_ == 0) done_.notify_all();
    });
  }
  int open() const {
    std::lock_guard lock(mutex_);
    return open_;
  }
  std::map<int, int> Wait() {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return open_ == 0; });
    return codes_;
  }

 private:
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::condition_variable done_;
  int open_ = 0;
  std::map<int, int> codes_;
};

class FloodTest : public RpcTest {
 protected:
  std::unique_ptr<v1::SweepService::Stub> NewStub() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return v1::SweepService::NewStub(grpc::CreateCustomChannel(
        server_->address(), grpc::InsecureChannelCredentials(), arguments));
  }
};

TEST_F(FloodTest, WorkersGoOnWhileClientsFlood) {
  constexpr int kEach = 4000;
  const v1::SweepSpec spec = ScratchSweep("one", 200);
  ASSERT_TRUE(Create(spec).ok());
  const std::string weights = Upload("weights");
  FakeWorker worker(*workers_, "w1");
  auto lease = worker.TakeLease();
  ASSERT_TRUE(lease.ok()) << lease.status();

  Flood flood;
  const auto stub = NewStub();
  v1::ListJobsRequest list;
  list.set_sweep("sweeps/one");
  v1::ReadMetricsRequest metrics;
  metrics.set_job("jobs/" + lease->id().job());
  v1::CreateSweepRequest create;
  *create.mutable_spec() = spec;
  v1::QueryRequest query;
  query.set_sql("SELECT count(*) FROM workers");
  std::vector<std::unique_ptr<grpc::ClientContext>> contexts;  // the sender's, until it is done
  std::vector<std::unique_ptr<grpc::ClientReader<v1::QueryResponse>>> queries;
  auto* async = stub->async();
  std::atomic<bool> sending = true;
  auto sender = std::async(std::launch::async, [&] {
    for (int i = 0; i < kEach; ++i) {
      flood.Send<v1::ListJobsRequest, v1::ListJobsResponse>(
          list, [&](auto* c, auto* q, auto* r, auto done) { async->ListJobs(c, q, r, done); });
      flood.Send<v1::ReadMetricsRequest, v1::ReadMetricsResponse>(
          metrics,
          [&](auto* c, auto* q, auto* r, auto done) { async->ReadMetrics(c, q, r, done); });
      create.set_request_id(NewUuid());
      flood.Send<v1::CreateSweepRequest, v1::CreateSweepResponse>(
          create, [&](auto* c, auto* q, auto* r, auto done) { async->CreateSweep(c, q, r, done); });
      if (i % 40 == 0) {
        contexts.push_back(std::make_unique<grpc::ClientContext>());
        queries.push_back(stub->Query(contexts.back().get(), query));
      }
    }
    sending = false;
  });

  // One job after the other, from the lease to its result, as long as the flood stands.
  int syncs = 0, jobs = 0;
  absl::Duration worst, sum;
  const auto sync = [&](int wanted) {
    const absl::Time start = absl::Now();
    auto answer = worker.Sync(wanted);
    const absl::Duration took = absl::Now() - start;
    worst = std::max(worst, took);
    sum += took;
    ++syncs;
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer;
  };
  while (lease.ok() && (sending || flood.open() > 0)) {
    worker.Succeed(lease->id(), weights, 0);
    const auto answer = sync(1);
    if (!answer.ok()) break;
    EXPECT_EQ(answer->acknowledged_size(), 1);
    ++jobs;
    worker.Forget();
    if (answer->leases_size() == 0) break;
    *lease = answer->leases(0);
  }
  sender.get();
  const int64_t memory = MemoryMib();
  const std::map<int, int> codes = flood.Wait();
  int refused_queries = 0;
  for (size_t i = 0; i < queries.size(); ++i) {
    v1::QueryResponse row;
    while (queries[i]->Read(&row)) {
    }
    refused_queries += queries[i]->Finish().ok() ? 0 : 1;
  }
  std::printf(
      "flood of %d calls and %zu queries: %d syncs, mean %s, worst %s; %lld MiB; %d queries "
      "refused; by code:",
      3 * kEach, queries.size(), syncs, absl::FormatDuration(sum / syncs).c_str(),
      absl::FormatDuration(worst).c_str(), static_cast<long long>(memory), refused_queries);
  for (const auto& [code, count] : codes) std::printf(" %d: %d", code, count);
  std::printf("\n");
  EXPECT_GE(jobs, 10) << "jobs end while thousands of calls wait";
  // Everything was answered or clearly refused; nothing ran into its deadline.
  for (const auto& [code, count] : codes) {
    EXPECT_TRUE(code == grpc::StatusCode::OK || code == grpc::StatusCode::UNAVAILABLE ||
                code == grpc::StatusCode::RESOURCE_EXHAUSTED)
        << code << " " << count;
  }
  EXPECT_GT(codes.count(grpc::StatusCode::OK), 0u);
  EXPECT_TRUE(worker.Sync(0).ok());
}

}  // namespace
}  // namespace retort
