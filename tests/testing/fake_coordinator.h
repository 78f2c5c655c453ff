// A coordinator in memory behind real gRPC, for tests of workers: gives the jobs it was given to
// whoever asks, and records what comes back.
#ifndef RETORT_TESTS_TESTING_FAKE_COORDINATOR_H_
#define RETORT_TESTS_TESTING_FAKE_COORDINATOR_H_

#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "retort/v1/artifact_service.grpc.pb.h"
#include "retort/v1/worker_service.grpc.pb.h"

namespace retort {

// Threads: any. Keeps its state while it is stopped, as a coordinator with a database does.
class FakeCoordinator {
 public:
  FakeCoordinator();
  ~FakeCoordinator();

  // Listens on 127.0.0.1; on the same port again after the first time.
  void Start();
  // Refuses connections from now on; breaks what is under way.
  void Stop();
  std::string address() const;

  // Holds an artifact; returns what refers to it.
  v1::ArtifactRef AddArtifact(const std::string& bytes);
  // Offers a lease to the next worker that wants one.
  void Offer(const v1::Lease& lease);
  // Asks for the attempt to be stopped.
  void StopAttempt(const v1::AttemptId& id);

  // What has come. Results are acknowledged once their points have come, as by a coordinator.
  std::vector<v1::FinishedAttempt> finished() const;
  std::vector<v1::SyncRequest> syncs() const;
  std::vector<v1::MetricPoint> points(const std::string& job) const;
  std::string log(const std::string& job) const;
  std::string artifact(const std::string& sha256) const;
  // Waits until the condition holds; false after the time.
  bool WaitFor(absl::Duration limit, const std::function<bool()>& condition) const;

 private:
  class Workers;
  class Artifacts;
  struct State;

  std::unique_ptr<State> state_;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<Artifacts> artifacts_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

}  // namespace retort

#endif  // RETORT_TESTS_TESTING_FAKE_COORDINATOR_H_
