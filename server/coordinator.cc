#include "server/coordinator.h"

#include <algorithm>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/backoff.h"
#include "common/log.h"
#include "common/status.h"
#include "server/core/expand.h"

namespace retort {
namespace {

constexpr int kMostWakesInBatch = 8;  // so that timers never keep the inbox waiting
constexpr absl::Duration kLongestSleep = absl::Seconds(60);

Answer ToAnswer(core::Reply&& reply) {
  return std::visit([](auto&& body) { return Answer(std::move(body)); }, std::move(reply.body));
}

absl::Status Ending() { return absl::UnavailableError("the coordinator is ending"); }

// What callers hear of a failed commit.
absl::Status ForCallers(const absl::Status& status) {
  const absl::Status named = Annotate(status, "not saved, nothing was changed");
  if (absl::IsResourceExhausted(status)) return named;
  return absl::UnavailableError(named.message());
}

}  // namespace

Coordinator::Coordinator(store::Store& store, const Clock& clock, const CoordinatorOptions& options)
    : store_(store),
      clock_(clock),
      options_(options),
      state_(options.core),
      progress_(std::make_shared<const Progress>()) {}

Coordinator::~Coordinator() { Stop(); }

absl::Status Coordinator::Start() {
  RETORT_RETURN_IF_ERROR(LoadState());
  PublishProgress(clock_.Read());
  {
    std::lock_guard lock(mutex_);
    serving_ = true;
  }
  strand_ = std::thread([this] { RunStrand(); });
  expander_ = std::thread([this] { RunExpander(); });
  return absl::OkStatus();
}

void Coordinator::Stop() {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    stopping_ = true;
    serving_ = false;
  }
  wake_.notify_all();
  expander_wake_.notify_all();
  if (strand_.joinable()) strand_.join();
  FailAll(Ending());  // also what the expander waits for
  if (expander_.joinable()) expander_.join();
  for (Expansion& expansion : std::exchange(expansions_, {})) {
    if (expansion.done) expansion.done(Ending());
  }
}

absl::Status Coordinator::LoadState() {
  core::State state(options_.core);
  RETORT_RETURN_IF_ERROR(store_.Load([&state](const core::Record& record) { state.Load(record); }));
  state.Recover(clock_.Read());
  state_ = std::move(state);
  std::lock_guard lock(mutex_);
  for (int64_t key = 1; key <= state_.sweeps(); ++key) {
    if (state_.sweep(core::SweepKey{key}).row.state != core::SweepState::kExpanding) continue;
    expansions_.push_back({.resume = core::SweepKey{key}});
  }
  expander_wake_.notify_all();
  return absl::OkStatus();
}

// ------------------------------------------------------------------------------------------
// callers

void Coordinator::Enqueue(Item item, AnswerDone done) {
  // SyncGone names another's token, and Wake and ArtifactLost have none: nobody waits for their
  // answer under their own.
  item.token = std::visit(
      [this](auto& input) {
        if constexpr (requires { input.token; }) {
          if (input.token == 0) input.token = NewToken();
          return input.token;
        } else {
          return NewToken();
        }
      },
      item.input);
  const core::Token token = item.token;
  absl::Status refusal;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) {
      refusal = Ending();
    } else if (!serving_) {
      refusal = absl::UnavailableError("the coordinator is opening its database again");
    } else if (inbox_.size() >= options_.max_inbox) {
      refusal =
          absl::UnavailableError(absl::StrCat("overloaded: ", inbox_.size(), " requests wait"));
    } else {
      inbox_.push_back(std::move(item));
      if (done) waiting_.emplace(token, std::move(done));
    }
  }
  if (refusal.ok()) {
    wake_.notify_one();
  } else if (done) {
    done(refusal);
  }
}

void Coordinator::Post(core::Input input, AnswerDone done) {
  Enqueue({.input = std::move(input)}, std::move(done));
}

