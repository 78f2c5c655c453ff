#include "server/coordinator.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/log.h"

namespace retort {
namespace {

constexpr absl::Duration kLongestSleep = absl::Seconds(60);

absl::Status Ending() { return absl::UnavailableError("the coordinator is ending"); }

StrandOptions ForStrand(const CoordinatorOptions& options) {
  return {options.core, options.first_backoff, options.most_backoff, options.max_batch,
          options.journal};
}

ExpanderOptions ForExpander(const CoordinatorOptions& options) {
  ExpanderOptions result;
  result.max_jobs = options.max_jobs;
  result.first_backoff = options.first_backoff;
  result.most_backoff = options.most_backoff;
  result.patience = options.patience;
  return result;
}

// Rounded up, or the last fraction of a microsecond would be waited for in a busy loop.
std::chrono::microseconds ForWait(absl::Duration until, absl::Duration now) {
  const absl::Duration sleep = std::clamp(until - now, absl::ZeroDuration(), kLongestSleep);
  return std::chrono::microseconds(absl::ToInt64Microseconds(sleep) +
                                   (sleep > absl::ZeroDuration()));
}

}  // namespace

Coordinator::Coordinator(store::Store& store, const Clock& clock, const CoordinatorOptions& options)
    : store_(store),
      clock_(clock),
      options_(options),
      core_(store, ForStrand(options)),
      expander_(store.reader(), ForExpander(options),
                [this](core::Input input, Expander::Then then) {
                  PostForExpander(std::move(input), std::move(then));
                }),
      progress_(std::make_shared<const Progress>()) {}

Coordinator::~Coordinator() { Stop(); }

absl::Status Coordinator::Start() {
  const absl::Status loaded = core_.Load(clock_.Read());
  if (!loaded.ok()) return loaded;
  const Now now = clock_.Read();
  core_.Serve(now);
  for (const core::SweepKey sweep : core_.Expanding()) expander_.Resume(sweep);
  PublishProgress(now);
  {
    std::lock_guard lock(mutex_);
    serving_ = true;
  }
  commit_thread_ = std::thread([this] { RunCommits(); });
  strand_thread_ = std::thread([this] { RunStrand(); });
  expander_thread_ = std::thread([this] { RunExpander(); });
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
  progress_made_.notify_all();
  expander_wake_.notify_all();
  if (strand_thread_.joinable()) strand_thread_.join();
  {
    std::lock_guard lock(mutex_);
    no_more_commits_ = true;
  }
  commit_wake_.notify_all();
  if (commit_thread_.joinable()) commit_thread_.join();
  if (expander_thread_.joinable()) expander_thread_.join();
  core_.FailAll(Ending());
  for (auto& lane : inbox_) {
    for (const AnswerDone& done : Waiting(lane)) done(Ending());
  }
  const Now now = clock_.Read();
  for (const auto& event : std::exchange(expander_inbox_, {})) event(now);
  expander_.Close(Ending());
}

// ------------------------------------------------------------------------------------------
// callers

Coordinator::Lane Coordinator::LaneOf(const Item& item) {
  if (item.look || std::holds_alternative<core::Metrics>(item.input)) return kStreams;
  const bool sync = std::holds_alternative<core::Sync>(item.input) ||
                    std::holds_alternative<core::SyncGone>(item.input);
  return sync ? kSyncs : kRequests;
}

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
  absl::Status refusal;
  if (std::holds_alternative<core::Sync>(item.input)) {
    syncs_.fetch_add(1, std::memory_order_relaxed);
  }
  const absl::Duration take_at = item.look || IsUrgent(item.input)
                                     ? -absl::InfiniteDuration()
                                     : clock_.Read().monotonic + kGather;
  bool sooner = false;
  {
    std::lock_guard lock(mutex_);
    auto& lane = inbox_[LaneOf(item)];
    // Those who have gone make room; refusing them would only keep what they left behind.
    const bool full = lane.size() >= options_.max_inbox && item.forget == 0;
    if (stopping_) {
      refusal = Ending();
    } else if (!serving_) {
      refusal = absl::UnavailableError("the coordinator is opening its database again");
    } else if (full) {
      refusal = absl::UnavailableError(absl::StrCat("overloaded: ", lane.size(), " requests wait"));
    } else {
      item.done = std::move(done);
      lane.push_back(std::move(item));
      sooner = take_at < take_at_;
      take_at_ = std::min(take_at_, take_at);
    }
  }
  if (sooner) {
    wake_.notify_one();
  } else if (!refusal.ok() && done) {
    done(refusal);
  }
}

