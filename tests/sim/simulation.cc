#include "tests/sim/simulation.h"

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/sim/faults.h"
#include "tests/sim/oracle.h"
#include "tests/sim/settings.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_coordinator.h"
#include "tests/sim/sim_store.h"
#include "tests/sim/sim_worker.h"

namespace retort::sim {
namespace {

// Everything is checked after so many events; less often where it is much.
constexpr int64_t kStepsBetweenChecks = 64;
constexpr int64_t kFewJobs = 20;
// More than any run needs: time stands still, or somebody asks in a loop.
constexpr int64_t kMostEvents = 3'000'000;
constexpr absl::Duration kLook = absl::Milliseconds(500);

class Simulation {
 public:
  Simulation(uint64_t seed, bool trace)
      : world_(seed, trace),
        settings_(DrawSettings(world_.random())),
        oracle_(world_, settings_),
        store_(world_, oracle_),
        coordinator_(world_, settings_, store_, oracle_),
        faults_(world_, settings_, {store_, coordinator_, workers_, clients_}) {
    for (int i = 0; i < settings_.workers; ++i) {
      workers_.push_back(std::make_unique<SimWorker>(
          world_, settings_, coordinator_, oracle_, absl::StrCat("w", i),
          static_cast<int>(world_.random().Between(1, settings_.most_slots))));
    }
    for (int i = 0; i < settings_.clients; ++i) {
      clients_.push_back(std::make_unique<SimClient>(world_, settings_, coordinator_, oracle_, i));
    }
  }

  Verdict Run() {
    coordinator_.Start();
    for (auto& worker : workers_) {
      world_.After(world_.random().Time(absl::ZeroDuration(), absl::Seconds(3)),
                   [&worker] { worker->Start(); });
    }
    for (auto& client : clients_) client->Start();
    faults_.Start();
    world_.After(settings_.faulty, [this] { Heal(); });
    int64_t check_at = kStepsBetweenChecks;
    while (world_.violation().empty() && !done_ && world_.Step()) {
      if (world_.events() >= check_at && CheckAll()) {
        const auto jobs = static_cast<int64_t>(oracle_.jobs().size());
        check_at = world_.events() + kStepsBetweenChecks * (1 + jobs / kFewJobs);
      }
      if (world_.events() > kMostEvents) {
        world_.Violate(absl::StrCat("progress: more than ", kMostEvents, " events"));
      }
    }
    if (world_.violation().empty()) CheckAll();
    Verdict verdict;
    verdict.violation = world_.violation();
    verdict.hash = world_.hash();
    verdict.events = world_.events();
    verdict.jobs = static_cast<int64_t>(oracle_.jobs().size());
    verdict.sweeps = static_cast<int64_t>(oracle_.sweeps().size());
    verdict.workers = settings_.workers;
    verdict.simulated = world_.now();
    verdict.faults = world_.faults();
    return verdict;
  }

 private:
  // False while the coordinator knows what is not written yet.
  bool CheckAll() {
    if (coordinator_.state() == nullptr) return true;
    if (!coordinator_.settled()) return false;
    oracle_.CheckAll(*coordinator_.state(), store_.inner(), coordinator_.options());
    return true;
  }

  void Heal() {
    world_.Note("faults stop");
    faults_.Heal();
    int64_t slots = 0;
    for (auto& worker : workers_) slots += worker->slots();
    // What was lost on the way is trained again, and some of it may be in the last minute.
    const absl::Duration longest = (settings_.most_epochs + 2) * settings_.most_epoch;
    const auto jobs = static_cast<int64_t>(oracle_.jobs().size());
    bound_ =
        world_.now() + absl::Minutes(5) + 10 * settings_.lease + longest * (3 * jobs / slots + 20);
    Look();
  }

  // Every job ends within the bound.
  void Look() {
    bool asking = false;
    for (auto& client : clients_) asking = asking || client->open() > 0;
    if (!asking && !released_) {
      // Only now: a request to drain a worker may still have been on its way.
      released_ = asking = true;
      for (auto& worker : workers_) clients_.front()->Release(worker->node().name());
    }
    if (!asking && oracle_.AllEnded()) {
      done_ = true;
      return;
    }
    if (world_.now() > bound_) {
      return world_.Violate("progress: faults have stopped, and not all has ended" +
                            oracle_.Open());
    }
    world_.After(kLook, [this] { Look(); });
  }

  World world_;
  Settings settings_;
  Oracle oracle_;
  SimStore store_;
  SimCoordinator coordinator_;
  std::vector<std::unique_ptr<SimWorker>> workers_;
  std::vector<std::unique_ptr<SimClient>> clients_;
  Faults faults_;
  absl::Duration bound_ = absl::InfiniteDuration();
  bool released_ = false;  // all workers, once faults have stopped
  bool done_ = false;
};

}  // namespace

Verdict Simulate(uint64_t seed, bool trace) { return Simulation(seed, trace).Run(); }

}  // namespace retort::sim