void Coordinator::ForgetSync(core::Token token, const std::string& worker) {
  Enqueue({.input = core::SyncGone{.token = token, .worker = worker}, .forget = token}, nullptr);
}

void Coordinator::Inspect(std::function<void(const core::State&)> look, AnswerDone done) {
  Enqueue({.look = std::move(look)}, std::move(done));
}

void Coordinator::CreateSweep(const std::string& request_id,
                              std::shared_ptr<const v1::SweepSpec> spec, AnswerDone done) {
  {
    std::lock_guard lock(mutex_);
    if (!stopping_) {
      expansions_.push_back({request_id, std::move(spec), std::move(done), {}});
      expander_wake_.notify_all();
      return;
    }
  }
  done(Ending());
}

std::shared_ptr<const Progress> Coordinator::progress() const {
  std::lock_guard lock(mutex_);
  return progress_;
}

// -------------------------------------------------------------------------------------------
// strand

void Coordinator::RunStrand() {
  while (true) {
    std::vector<Item> items = TakeInbox();
    {
      std::lock_guard lock(mutex_);
      if (stopping_) return;
    }
    RunBatch(std::move(items));
  }
}

std::vector<Coordinator::Item> Coordinator::TakeInbox() {
  std::unique_lock lock(mutex_);
  const absl::Duration now = clock_.Read().monotonic;
  absl::Duration until = std::max(state_.NextWake(), no_wake_before_);
  if (progress_stale_) until = std::min(until, next_progress_);
  const absl::Duration sleep = std::clamp(until - now, absl::ZeroDuration(), kLongestSleep);
  // Rounded up, or the last fraction of a millisecond would be waited for in a busy loop.
  const auto rounded =
      std::chrono::microseconds(absl::ToInt64Microseconds(sleep) + (sleep > absl::ZeroDuration()));
  wake_.wait_for(lock, rounded, [this] { return stopping_ || !inbox_.empty(); });
  std::vector<Item> items;
  while (!inbox_.empty() && items.size() < options_.max_batch) {
    items.push_back(std::move(inbox_.front()));
    inbox_.pop_front();
  }
  return items;
}

void Coordinator::RunBatch(std::vector<Item> items) {
  const Now now = clock_.Read();
  Batch batch;
  // The inbox goes first: a Sync that waited while we stood still renews its leases before they are
  // looked at.
  for (const Item& item : items) DecideOn(item, now, batch);
  for (int i = 0; i < kMostWakesInBatch && now.monotonic >= no_wake_before_ &&
                  state_.NextWake() <= now.monotonic;
       ++i) {
    DecideOn({.input = core::Wake{}}, now, batch);
  }
  std::vector<const core::Record*> records;
  for (const Step& step : batch.steps) {
    for (const core::Record& record : step.decision.records) records.push_back(&record);
  }
  if (!records.empty()) {
    const store::CommitResult result = store_.Commit(records);
    if (result.outcome == store::CommitResult::Outcome::kUnknown) return Reload(result.status);
    if (result.outcome == store::CommitResult::Outcome::kNotDone) {
      RecoverFromFailure(items, batch, result.status, now);
    } else {
      failures_ = 0;
      no_wake_before_ = -absl::InfiniteDuration();
      commits_.fetch_add(1, std::memory_order_release);
    }
  }
  Publish(items, batch);
  progress_stale_ = progress_stale_ || !batch.steps.empty();
  if (progress_stale_ && now.monotonic >= next_progress_) PublishProgress(now);
}

void Coordinator::DecideOn(const Item& item, const Now& now, Batch& batch) {
  if (item.look) return item.look(state_);
  auto decision = core::Decide(state_, item.input, now);
  if (!decision.ok()) {
    batch.refused.emplace_back(item.token, decision.status());
    return;
  }
  state_.Apply(*decision);
  batch.steps.push_back({item.token, *std::move(decision)});
}