void Coordinator::Post(core::Input input, AnswerDone done, std::function<bool()> over) {
  Enqueue({.input = std::move(input), .over = std::move(over)}, std::move(done));
}

void Coordinator::ForgetSync(core::Token token, const std::string& worker) {
  Enqueue({.input = core::SyncGone{.token = token, .worker = worker}, .forget = token}, nullptr);
}

void Coordinator::Inspect(std::function<void(const core::State&)> look, AnswerDone done) {
  Enqueue({.look = std::move(look)}, std::move(done));
}

void Coordinator::CreateSweep(const std::string& request_id,
                              std::shared_ptr<const v1::SweepSpec> spec, AnswerDone done) {
  absl::Status refusal;
  {
    std::lock_guard lock(mutex_);
    if (stopping_) {
      refusal = Ending();
    } else if (new_sweeps_ >= ExpanderOptions().max_sweeps) {
      refusal = absl::UnavailableError(
          absl::StrCat("overloaded: ", new_sweeps_, " sweeps wait to be expanded; ask again"));
    } else {
      ++new_sweeps_;
      expander_inbox_.push_back(
          [this, request_id, spec = std::move(spec), done = std::move(done)](const Now&) mutable {
            expander_.Create(request_id, std::move(spec), std::move(done));
            std::lock_guard taken(mutex_);
            --new_sweeps_;
          });
    }
  }
  if (refusal.ok()) {
    expander_wake_.notify_one();
  } else {
    done(refusal);
  }
}

std::shared_ptr<const Progress> Coordinator::progress() const {
  const absl::Duration now = clock_.Read().monotonic;
  std::unique_lock lock(mutex_);
  if (progress_at_ + kProgressAge < now && serving_) {
    progress_asked_ = true;
    wake_.notify_one();
    progress_made_.wait_for(lock, absl::ToChronoMicroseconds(kProgressAge),
                            [&] { return progress_at_ >= now || stopping_; });
  }
  return progress_;
}

// -------------------------------------------------------------------------------------------
// strand

void Coordinator::RunStrand() {
  while (true) {
    Work work = NextWork();
    const Now now = clock_.Read();
    const bool served = core_.serving();
    if (work.committed) core_.EndCommit(*work.committed, now);
    commits_.store(core_.commits(), std::memory_order_release);
    if (work.stopping) return core_.Publish();
    if (served && !core_.serving()) {
      std::lock_guard lock(mutex_);
      serving_ = false;
    }
    // The disk first: it works while we go on.
    CommitNext();
    core_.Publish();
    if (!core_.serving() && now.monotonic >= core_.NextWake()) OpenAgain(now);
    core_.Take(std::move(work.items), now);
    CommitNext();
    core_.Publish();
    if (work.progress_asked) PublishProgress(now);
  }
}

void Coordinator::CommitNext() {
  const Strand::Records* records = core_.BeginCommit();
  if (records == nullptr) return;
  {
    std::lock_guard lock(mutex_);
    to_commit_ = records;
  }
  commit_wake_.notify_one();
}

void Coordinator::RunCommits() {
  while (true) {
    const Strand::Records* records = nullptr;
    {
      std::unique_lock lock(mutex_);
      commit_wake_.wait(lock, [this] { return no_more_commits_ || to_commit_ != nullptr; });
      if (to_commit_ == nullptr) return;
      records = std::exchange(to_commit_, nullptr);
    }
    store::CommitResult result = store_.Commit(*records);
    const bool done = result.outcome == store::CommitResult::Outcome::kDone;
    {
      std::lock_guard lock(mutex_);
      committed_ = std::move(result);
    }
    wake_.notify_one();
    // Otherwise the strand may open the database again.
    if (done) store_.TidyUp();
  }
}

std::array<size_t, 3> Coordinator::waiting() const {
  std::lock_guard lock(mutex_);
  return {inbox_[kSyncs].size(), inbox_[kStreams].size(), inbox_[kRequests].size()};
}

