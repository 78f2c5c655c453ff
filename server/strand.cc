#include "server/strand.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "common/backoff.h"
#include "common/log.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr int kMostWakesInBatch = 8;  // so that timers never keep the inbox waiting
// While another batch is committed inputs come one by one. Placing jobs on all workers that wait
// after each of them would be much work for what leaves together.
constexpr int kMostWakesMeanwhile = 1;

Answer ToAnswer(core::Reply&& reply) {
  return std::visit([](auto&& body) { return Answer(std::move(body)); }, std::move(reply.body));
}

// What callers hear of a failed commit.
absl::Status ForCallers(const absl::Status& status) {
  const absl::Status named = Annotate(status, "not saved, nothing was changed");
  if (absl::IsResourceExhausted(status)) return named;
  return absl::UnavailableError(named.message());
}

}  // namespace

bool IsUrgent(const core::Input& input) {
  const auto* sync = std::get_if<core::Sync>(&input);
  // The first makes the worker known.
  return sync == nullptr || sync->number <= 1 || sync->wanted > 0 || sync->draining ||
         !sync->finished.empty() || !sync->checkpoints.empty();
}

Strand::Strand(store::Store& store, const StrandOptions& options)
    : store_(store), options_(options), state_(options.core) {}

// ------------------------------------------------------------------------------ opening

absl::Status Strand::Load(const Now& now) {
  absl::Status status = broken_ ? store_.Reopen() : absl::OkStatus();
  core::State state(options_.core);
  if (status.ok()) {
    status = store_.Load([&state](const core::Record& record) { state.Load(record); });
  }
  if (!status.ok()) {
    load_at_ = now.monotonic + NextBackoff();
    return status;
  }
  state_ = std::move(state);
  return absl::OkStatus();
}

void Strand::Serve(const Now& now) {
  state_.Recover(now);
  serving_ = true;
  broken_ = false;
  failures_ = 0;
  no_wake_before_ = -absl::InfiniteDuration();
  ++commits_;
  ++decisions_;
}

std::vector<core::SweepKey> Strand::Expanding() const {
  std::vector<core::SweepKey> keys;
  for (int64_t i = 1; i <= state_.sweeps(); ++i) {
    const core::SweepKey key{i};
    if (state_.sweep(key).row.state == core::SweepState::kExpanding) keys.push_back(key);
  }
  return keys;
}

absl::Duration Strand::NextWake() const {
  if (!serving_) return load_at_;
  if (Room() == 0 || open_.wakes >= MostWakes()) return absl::InfiniteDuration();
  return std::max(state_.NextWake(), no_wake_before_);
}

// ------------------------------------------------------------------------------ a batch

size_t Strand::Room() const {
  // After a failure one batch at a time: leases must not be held between two that may be undone.
  if (committing() && failures_ > 0) return 0;
  return options_.max_batch - std::min(options_.max_batch, open_.items.size());
}

void Strand::Take(std::vector<Item> items, const Now& now) {
  Admit(items);
  if (!serving_) {
    const absl::Status closed =
        absl::UnavailableError("the coordinator is opening its database again");
    for (const Item& item : items) Reply(item.token, closed);
    return;
  }
  HoldLeases(now);
  if (open_.items.empty() && open_.steps.empty()) open_.since = now.monotonic;
  if (state_.NextTimer() < now.monotonic) DecideOn({.input = core::StoodStill{}}, now);
  // What came in goes first: a Sync that waited while we stood still renews its leases before they
  // are looked at.
  for (const Item& item : items) DecideOn(item, now);
  WakeUp(now);
  std::move(items.begin(), items.end(), std::back_inserter(open_.items));
}

void Strand::Admit(std::vector<Item>& items) {
  std::erase_if(items, [](const Item& item) {
    if (!item.over || !item.over()) return false;
    if (item.done) item.done(absl::CancelledError("the caller has gone"));
    return true;
  });
  for (Item& item : items) {
    if (item.done) waiting_.emplace(item.token, std::move(item.done));
  }
}

void Strand::DecideOn(const Item& item, const Now& now) {
  if (item.look) return item.look(state_);
  auto decision = core::Decide(state_, item.input, now);
  if (!decision.ok()) {
    open_.refused.emplace_back(item.token, decision.status());
    return;
  }
  state_.Apply(*decision);
  ++decisions_;
  open_.steps.push_back({item.token, *std::move(decision)});
  for (const core::Record& record : open_.steps.back().decision.records) {
    open_.records.push_back(&record);
  }
}

// While nothing can be saved leases do not age: a Sync that would write something is refused
// together with its renewal, and its worker is well.
void Strand::HoldLeases(const Now& now) {
  if (failures_ > 0) {
    core::Decision hold;
    hold.at = now.monotonic;
    hold.effects.push_back(core::LeasesExtended{now.monotonic - held_until_});
    state_.Apply(hold);
  }
  held_until_ = now.monotonic;
}

void Strand::WakeUp(const Now& now) {
  for (; open_.wakes < MostWakes() && NextWake() <= now.monotonic; ++open_.wakes) {
    DecideOn({.input = core::Wake{}}, now);
  }
}

