// A coordinator's loop in a test: decides, applies, commits to a store in memory, at a time that
// the test sets.
#ifndef RETORT_TESTS_UNIT_CORE_FIXTURE_H_
#define RETORT_TESTS_UNIT_CORE_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/hash.h"
#include "server/core/decide.h"
#include "server/core/placement.h"
#include "server/core/state.h"
#include "server/store/memory_store.h"

namespace retort::core {

inline JobId IdOf(const std::string& name) { return JobId(Sha256Of(name)); }
inline ArtifactHash HashOf(const std::string& name) { return ArtifactHash(Sha256Of(name)); }

inline NewJob TeacherJob(const std::string& name, double cost = 1) {
  NewJob job;
  job.id = IdOf(name);
  job.kind = JobKind::kTeacher;
  job.spec = "spec of " + name;
  job.model = "resnet1d-32/8";
  job.method = "scratch";
  job.epochs = 2;
  job.expected_cost = cost;
  return job;
}

inline NewJob StudentJob(const std::string& name, const std::string& teacher = "",
                         double cost = 1) {
  NewJob job = TeacherJob(name, cost);
  job.kind = JobKind::kStudent;
  if (teacher.empty()) return job;
  job.method = "soft";
  job.teacher = IdOf(teacher);
  job.teacher_label = "resnet1d-32/8";
  return job;
}

// A worker as the tests see it: what it reports at its next Sync.
struct FakeWorker {
  std::string name = "w1";
  int64_t incarnation = 1;
  int64_t number = 0;
  int slots = 2;
  std::vector<LiveReport> live;
  std::vector<FinishedReport> finished;
  std::vector<CheckpointReport> checkpoints;
  int wanted = 0;
  bool draining = false;
  std::vector<ArtifactHash> cached;
  std::vector<int64_t> memory;      // of each slot; not known if left out
  std::vector<int32_t> free_slots;  // reported; empty: not reported
  bool allows_torchscript = false;
};

class Loop {
 public:
  explicit Loop(Options options = {})
      : options_(options), state_(options), store_(store::NewMemoryStore()) {
    now_.monotonic = absl::Seconds(1000);
    now_.wall = absl::FromUnixSeconds(1'700'000'000);
  }

  State& state() { return state_; }
  store::Store& store() { return *store_; }
  const Now& now() const { return now_; }
  // Time passes, and every timer is served when it is due.
  void Pass(absl::Duration time) {
    const absl::Duration end = now_.monotonic + time;
    while (state_.NextWake() <= end) {
      Jump(std::max(absl::ZeroDuration(), state_.NextWake() - now_.monotonic));
      WakeUp();
    }
    Jump(end - now_.monotonic);
  }
  // Time passes, and nobody serves anything.
  void Jump(absl::Duration time) {
    now_.monotonic += time;
    now_.wall += time;
  }

  // Somebody sets the clock that is for display.
  void JumpWall(absl::Duration time) { now_.wall += time; }

  // Decides, applies and commits one input, then what it made due.
  absl::Status Do(const Input& input) {
    auto decision = Decide(state_, input, now_);
    if (!decision.ok()) return decision.status();
    Carry(*decision);
    WakeUp();
    return absl::OkStatus();
  }
  // The same without what it made due.
  void DoOnly(const Input& input) {
    auto decision = Decide(state_, input, now_);
    ASSERT_TRUE(decision.ok()) << decision.status();
    Carry(*decision);
  }
  void WakeOnce() { DoOnly(Wake{}); }
  // What time made due.
  void WakeUp() {
    for (int i = 0; state_.NextWake() <= now_.monotonic; ++i) {
      ASSERT_LT(i, 1000) << "the core never stops waking";
      auto decision = Decide(state_, Wake{}, now_);
      ASSERT_TRUE(decision.ok()) << decision.status();
      Carry(*decision);
    }
  }

  // A sweep of these jobs. Its key.
  SweepKey Submit(const std::string& name, std::vector<NewJob> jobs, int priority = 0,
                  const v1::Budget& budget = {}) {
    auto spec = std::make_shared<v1::SweepSpec>();
    spec->set_name(name);
    spec->set_priority(priority);
    *spec->mutable_budget() = budget;
    BeginSweep begin{++token_, absl::StrCat("request-", token_), spec,
                     static_cast<int64_t>(jobs.size())};
    EXPECT_TRUE(Do(begin).ok());
    const SweepKey key = std::get<SweepReply>(replies_.at(begin.token)).sweep;
    SweepChunk chunk{++token_, key, 0, std::make_shared<std::vector<NewJob>>(std::move(jobs))};
    const absl::Status status = Do(chunk);
    EXPECT_TRUE(status.ok()) << status;
    return key;
  }

  // Sends a Sync. Its token.
  Token Send(FakeWorker& worker) {
    const core::Sync sync = SyncOf(worker);
    last_ = Do(sync);
    return sync.token;
  }
  // What the worker says next.
  core::Sync SyncOf(FakeWorker& worker) {
    core::Sync sync;
    sync.token = ++token_;
    sync.worker = worker.name;
    sync.incarnation = worker.incarnation;
    sync.number = ++worker.number;
    for (int i = 0; i < worker.slots; ++i) {
      const auto at = static_cast<size_t>(i);
      sync.slots.push_back({i, "cpu", at < worker.memory.size() ? worker.memory[at] : 0});
    }
    sync.free_slots = worker.free_slots;
    sync.allows_torchscript = worker.allows_torchscript;
    sync.live = worker.live;
    sync.finished = worker.finished;
    sync.checkpoints = worker.checkpoints;
    sync.wanted = worker.wanted;
    sync.draining = worker.draining;
    sync.cached = worker.cached;
    return sync;
  }
  // Sends, and expects an answer at once.
  SyncReply Exchange(FakeWorker& worker) {
    const Token token = Send(worker);
    EXPECT_TRUE(last_.ok()) << last_;
    EXPECT_TRUE(replies_.contains(token)) << "was parked";
    return replies_.contains(token) ? std::get<SyncReply>(replies_.at(token)) : SyncReply{};
  }
  // Takes one job and reports it as running.
  Grant Take(FakeWorker& worker) {
    worker.wanted = 1;
    const SyncReply reply = Exchange(worker);
    worker.wanted = 0;
    EXPECT_EQ(reply.grants.size(), 1u);
    if (reply.grants.empty()) return {};
    worker.live.push_back({reply.grants[0].id, true, 0, reply.grants[0].slot});
    Send(worker);
    return reply.grants[0];
  }
  // Ends an attempt and reports it.
  SyncReply Succeed(FakeWorker& worker, const AttemptName& id) {
    FinishedReport report;
    report.id = id;
    report.result = std::make_shared<v1::JobResult>();
    report.weights_held = true;
    report.weights = {HashOf("weights of " + id.job.hex()), 100};
    report.device_s = 10;
    return Finish(worker, report);
  }
  SyncReply Fail(FakeWorker& worker, const AttemptName& id, FailureCause cause) {
    FinishedReport report;
    report.id = id;
    report.cause = cause;
    report.message = "broke";
    report.device_s = 10;
    return Finish(worker, report);
  }
  SyncReply Finish(FakeWorker& worker, const FinishedReport& report) {
    std::erase_if(worker.live, [&](const LiveReport& live) { return live.id == report.id; });
    worker.finished = {report};
    SyncReply reply = Exchange(worker);
    worker.finished.clear();
    return reply;
  }

  JobState StateOf(const std::string& job) {
    const JobKey key = state_.FindJob(IdOf(job));
    return state_.job(key).row.state;
  }
  const JobRow& RowOf(const std::string& job) { return state_.job(state_.FindJob(IdOf(job))).row; }
  const std::map<Token, ReplyBody>& replies() const { return replies_; }
  const absl::Status& last() const { return last_; }
  Token NextToken() { return ++token_; }
  std::string NextRequest() { return absl::StrCat("request-", ++token_); }

  // What another process would know after a restart.
  State Reloaded() {
    State fresh(options_);
    EXPECT_TRUE(store_->Load([&fresh](const Record& record) { fresh.Load(record); }).ok());
    fresh.Recover(now_);
    return fresh;
  }
  // Goes on as that process, at a monotonic time of its own.
  void Restart() {
    now_.monotonic = absl::Seconds(5);
    state_ = Reloaded();
    WakeUp();
  }

  // A job is placed only where it fits.
  void CheckRoom(const JobChanged& change) {
    if (change.before.state != JobState::kQueued || change.after.state != JobState::kLeased) return;
    const auto& slots = state_.worker(change.after.worker).row.slots;
    const auto slot = static_cast<size_t>(change.after.slot);
    ASSERT_LT(slot, slots.size());
    EXPECT_LE(change.after.memory_bytes, RoomOf(slots[slot]));
  }

  void Carry(const Decision& decision) {
    state_.Apply(decision);
    std::vector<const Record*> records;
    for (const Record& record : decision.records) {
      records.push_back(&record);
      if (const auto* changed = std::get_if<JobChanged>(&record)) CheckRoom(*changed);
    }
    const auto commit = store_->Commit(records);
    EXPECT_TRUE(commit.status.ok()) << commit.status;
    for (const Reply& reply : decision.replies) {
      EXPECT_TRUE(replies_.emplace(reply.token, reply.body).second) << "answered twice";
    }
    const absl::Status broken = state_.CheckInvariants();
    EXPECT_TRUE(broken.ok()) << broken;
  }

 private:
  Options options_;
  State state_;
  std::unique_ptr<store::Store> store_;
  Now now_;
  Token token_ = 0;
  std::map<Token, ReplyBody> replies_;
  absl::Status last_;
};

}  // namespace retort::core

#endif  // RETORT_TESTS_UNIT_CORE_FIXTURE_H_
