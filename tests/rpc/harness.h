// A real coordinator with its database in a temporary folder, called over loopback.
#ifndef RETORT_TESTS_RPC_HARNESS_H_
#define RETORT_TESTS_RPC_HARNESS_H_

#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "retort/v1/admin_service.grpc.pb.h"
#include "retort/v1/artifact_service.grpc.pb.h"
#include "retort/v1/sweep_service.grpc.pb.h"
#include "retort/v1/worker_service.grpc.pb.h"
#include "server/access/access_folder.h"
#include "server/artifacts/artifact_store.h"
#include "server/artifacts/log_store.h"
#include "server/coordinator.h"
#include "server/rpc/server.h"
#include "server/rpc/services.h"
#include "server/store/store.h"
#include "server/upkeep/upkeep.h"
#include "tests/testing/dataset.h"
#include "tests/testing/from_grpc.h"

namespace retort {

// The system's clock, whose wall time is two hours ahead: what was uploaded now is not pinned any
// more.
class ClockAhead : public Clock {
 public:
  Now Read() const override {
    Now now = SystemClock().Read();
    now.wall += absl::Hours(2);
    return now;
  }
};

class RpcTest : public testing::Test {
 protected:
  static constexpr absl::Duration kLease = absl::Seconds(1);

  // The bounds that the next Start serves with.
  RpcLimits limits_;
  TransportLimits transport_;
  // With it the next Start asks for tokens.
  std::optional<AccessOptions> security_;

  void SetUp() override;
  void TearDown() override;
  // Ends everything that runs; the folder stays.
  void Stop();
  void Start();

  // Uploads bytes; returns their hash in hexadecimal digits.
  std::string Upload(const std::string& bytes);
  // One dataset of four subjects (uploaded), one fold, `students` networks, method scratch: as many
  // jobs.
  v1::SweepSpec ScratchSweep(const std::string& name, int students = 1);
  // The same with one teacher and method soft: a job more, which the others need.
  v1::SweepSpec SoftSweep(const std::string& name, int students = 1);

  absl::StatusOr<v1::CreateSweepResponse> Create(const v1::SweepSpec& spec,
                                                 std::string request_id = "",
                                                 bool validate_only = false);
  v1::Sweep GetSweep(const std::string& name);
  std::vector<v1::Job> Jobs(const std::string& sweep);
  v1::Job GetJob(const std::string& name);

  std::string folder_;
  SystemClock clock_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<ArtifactStore> artifacts_;
  std::unique_ptr<LogStore> logs_;
  ClockAhead clock_ahead_;
  std::unique_ptr<Upkeep> upkeep_;
  std::unique_ptr<Coordinator> coordinator_;
  std::unique_ptr<AccessFolder> access_;  // null: no tokens are asked for
  std::unique_ptr<Services> services_;
  std::unique_ptr<RpcServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::SweepService::Stub> sweeps_;
  std::unique_ptr<v1::WorkerService::Stub> workers_;
  std::unique_ptr<v1::ArtifactService::Stub> uploads_;
  std::unique_ptr<v1::AdminService::Stub> admin_;
};

// What a worker says, without any machine behind it.
class FakeWorker {
 public:
  FakeWorker(v1::WorkerService::Stub& stub, std::string name, int64_t incarnation = 1)
      : stub_(stub), name_(std::move(name)), incarnation_(incarnation) {}

  // One exchange with the next number. `live` and `finished` are what it reports until they are
  // changed.
  absl::StatusOr<v1::SyncResponse> Sync(int wanted);
  // Syncs until a lease comes, at most ten seconds.
  absl::StatusOr<v1::Lease> TakeLease();
  // Reports an attempt as running.
  void Run(const v1::AttemptId& id);
  // Reports it as finished instead. A result with these weights names `points` metric points.
  void Succeed(const v1::AttemptId& id, const std::string& weights, int64_t points);
  void FailWith(const v1::AttemptId& id, v1::FailureCause cause, const std::string& message);
  void Forget();

  absl::StatusOr<v1::MetricAck> SendMetrics(const v1::AttemptId& id, int64_t first_seq, int count);
  absl::StatusOr<v1::LogAck> SendLog(const v1::AttemptId& id, int64_t offset,
                                     const std::string& data);

  v1::SyncRequest request;

 private:
  v1::WorkerService::Stub& stub_;
  const std::string name_;
  const int64_t incarnation_;
};

}  // namespace retort

#endif  // RETORT_TESTS_RPC_HARNESS_H_