void Coordinator::Publish(const std::vector<Item>& items, Batch& batch) {
  for (Step& step : batch.steps) {
    for (core::Reply& reply : step.decision.replies) {
      const core::Token token = reply.token;
      Reply(token, ToAnswer(std::move(reply)));
    }
  }
  for (auto& [token, status] : batch.refused) Reply(token, std::move(status));
  for (const Item& item : items) {
    if (item.forget != 0) Reply(item.forget, absl::CancelledError("the caller has gone"));
    // Only a Sync can be held back; for anybody else silence means that it is done.
    if (!std::holds_alternative<core::Sync>(item.input)) Reply(item.token, Answer());
  }
}

// Takes the batch back, tells those whose input would have written something, and decides again on
// what writes nothing: a full disk must not let leases run out whose workers are well.
void Coordinator::RecoverFromFailure(const std::vector<Item>& items, Batch& batch,
                                     const absl::Status& status, const Now& now) {
  spdlog::error("commit failed, batch of {} undone: {}", items.size(), status.ToString());
  const double spread = 0.5;  // nobody else competes for the database: no need to draw
  no_wake_before_ = now.monotonic + BackoffDelay(failures_++, spread, options_.first_backoff,
                                                 options_.most_backoff);
  Batch undone = std::exchange(batch, {});
  for (auto step = undone.steps.rbegin(); step != undone.steps.rend(); ++step)
    state_.Undo(step->decision);
  for (const Item& item : items) {
    if (item.look) continue;
    auto decision = core::Decide(state_, item.input, now);
    if (!decision.ok()) {
      batch.refused.emplace_back(item.token, decision.status());
    } else if (decision->records.empty()) {
      state_.Apply(*decision);
      batch.steps.push_back({item.token, *std::move(decision)});
    } else {
      batch.refused.emplace_back(item.token, ForCallers(status));
    }
  }
  // Syncs of earlier batches that this one would have answered are no longer held back.
  for (const Step& step : undone.steps) {
    for (const core::Reply& reply : step.decision.replies) {
      const bool of_batch = std::any_of(items.begin(), items.end(),
                                        [&](const Item& i) { return i.token == reply.token; });
      if (!of_batch) batch.refused.emplace_back(reply.token, ForCallers(status));
    }
  }
}

// The commit may or may not have been written: only the database can tell.
void Coordinator::Reload(const absl::Status& status) {
  spdlog::error("outcome of a commit is not known, opening the database again: {}",
                status.ToString());
  {
    std::lock_guard lock(mutex_);
    serving_ = false;
    inbox_.clear();
  }
  FailAll(absl::UnavailableError(
      absl::StrCat("it is not known whether this was saved, ask again: ", MessageOf(status))));
  while (true) {
    if (WaitFor(BackoffDelay(failures_++, 0.5, options_.first_backoff, options_.most_backoff)))
      return;
    absl::Status opened = store_.Reopen();
    if (opened.ok()) opened = LoadState();
    if (opened.ok()) break;
    spdlog::error("the database cannot be opened again yet: {}", opened.ToString());
  }
  failures_ = 0;
  no_wake_before_ = -absl::InfiniteDuration();
  commits_.fetch_add(1, std::memory_order_release);
  spdlog::info("the database is open again");
  std::lock_guard lock(mutex_);
  serving_ = !stopping_;
}

void Coordinator::Reply(core::Token token, absl::StatusOr<Answer> answer) {
  AnswerDone done;
  {
    std::lock_guard lock(mutex_);
    const auto waiting = waiting_.find(token);
    if (waiting == waiting_.end()) return;
    done = std::move(waiting->second);
    waiting_.erase(waiting);
  }
  done(std::move(answer));
}

void Coordinator::FailAll(const absl::Status& status) {
  absl::flat_hash_map<core::Token, AnswerDone> waiting;
  {
    std::lock_guard lock(mutex_);
    waiting.swap(waiting_);
  }
  for (auto& [token, done] : waiting) done(status);
}

