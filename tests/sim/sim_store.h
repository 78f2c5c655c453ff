// The virtual disk under the coordinator: the store in memory, whose commits fail when they shall.
#ifndef RETORT_TESTS_SIM_SIM_STORE_H_
#define RETORT_TESTS_SIM_SIM_STORE_H_

#include <memory>
#include <optional>
#include <vector>

#include "server/store/memory_store.h"
#include "server/store/store.h"
#include "tests/sim/oracle.h"
#include "tests/sim/world.h"

namespace retort::sim {

class SimStore : public store::Store {
 public:
  SimStore(World& world, Oracle& oracle)
      : world_(world), oracle_(oracle), inner_(store::NewMemoryStore()) {}

  // What is wrong with the disk, until it is changed.
  void SetFull(bool full) { full_ = full; }
  void SetBroken(bool broken) { broken_ = broken; }  // it cannot be opened
  // What happens to the next commit. With a crash the process dies: crashed() is true.
  void FailNext(Fault fault) { next_ = fault; }
  bool crashed() const { return crashed_; }
  void Restart() { crashed_ = false; }
  void Heal();
  bool sick() const { return full_ || broken_ || next_; }

  store::CommitResult Commit(const std::vector<const core::Record*>& records) override;
  absl::Status Load(const std::function<void(const core::Record&)>& sink) override;
  absl::Status Reopen() override;
  const store::Reader& reader() const override { return inner_->reader(); }
  store::Store& inner() { return *inner_; }

 private:
  void Write(const std::vector<const core::Record*>& records);

  World& world_;
  Oracle& oracle_;
  const std::unique_ptr<store::Store> inner_;
  bool full_ = false;
  bool broken_ = false;
  bool crashed_ = false;
  std::optional<Fault> next_;
};

}  // namespace retort::sim

#endif  // RETORT_TESTS_SIM_SIM_STORE_H_
