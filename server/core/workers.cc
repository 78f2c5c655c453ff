// Draining and releasing workers.
#include "absl/strings/str_cat.h"
#include "server/core/concerns.h"
#include "server/core/draft.h"
#include "server/core/requests.h"

namespace retort::core {

absl::StatusOr<Decision> DecideChangeWorker(const State& state, const ChangeWorker& change,
                                            const Now& now) {
  const bool drain = change.what == ChangeWorker::What::kDrain;
  const char* method = drain ? "DrainWorker" : "ReleaseWorker";
  Draft draft(state, now);
  auto repeated = FindRepeated(state, change.request_id, method, change.arguments);
  if (!repeated.ok()) return repeated.status();
  const WorkerKey key = *repeated != nullptr ? (*repeated)->worker : state.FindWorker(change.name);
  if (!key) return absl::NotFoundError(absl::StrCat("workers/", change.name, ": no such worker"));
  if (*repeated == nullptr) {
    WorkerRow& row = draft.EditWorker(key);
    row.state = drain ? WorkerState::kDraining : WorkerState::kActive;
    row.reason = drain ? "drained on request" : "";
    if (!drain) row.streak.clear();
    draft.WakeWorker(key);
    RequestAnswer answer;
    answer.worker = key;
    Remember(draft, change.request_id, method, change.arguments, answer);
  }
  draft.Say(change.token, WorkerReply{key, state.worker(key).row.name});
  return draft.Finish();
}

}  // namespace retort::core
