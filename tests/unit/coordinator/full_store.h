// A store in memory, but for commits while its disk is full; and a strand upon it.
#ifndef RETORT_TESTS_UNIT_COORDINATOR_FULL_STORE_H_
#define RETORT_TESTS_UNIT_COORDINATOR_FULL_STORE_H_

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "common/clock.h"
#include "server/store/memory_store.h"
#include "server/store/store.h"
#include "server/strand.h"

namespace retort {

class FullStore : public store::Store {
 public:
  store::CommitResult Commit(const std::vector<const core::Record*>& records) override {
    return full ? store::CommitResult::NotDone(absl::ResourceExhaustedError("disk full"))
                : inner_->Commit(records);
  }
  void TidyUp() override {
    if (tidy_up) tidy_up();
  }
  absl::Status Load(const std::function<void(const core::Record&)>& sink) override {
    return inner_->Load(sink);
  }
  absl::Status Reopen() override { return inner_->Reopen(); }
  const store::Reader& reader() const override { return inner_->reader(); }

  bool full = false;
  std::function<void()> tidy_up = nullptr;  // called by TidyUp

 private:
  const std::unique_ptr<store::Store> inner_ = store::NewMemoryStore();
};

// Carries these out and commits what comes of them, as one thread would.
inline void RunBatch(Strand& strand, store::Store& store, std::vector<Strand::Item> items,
                     const Now& now) {
  strand.Take(std::move(items), now);
  while (const Strand::Records* records = strand.BeginCommit()) {
    strand.EndCommit(store.Commit(*records), now);
  }
  strand.Publish();
}

}  // namespace retort

#endif  // RETORT_TESTS_UNIT_COORDINATOR_FULL_STORE_H_
