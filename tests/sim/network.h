// The virtual network: a star of links around the coordinator.
#ifndef RETORT_TESTS_SIM_NETWORK_H_
#define RETORT_TESTS_SIM_NETWORK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/sim/world.h"

namespace retort::sim {

// Probabilities of what happens to one message.
struct NetworkFaults {
  double drop = 0;
  double duplicate = 0;
  double delay = 0;  // by up to most_delay
  absl::Duration most_delay = absl::Seconds(3);
  double break_stream = 0;
};

// Between one peer and the coordinator.
class Link {
 public:
  Link(World& world, Node& peer, Node& coordinator, const NetworkFaults& faults)
      : world_(world), peer_(peer), coordinator_(coordinator), faults_(faults) {}

  Node& peer() { return peer_; }
  Node& coordinator() const { return coordinator_; }
  World& world() { return world_; }
  void Cut(bool up, bool down);
  void Heal() { up_cut_ = down_cut_ = false; }
  bool cut() const { return up_cut_ || down_cut_; }
  // The last moment at which the network, or the peer's machine, was at fault.
  absl::Duration disturbed() const { return cut() ? world_.now() : disturbed_; }
  void Disturb() { disturbed_ = world_.now(); }

  // The coordinator's process has died: whoever waits for it hears so, sooner or later.
  void Reset();
  // Something to call on Reset, until Forget.
  uint64_t OnReset(std::function<void()> broken);
  void Forget(uint64_t id) { waiting_.erase(id); }

  // How long a message takes; infinite if it is lost.
  absl::Duration Travel(bool up);
  bool Duplicates();
  bool BreaksStream();

 private:
  World& world_;
  Node& peer_;
  Node& coordinator_;
  const NetworkFaults& faults_;
  bool up_cut_ = false;
  bool down_cut_ = false;
  absl::Duration disturbed_ = -absl::InfiniteDuration();
  uint64_t last_id_ = 0;
  std::map<uint64_t, std::function<void()>> waiting_;
};

// When a call whose request or reply was lost fails: the transport notices, or the deadline passes.
absl::Duration FailsAfter(Link& link, absl::Duration deadline);

// A unary call. `serve` runs on the coordinator, perhaps twice, perhaps never; what it hands to its
// argument is the reply. `done` runs on the peer exactly once, unless the peer dies before.
template <typename Reply>
void Call(Link& link, absl::Duration deadline,
          std::function<void(std::function<void(absl::StatusOr<Reply>)>)> serve,
          std::function<void(absl::StatusOr<Reply>)> done) {
  struct Waiting {
    std::function<void(absl::StatusOr<Reply>)> done;
    uint64_t id = 0;
  };
  auto waiting = std::make_shared<Waiting>();
  waiting->done = std::move(done);
  const auto finish = [waiting, &link](absl::StatusOr<Reply> reply) {
    if (!waiting->done) return;
    link.Forget(waiting->id);
    const auto call = std::exchange(waiting->done, nullptr);
    call(std::move(reply));
  };
  Node& peer = link.peer();
  const uint64_t life = peer.life();
  peer.After(deadline, [finish] { finish(absl::DeadlineExceededError("deadline passed")); });
  const auto fail = [&link, &peer, life, deadline, finish] {
    if (peer.life() != life) return;
    peer.After(FailsAfter(link, deadline),
               [finish] { finish(absl::UnavailableError("connection lost")); });
  };
  waiting->id = link.OnReset(fail);
  const auto respond = [&link, &peer, life, finish, fail](absl::StatusOr<Reply> reply) {
    const absl::Duration travel = link.Travel(false);
    if (travel == absl::InfiniteDuration()) return fail();
    if (peer.life() != life) return;
    peer.After(travel, [finish, reply = std::move(reply)] { finish(reply); });
  };
  const auto send = [&] {
    const absl::Duration travel = link.Travel(true);
    if (travel == absl::InfiniteDuration()) return fail();
    link.world().After(travel, [&link, serve, respond, fail] {
      if (!link.coordinator().alive()) return fail();
      link.coordinator().After(absl::ZeroDuration(), [serve, respond] { serve(respond); });
      // What it was about to answer dies with it.
    });
  };
  send();
  if (link.Duplicates()) send();
}

}  // namespace retort::sim

#endif  // RETORT_TESTS_SIM_NETWORK_H_
