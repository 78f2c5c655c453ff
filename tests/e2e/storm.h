// A cluster under force: coordinator, agents and runners are killed, suspended and asked to go at
// random moments, and started again.
#ifndef RETORT_TESTS_E2E_STORM_H_
#define RETORT_TESTS_E2E_STORM_H_

#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/e2e/cluster.h"

namespace retort::e2e {

struct StormOptions {
  uint64_t seed = 1;
  int workers = 3;
  int slots = 2;
  int epoch_ms = 30;
  absl::Duration lease = absl::Seconds(2);
  absl::Duration mean_gap = absl::Milliseconds(400);  // between two blows
};

// Threads: one.
class Storm {
 public:
  // The cluster must outlive it. Each blow is a line of FOLDER/storm.log.
  Storm(Cluster& cluster, const StormOptions& options);

  // Starts the coordinator and the workers.
  void Begin();
  // Strikes for that long. Whoever is struck is brought back, perhaps after the end.
  void Rage(absl::Duration length);
  // Everybody runs again when it returns.
  void Calm();
  // Looks after those that are to be brought back, strikes nobody.
  void Tend();
  // Asks all to go; fails the test if one does not, or not with exit status 0.
  void End();

  // Blows by kind.
  const std::map<std::string, int>& counts() const { return counts_; }
  int kills() const;
  // An environment variable that all processes of the storm, and theirs, have.
  const std::string& mark() const { return mark_; }

 private:
  struct Member {
    std::string id;  // empty: the coordinator
    std::unique_ptr<Process> worker;
    bool down = false;     // to be started again
    bool frozen = false;   // to be continued
    bool leaving = false;  // was asked to go
    absl::Time due;        // when that happens; when it must be gone
    absl::Time started;
  };

  void Start(Member& member);
  Process& process(Member& member);
  bool IsUp(const Member& member) const;
  void Strike();
  void Kill(Member& member);
  void Freeze(Member& member, absl::Duration time);
  void AskToGo(Member& member);
  void KillRunner(bool only_freeze);
  void Note(const std::string& kind, const std::string& whom);
  // Mostly short, now and then longer than a lease.
  absl::Duration Absence();
  Member& AnyWorker();
  double Random01();

  Cluster& cluster_;
  const StormOptions options_;
  std::mt19937_64 random_;
  std::string mark_;
  std::vector<Member> members_;  // the coordinator first
  std::vector<std::pair<pid_t, absl::Time>> frozen_runners_;
  std::map<std::string, int> counts_;
  std::ofstream log_;
  absl::Time begin_;
};

}  // namespace retort::e2e

#endif  // RETORT_TESTS_E2E_STORM_H_
