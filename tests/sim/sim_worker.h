// A worker's machine: the real agent over virtual network, runners, artifacts and disk.
#ifndef RETORT_TESTS_SIM_SIM_WORKER_H_
#define RETORT_TESTS_SIM_SIM_WORKER_H_

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/network.h"
#include "tests/sim/oracle.h"
#include "tests/sim/settings.h"
#include "tests/sim/sim_coordinator.h"
#include "tests/sim/sim_runners.h"
#include "tests/sim/sim_spool.h"
#include "tests/sim/world.h"
#include "worker/agent/agent.h"

namespace retort::sim {

class SimWorker : private CoordinatorClient, private Artifacts {
 public:
  SimWorker(World& world, const Settings& settings, SimCoordinator& coordinator, Oracle& oracle,
            std::string name, int slots);

  void Start();
  // kill -9 of the agent, and its runners with it; starts again after a while.
  void Crash();
  // SIGTERM; starts again after it has left.
  void Leave();
  void Suspend(absl::Duration time);
  void CrashRunner();
  Node& node() { return node_; }
  Link& link() { return link_; }
  SimSpool& spool() { return spool_; }
  SimRunners& runners() { return runners_; }
  // Faults are over.
  void Heal();
  int slots() const { return slots_; }

 private:
  // One direction of acknowledgements; both ways keep the order.
  template <typename Message, typename Ack>
  struct Stream {
    std::deque<Message> queue;  // at the coordinator
    bool serving = false;
    bool broken = false;
    absl::Duration last_up = absl::ZeroDuration();
    absl::Duration last_down = absl::ZeroDuration();
    uint64_t reset_id = 0;
  };
  template <typename Message, typename Ack>
  using StreamPtr = std::shared_ptr<Stream<Message, Ack>>;
  using MetricStream = StreamPtr<v1::MetricBatch, v1::MetricAck>;
  using LogStream = StreamPtr<v1::LogChunk, v1::LogAck>;

  // CoordinatorClient
  void Sync(const v1::SyncRequest& request, absl::Duration deadline) override;
  void SendMetrics(const v1::MetricBatch& batch) override;
  void SendLog(const v1::LogChunk& chunk) override;
  // Artifacts
  void Fetch(const AttemptKey& key, const std::vector<v1::ArtifactRef>& inputs) override;
  void Publish(const AttemptKey& key, const std::string& path) override;
  void PublishCheckpoint(const AttemptKey& key, const std::string& path) override;
  void PublishHeld(const AttemptKey& key, const v1::ArtifactRef& artifact) override {
    Publish(key, artifact.sha256());
  }
  // Then `answer` with the artifact. The path is the hash of what lies there.
  void Upload(const std::string& path, Respond<v1::ArtifactRef> answer);
  void Release(const AttemptKey&) override {}
  std::vector<std::string> Held(int most) const override;

  // Something happens to the agent: then it is driven.
  template <typename Event>
  void Tell(Event&& event);
  void Drive();
  template <typename Message, typename Ack>
  void Send(StreamPtr<Message, Ack>& stream, const Message& message);
  template <typename Message, typename Ack>
  void Serve(const StreamPtr<Message, Ack>& stream);
  template <typename Message, typename Ack>
  void Break(const StreamPtr<Message, Ack>& stream);
  void Ask(const v1::MetricBatch& batch, Respond<v1::MetricAck> respond);
  void Ask(const v1::LogChunk& chunk, Respond<v1::LogAck> respond);
  void Hear(const v1::MetricAck& ack);
  void Hear(const v1::LogAck& ack);
  bool IsOpen(const MetricStream& stream) const { return stream == metrics_; }
  bool IsOpen(const LogStream& stream) const { return stream == logs_; }
  void Broken(const MetricStream& stream);
  void Broken(const LogStream& stream);

  World& world_;
  const Settings& settings_;
  SimCoordinator& coordinator_;
  Node node_;
  Link link_;
  const int slots_;
  SimSpool spool_;
  SimRunners runners_;
  std::set<std::string> cache_;  // artifacts on its disk
  int64_t last_incarnation_ = 0;
  bool faulty_ = true;

  // Of the process.
  std::unique_ptr<Agent> agent_;
  bool leaving_ = false;
  absl::Duration wake_at_ = absl::InfiniteDuration();
  std::shared_ptr<core::Token> last_sync_;
  MetricStream metrics_;
  LogStream logs_;
};

}  // namespace retort::sim

#endif  // RETORT_TESTS_SIM_SIM_WORKER_H_