void Coordinator::PublishProgress(const Now& now) {
  auto progress = std::make_shared<const Progress>(ProgressOf(state_, now));
  next_progress_ = now.monotonic + kProgressAge;
  progress_stale_ = false;
  std::lock_guard lock(mutex_);
  progress_ = std::move(progress);
}

// True if the coordinator ends meanwhile.
bool Coordinator::WaitFor(absl::Duration time) {
  std::unique_lock lock(mutex_);
  return expander_wake_.wait_for(lock, absl::ToChronoMilliseconds(time),
                                 [this] { return stopping_; });
}

// -----------------------------------------------------------------------------------------
// expander

void Coordinator::RunExpander() {
  while (true) {
    Expansion expansion;
    {
      std::unique_lock lock(mutex_);
      expander_wake_.wait(lock, [this] { return stopping_ || !expansions_.empty(); });
      if (stopping_) return;
      expansion = std::move(expansions_.front());
      expansions_.pop_front();
    }
    auto answer = Expand(expansion);
    if (expansion.resume && !answer.ok()) {
      spdlog::warn("sweep {}: expansion not resumed: {}", expansion.resume.value,
                   answer.status().ToString());
    }
    if (expansion.done) expansion.done(std::move(answer));
  }
}

absl::StatusOr<Answer> Coordinator::Expand(const Expansion& expansion) {
  std::shared_ptr<const v1::SweepSpec> spec = expansion.spec;
  if (expansion.resume) {
    RETORT_ASSIGN_OR_RETURN(v1::SweepSpec stored, store_.reader().SweepSpec(expansion.resume));
    spec = std::make_shared<const v1::SweepSpec>(std::move(stored));
  }
  RETORT_ASSIGN_OR_RETURN(std::vector<core::NewJob> jobs,
                          core::Expand(*spec, {.jobs = options_.max_jobs}));
  if (expansion.resume) return SendChunks(expansion.resume, std::move(jobs));

  RETORT_ASSIGN_OR_RETURN(const Answer begun,
                          PostAndWait(core::BeginSweep{.request_id = expansion.request_id,
                                                       .spec = spec,
                                                       .jobs = static_cast<int64_t>(jobs.size())}));
  const auto& sweep = std::get<core::SweepReply>(begun);
  if (!sweep.expand) return begun;
  return SendChunks(sweep.sweep, std::move(jobs));
}

// Chunks are sent until they are durable: a half-written sweep is of no use to anybody, and sending
// one again changes nothing.
absl::StatusOr<Answer> Coordinator::SendChunks(core::SweepKey sweep,
                                               std::vector<core::NewJob> jobs) {
  const auto count = static_cast<int64_t>(jobs.size());
  absl::StatusOr<Answer> answer = absl::InvalidArgumentError("sweep: expands to no job");
  for (int64_t first = 0; first < count; first += core::kMostJobsInChunk) {
    const int64_t end = std::min(count, first + core::kMostJobsInChunk);
    auto chunk = std::make_shared<const std::vector<core::NewJob>>(
        std::make_move_iterator(jobs.begin() + first), std::make_move_iterator(jobs.begin() + end));
    for (int failures = 0;; ++failures) {
      answer =
          PostAndWait(core::SweepChunk{.sweep = sweep, .first_position = first, .jobs = chunk});
      const bool again =
          absl::IsUnavailable(answer.status()) || absl::IsResourceExhausted(answer.status());
      if (!again) break;
      if (WaitFor(BackoffDelay(failures, 0.5, options_.first_backoff, options_.most_backoff)))
        return Ending();
    }
    if (!answer.ok()) return answer;
  }
  return answer;
}

absl::StatusOr<Answer> Coordinator::PostAndWait(core::Input input) {
  std::promise<absl::StatusOr<Answer>> promise;
  auto future = promise.get_future();
  Post(std::move(input),
       [&promise](absl::StatusOr<Answer> answer) { promise.set_value(std::move(answer)); });
  return future.get();
}

}  // namespace retort
