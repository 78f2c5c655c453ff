// A client: submits overlapping sweeps, changes its mind, and repeats requests that got no answer.
#ifndef RETORT_TESTS_SIM_SIM_CLIENT_H_
#define RETORT_TESTS_SIM_SIM_CLIENT_H_

#include <functional>
#include <string>
#include <vector>

#include "retort/v1/spec.pb.h"
#include "tests/sim/network.h"
#include "tests/sim/oracle.h"
#include "tests/sim/settings.h"
#include "tests/sim/sim_coordinator.h"
#include "tests/sim/world.h"

namespace retort::sim {

class SimClient {
 public:
  SimClient(World& world, const Settings& settings, SimCoordinator& coordinator, Oracle& oracle,
            int index);

  void Start();
  // No new wishes; what was asked is asked until it is answered.
  void Heal();
  Link& link() { return link_; }
  int open() const { return open_; }
  // Asks for a worker to be released: of operators, once faults are over.
  void Release(const std::string& worker);

 private:
  using Serve = std::function<void(Respond<Answer>)>;
  struct Request {
    std::string id;
    Serve serve;
    int failures = 0;
  };

  void Wish();
  Request NewSweep();
  Request ChangeSweep();
  Request ChangeJobs();
  Request ChangeWorker(const std::string& worker, bool drain);
  void Ask(Request request);
  void Heard(Request request, const absl::StatusOr<Answer>& answer);
  v1::SweepSpec DrawSweep();
  std::string NewRequestId();
  std::string AnySweep();

  World& world_;
  const Settings& settings_;
  SimCoordinator& coordinator_;
  Oracle& oracle_;
  Node node_;
  Link link_;
  int left_;
  int open_ = 0;
  bool faulty_ = true;
};

}  // namespace retort::sim

#endif  // RETORT_TESTS_SIM_SIM_CLIENT_H_