bool Coordinator::InboxEmpty() const {
  return std::all_of(inbox_.begin(), inbox_.end(), [](const auto& lane) { return lane.empty(); });
}

std::vector<AnswerDone> Coordinator::Waiting(std::deque<Item>& lane) {
  std::vector<AnswerDone> all;
  for (Item& item : lane) {
    if (item.done) all.push_back(std::move(item.done));
  }
  lane.clear();
  return all;
}

absl::Duration Coordinator::WorkAt() const {
  const bool now = committed_ || progress_asked_ || (stopping_ && !core_.committing());
  if (now) return -absl::InfiniteDuration();
  return core_.Room() > 0 ? std::min(core_.NextWake(), take_at_) : core_.NextWake();
}

Coordinator::Work Coordinator::NextWork() {
  std::unique_lock lock(mutex_);
  while (true) {
    const absl::Duration now = clock_.Read().monotonic, at = WorkAt();
    if (at <= now) break;
    wake_.wait_for(lock, ForWait(at, now));
  }
  Work work;
  work.committed = std::exchange(committed_, std::nullopt);
  work.progress_asked = std::exchange(progress_asked_, false);
  // What is being committed is answered before the end.
  work.stopping = stopping_ && (work.committed || !core_.committing());
  if (!work.stopping) TakeInbox(work);
  return work;
}

// Each lane gets its share of the batch, Syncs first; what one does not use the others may have.
void Coordinator::TakeInbox(Work& work) {
  const size_t room = core_.Room(), share = std::max<size_t>(1, room / kLanes);
  for (const size_t most : {share, room}) {
    for (auto& lane : inbox_) {
      for (size_t i = 0; i < most && !lane.empty() && work.items.size() < room; ++i) {
        work.items.push_back(std::move(lane.front()));
        lane.pop_front();
      }
    }
  }
  take_at_ = InboxEmpty() ? absl::InfiniteDuration() : -absl::InfiniteDuration();
}

void Coordinator::OpenAgain(const Now& now) {
  const absl::Status loaded = core_.Load(now);
  if (!loaded.ok()) {
    spdlog::error("the database cannot be opened again yet: {}", loaded.ToString());
    return;
  }
  core_.Serve(clock_.Read());
  spdlog::info("the database is open again");
  for (const core::SweepKey sweep : core_.Expanding()) {
    TellExpander([this, sweep](const Now&) { expander_.Resume(sweep); });
  }
  std::lock_guard lock(mutex_);
  serving_ = !stopping_;
}

void Coordinator::PublishProgress(const Now& now) {
  std::shared_ptr<const Progress> progress;
  if (core_.decisions() != shown_decisions_) {
    progress = std::make_shared<const Progress>(ProgressOf(core_.state(), now));
    shown_decisions_ = core_.decisions();
  }
  {
    std::lock_guard lock(mutex_);
    if (progress != nullptr) progress_ = std::move(progress);
    progress_at_ = now.monotonic;
  }
  progress_made_.notify_all();
}

// -----------------------------------------------------------------------------------------
// expander

void Coordinator::TellExpander(std::function<void(const Now&)> event) {
  {
    std::lock_guard lock(mutex_);
    expander_inbox_.push_back(std::move(event));
  }
  expander_wake_.notify_one();
}

void Coordinator::PostForExpander(core::Input input, Expander::Then then) {
  Post(std::move(input), [this, then = std::move(then)](absl::StatusOr<Answer> answer) {
    TellExpander([then, answer = std::move(answer)](const Now& now) mutable {
      then(std::move(answer), now);
    });
  });
}

void Coordinator::RunExpander() {
  while (true) {
    std::deque<std::function<void(const Now&)>> events;
    {
      std::unique_lock lock(mutex_);
      const auto time = ForWait(expander_.NextWake(), clock_.Read().monotonic);
      expander_wake_.wait_for(lock, time, [this] { return stopping_ || !expander_inbox_.empty(); });
      if (stopping_) return;
      events.swap(expander_inbox_);
    }
    const Now now = clock_.Read();
    for (const auto& event : events) event(now);
    expander_.Work(now);
  }
}

}  // namespace retort