int Strand::MostWakes() const { return committing() ? kMostWakesMeanwhile : kMostWakesInBatch; }

const Strand::Records* Strand::BeginCommit() {
  if (committing() || (open_.items.empty() && open_.steps.empty())) return nullptr;
  Batch batch = std::exchange(open_, {});
  if (batch.records.empty()) {
    decided_.push_back(std::move(batch));
    return nullptr;
  }
  under_way_ = std::move(batch);
  return &under_way_.records;
}

void Strand::EndCommit(const store::CommitResult& result, const Now& now) {
  switch (result.outcome) {
    case store::CommitResult::Outcome::kDone:
      failures_ = 0;
      no_wake_before_ = -absl::InfiniteDuration();
      ++commits_;
      if (options_.journal) options_.journal(state_, under_way_.records);
      decided_.push_back(std::exchange(under_way_, {}));
      return;
    case store::CommitResult::Outcome::kNotDone:
      return TakeBack(result.status, now);
    case store::CommitResult::Outcome::kUnknown:
      return Close(result.status, now);
  }
}

void Strand::Publish() {
  for (Batch& batch : std::exchange(decided_, {})) Publish(std::move(batch));
}

void Strand::Publish(Batch batch) {
  for (Step& step : batch.steps) {
    for (core::Reply& reply : step.decision.replies) {
      const core::Token token = reply.token;
      Reply(token, ToAnswer(std::move(reply)));
    }
  }
  for (auto& [token, status] : batch.refused) Reply(token, std::move(status));
  for (const Item& item : batch.items) {
    if (item.forget != 0) Reply(item.forget, absl::CancelledError("the caller has gone"));
    // Only a Sync can be held back; for anybody else silence means that it is done.
    if (!std::holds_alternative<core::Sync>(item.input)) Reply(item.token, Answer());
  }
}

// ------------------------------------------------------------------------------ failures

// Takes the batch back and the one that was decided on since, tells those whose input would have
// written something, and decides again on what writes nothing: a full disk must not let leases run
// out whose workers are well.
void Strand::TakeBack(const absl::Status& status, const Now& now) {
  no_wake_before_ = now.monotonic + NextBackoff();
  Batch undone = std::exchange(under_way_, {});
  Batch later = std::exchange(open_, {});
  held_until_ = undone.since;
  std::move(later.items.begin(), later.items.end(), std::back_inserter(undone.items));
  std::move(later.steps.begin(), later.steps.end(), std::back_inserter(undone.steps));
  spdlog::error("commit failed, batch of {} undone: {}", undone.items.size(), status.ToString());
  for (auto step = undone.steps.rbegin(); step != undone.steps.rend(); ++step)
    state_.Undo(step->decision);
  Batch again;
  for (const Item& item : undone.items) {
    if (item.look) {
      item.look(state_);
      continue;
    }
    auto decision = core::Decide(state_, item.input, now);
    if (!decision.ok()) {
      again.refused.emplace_back(item.token, decision.status());
    } else if (decision->records.empty()) {
      state_.Apply(*decision);
      again.steps.push_back({item.token, *std::move(decision)});
    } else {
      again.refused.emplace_back(item.token, ForCallers(status));
    }
  }
  // Syncs of earlier batches that these would have answered are no longer held back.
  absl::flat_hash_set<core::Token> of_batch;
  for (const Item& item : undone.items) of_batch.insert(item.token);
  for (const Step& step : undone.steps) {
    for (const core::Reply& reply : step.decision.replies) {
      if (!of_batch.contains(reply.token)) {
        again.refused.emplace_back(reply.token, ForCallers(status));
      }
    }
  }
  again.items = std::move(undone.items);
  decided_.push_back(std::move(again));
}

// The commit may or may not have been written: only the database can tell.
void Strand::Close(const absl::Status& status, const Now& now) {
  spdlog::error("outcome of a commit is not known, opening the database again: {}",
                status.ToString());
  serving_ = false;
  broken_ = true;
  under_way_ = {};
  open_ = {};
  load_at_ = now.monotonic + NextBackoff();
  Publish();  // what was durable before
  FailAll(absl::UnavailableError(
      absl::StrCat("it is not known whether this was saved, ask again: ", MessageOf(status))));
}

// Nobody else competes for the database: no need to draw.
absl::Duration Strand::NextBackoff() {
  return BackoffDelay(failures_++, 0.5, options_.first_backoff, options_.most_backoff);
}

void Strand::Reply(core::Token token, absl::StatusOr<Answer> answer) {
  const auto waiting = waiting_.find(token);
  if (waiting == waiting_.end()) return;
  const AnswerDone done = std::move(waiting->second);
  waiting_.erase(waiting);
  done(std::move(answer));
}

void Strand::FailAll(const absl::Status& status) {
  std::vector<std::pair<core::Token, AnswerDone>> all;
  for (auto& [token, done] : waiting_) all.emplace_back(token, std::move(done));
  waiting_.clear();
  // Always in the same order, so that a simulation replays.
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [token, done] : all) done(status);
}

}  // namespace retort
