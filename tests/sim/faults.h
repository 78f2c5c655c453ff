// What goes wrong, and when: faults of whole machines, links and disks, drawn one after the other.
#ifndef RETORT_TESTS_SIM_FAULTS_H_
#define RETORT_TESTS_SIM_FAULTS_H_

#include <memory>
#include <vector>

#include "tests/sim/settings.h"
#include "tests/sim/sim_client.h"
#include "tests/sim/sim_coordinator.h"
#include "tests/sim/sim_store.h"
#include "tests/sim/sim_worker.h"
#include "tests/sim/world.h"

namespace retort::sim {

struct Cast {
  SimStore& store;
  SimCoordinator& coordinator;
  std::vector<std::unique_ptr<SimWorker>>& workers;
  std::vector<std::unique_ptr<SimClient>>& clients;
};

class Faults {
 public:
  Faults(World& world, Settings& settings, Cast cast);

  void Start();
  // Everything that is broken works again, and nothing breaks from now on.
  void Heal();

 private:
  void Schedule();
  void Strike(Fault fault);
  void StrikeCoordinator(Fault fault);
  void StrikeWorker(Fault fault, SimWorker& worker);
  absl::Duration Some(absl::Duration most);

  World& world_;
  Settings& settings_;
  Cast cast_;
  std::vector<Fault> kinds_;  // that are on in this run and strike by themselves
  bool healed_ = false;
};

}  // namespace retort::sim

#endif  // RETORT_TESTS_SIM_FAULTS_H_
