#include "server/core/sweeps.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "server/core/concerns.h"
#include "server/core/requests.h"

namespace retort::core {
namespace {

bool IsOver(const SweepRow& row) {
  return row.state == SweepState::kDone || row.state == SweepState::kCancelled;
}

// Its jobs follow through a chore (timers.cc), a part at a time.
void Cancel(Draft& draft, SweepKey key, std::string reason) {
  SweepRow& row = draft.EditSweep(key);
  row.state = SweepState::kCancelled;
  row.reason = std::move(reason);
  draft.AddChore({}, key);
}

void Spend(Draft& draft, SweepKey key, const std::string& what) {
  SweepRow& row = draft.EditSweep(key);
  row.budget_spent = true;
  if (draft.state().sweep(key).fixed.budget.cancel) {
    Cancel(draft, key, absl::StrCat("budget spent: ", what));
  } else {
    row.state = SweepState::kPaused;
    row.reason = absl::StrCat("budget spent: ", what, "; resuming goes on without this limit");
  }
}

std::string_view WordFor(SweepState state) {
  switch (state) {
    case SweepState::kExpanding:
      return "expanding";
    case SweepState::kActive:
      return "active";
    case SweepState::kPaused:
      return "paused";
    case SweepState::kDone:
      return "done";
    case SweepState::kCancelled:
      return "cancelled";
  }
  return "?";
}

absl::Status Refuse(const ChangeSweep& change, const SweepRow& row, const char* wanted) {
  return absl::FailedPreconditionError(absl::StrCat(
      "sweeps/", change.name, " is ", std::string(WordFor(row.state)), "; only ", wanted));
}

absl::Status Change(Draft& draft, SweepKey key, const ChangeSweep& change) {
  SweepRow& row = draft.EditSweep(key);
  switch (change.what) {
    case ChangeSweep::What::kPause:
      if (row.state == SweepState::kPaused) return absl::OkStatus();
      if (row.state != SweepState::kActive) {
        return Refuse(change, row, "an active sweep can be paused");
      }
      row.state = SweepState::kPaused;
      row.reason = "paused on request";
      return absl::OkStatus();
    case ChangeSweep::What::kResume:
      if (row.state == SweepState::kActive) return absl::OkStatus();
      if (row.state != SweepState::kPaused) {
        return Refuse(change, row, "a paused sweep can be resumed");
      }
      row.state = SweepState::kActive;
      row.reason.clear();
      return absl::OkStatus();
    case ChangeSweep::What::kCancel:
      if (row.state == SweepState::kCancelled) return absl::OkStatus();
      if (IsOver(row)) return Refuse(change, row, "a sweep that is not done can be cancelled");
      Cancel(draft, key, "cancelled on request");
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

const char* MethodOf(const ChangeSweep& change) {
  switch (change.what) {
    case ChangeSweep::What::kPause:
      return "PauseSweep";
    case ChangeSweep::What::kResume:
      return "ResumeSweep";
    case ChangeSweep::What::kCancel:
      return "CancelSweep";
  }
  return "";
}

}  // namespace

absl::StatusOr<Decision> DecideChangeSweep(const State& state, const ChangeSweep& change,
                                           const Now& now) {
  Draft draft(state, now);
  auto repeated = FindRepeated(state, change.request_id, MethodOf(change), change.arguments);
  if (!repeated.ok()) return repeated.status();
  const SweepKey key = *repeated != nullptr ? (*repeated)->sweep : state.FindSweep(change.name);
  if (!key) return absl::NotFoundError(absl::StrCat("sweeps/", change.name, ": no such sweep"));
  const Sweep& sweep = state.sweep(key);
  if (*repeated == nullptr) {
    const absl::Status status = Change(draft, key, change);
    if (!status.ok()) return status;
    RequestAnswer answer;
    answer.sweep = key;
    Remember(draft, change.request_id, MethodOf(change), change.arguments, answer);
  }
  draft.Say(change.token, SweepReply{key, sweep.fixed.name, sweep.fixed.jobs, sweep.row.known});
  return draft.Finish();
}

void CheckDeviceBudget(Draft& draft, SweepKey key, double running_s) {
  if (key.value > draft.state().sweeps()) return;  // has not begun
  const SweepRow& row = draft.sweep(key);
  const double limit = draft.state().sweep(key).fixed.budget.device_s;
  if (limit <= 0 || row.budget_spent || row.state != SweepState::kActive) return;
  if (row.device_s + running_s < limit) return;
  Spend(draft, key, absl::StrCat(limit / 3600, " device hours"));
}

void SpendWallBudget(Draft& draft, SweepKey key) {
  const SweepRow& row = draft.sweep(key);
  if (IsOver(row) || row.budget_spent) return;
  const int64_t wall_ms = draft.state().sweep(key).fixed.budget.wall_ms;
  Spend(draft, key,
        absl::StrCat(absl::FormatDuration(absl::Milliseconds(wall_ms)), " since submission"));
}

}  // namespace retort::core
