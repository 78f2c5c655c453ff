// The loop over a store that fails when it is told to.
#include "server/coordinator.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/files.h"
#include "common/status.h"
#include "server/store/memory_store.h"
#include "tests/unit/coordinator/full_store.h"

namespace retort {
namespace {

using testing::HasSubstr;
using Outcome = store::CommitResult::Outcome;

// Passes everything on to another store, but for commits that shall fail.
class FaultyStore : public store::Store {
 public:
  explicit FaultyStore(store::Store& inner) : inner_(inner) {}

  store::CommitResult Commit(const std::vector<const core::Record*>& records) override {
    const int fault = left_.load() > 0 ? 0 : faults_.load();
    if (left_ > 0) --left_;
    if (fault == 0) return inner_.Commit(records);
    --faults_;
    ++failed_;
    if (outcome_ == Outcome::kNotDone)
      return store::CommitResult::NotDone(absl::ResourceExhaustedError("disk full"));
    if (written_) inner_.Commit(records);
    return store::CommitResult::Unknown(absl::UnavailableError("I/O error"));
  }
  absl::Status Load(const std::function<void(const core::Record&)>& sink) override {
    return inner_.Load(sink);
  }
  absl::Status Reopen() override {
    ++reopened_;
    return inner_.Reopen();
  }
  const store::Reader& reader() const override { return inner_.reader(); }

  // After `good` more commits, `count` fail.
  void Fail(Outcome outcome, int count, bool written = false, int good = 0) {
    outcome_ = outcome;
    written_ = written;
    left_ = good;
    faults_ = count;
  }
  int failed() const { return failed_; }
  int reopened() const { return reopened_; }

 private:
  store::Store& inner_;
  std::atomic<Outcome> outcome_{Outcome::kDone};
  std::atomic<bool> written_{false};
  std::atomic<int> faults_{0};
  std::atomic<int> left_{0};
  std::atomic<int> failed_{0};
  std::atomic<int> reopened_{0};
};

class CoordinatorTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.core.lease = absl::Seconds(1);
    options_.first_backoff = absl::Milliseconds(5);
    options_.most_backoff = absl::Milliseconds(20);
    options_.patience = absl::Milliseconds(50);
    Start();
  }
  void Start() {
    coordinator_ = std::make_unique<Coordinator>(store_, clock_, options_);
    ASSERT_TRUE(coordinator_->Start().ok());
  }

  static std::shared_ptr<const v1::SweepSpec> Sweep(int seeds = 1) {
    auto spec = std::make_shared<v1::SweepSpec>();
    spec->set_name("one");
    v1::DatasetInfo* info = spec->add_datasets()->mutable_info();
    spec->mutable_datasets(0)->set_name("lab");
    info->set_sha256(std::string(64, 'a'));
    info->set_size_bytes(9);
    info->set_windows(100);
    info->set_channels(2);
    info->set_samples(256);
    for (const char* subject : {"a", "b", "c", "d"}) info->add_subjects(subject);
    spec->mutable_split()->set_holdout(0.5);
    spec->add_students()->mutable_mlp()->set_width(8);
    spec->mutable_students(0)->mutable_mlp()->set_depth(1);
    spec->add_methods()->mutable_method()->mutable_scratch();
    for (int i = 0; i < seeds; ++i) spec->add_seeds(i);
    return spec;
  }

  template <typename Start>
  absl::StatusOr<Answer> Wait(Start&& start) {
    auto promise = std::make_shared<std::promise<absl::StatusOr<Answer>>>();
    auto future = promise->get_future();
    start([promise](absl::StatusOr<Answer> answer) { promise->set_value(std::move(answer)); });
    if (future.wait_for(std::chrono::seconds(20)) != std::future_status::ready) {
      return absl::DeadlineExceededError("nobody answered");
    }
    return future.get();
  }
  absl::StatusOr<core::SweepReply> Create(const std::string& request_id, int seeds = 1) {
    auto answer = Wait([&](AnswerDone done) {
      coordinator_->CreateSweep(request_id, Sweep(seeds), std::move(done));
    });
    if (!answer.ok()) return answer.status();
    return std::get<core::SweepReply>(*answer);
  }
  absl::StatusOr<core::SyncReply> Sync(core::Sync sync) {
    auto answer = Wait([&](AnswerDone done) { coordinator_->Post(sync, std::move(done)); });
    if (!answer.ok()) return answer.status();
    return std::get<core::SyncReply>(*answer);
  }
  core::Sync Hello(int64_t number, int wanted) {
    core::Sync sync;
    sync.worker = "w1";
    sync.incarnation = 1;
    sync.number = number;
    sync.slots = {{0, "cpu", 0}};
    sync.wanted = wanted;
    return sync;
  }
  absl::Status CheckState() {
    absl::Status invariants = absl::UnknownError("not looked");
    auto answer = Wait([&](AnswerDone done) {
      coordinator_->Inspect([&](const core::State& state) { invariants = state.CheckInvariants(); },
                            std::move(done));
    });
    return answer.ok() ? invariants : answer.status();
  }

  const std::unique_ptr<store::Store> memory_ = store::NewMemoryStore();
  FaultyStore store_{*memory_};
  SystemClock clock_;
  CoordinatorOptions options_;
  std::unique_ptr<Coordinator> coordinator_;
};

TEST_F(CoordinatorTest, FailedCommitChangesNothingAndIsSaid) {
  const std::string id = NewUuid();
  store_.Fail(Outcome::kNotDone, 1);
  const absl::Status refused = Create(id).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  EXPECT_THAT(refused.ToString(), HasSubstr("disk full"));
  EXPECT_TRUE(memory_->reader().Sweep("one").status().code() == absl::StatusCode::kNotFound);
  EXPECT_TRUE(CheckState().ok()) << CheckState();
  auto created = Create(id);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->name, "one") << "nothing of the first try is left";
  EXPECT_EQ(store_.reopened(), 0);
}

TEST_F(CoordinatorTest, FullDiskLetsNoLeaseRunOut) {
  ASSERT_TRUE(Create(NewUuid()).ok());
  auto reply = Sync(Hello(1, 1));
  ASSERT_TRUE(reply.ok()) << reply.status();
  ASSERT_EQ(reply->grants.size(), 1u);
  core::Sync live = Hello(2, 0);
  live.live = {{reply->grants[0].id, true, 0}};
  ASSERT_TRUE(Sync(live).ok());
  store_.Fail(Outcome::kNotDone, 1'000'000);
  const absl::Time begin = absl::Now();
  while (absl::Now() - begin < absl::Milliseconds(1500)) {
    ++live.number;
    auto renewed = Sync(live);
    ASSERT_TRUE(renewed.ok()) << renewed.status();
    EXPECT_TRUE(renewed->stop.empty());
    EXPECT_FALSE(Create(NewUuid()).ok());
  }
  EXPECT_GT(store_.failed(), 1);
  store_.Fail(Outcome::kNotDone, 0);
  EXPECT_TRUE(CheckState().ok()) << CheckState();
  EXPECT_EQ(memory_->reader().Job(reply->grants[0].id.job.hex())->attempt(), 1);
}

TEST_F(CoordinatorTest, FullDiskLetsNoLeaseRunOutThoughEveryRenewalIsRefused) {
  ASSERT_TRUE(Create(NewUuid()).ok());
  auto reply = Sync(Hello(1, 1));
  ASSERT_TRUE(reply.ok()) << reply.status();
  ASSERT_EQ(reply->grants.size(), 1u);
  core::Sync live = Hello(2, 0);
  live.live = {{reply->grants[0].id, true, 0}};
  ASSERT_TRUE(Sync(live).ok());
  store_.Fail(Outcome::kNotDone, 1'000'000);
  const absl::Time begin = absl::Now();
  while (absl::Now() - begin < absl::Milliseconds(1500)) {
    ++live.number;
    live.version = absl::StrCat("changes ", live.number);  // something to write down
    EXPECT_TRUE(absl::IsResourceExhausted(Sync(live).status()));
    absl::SleepFor(absl::Milliseconds(50));
  }
  store_.Fail(Outcome::kNotDone, 0);
  absl::SleepFor(absl::Milliseconds(300));  // for timers to fire
  ++live.number;
  auto renewed = Sync(live);
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  EXPECT_TRUE(renewed->stop.empty());
  EXPECT_EQ(memory_->reader().Job(reply->grants[0].id.job.hex())->attempt(), 1);
  EXPECT_TRUE(CheckState().ok()) << CheckState();
}

TEST_F(CoordinatorTest, RenewalInAFailedBatchGoesThrough) {
  ASSERT_TRUE(Create(NewUuid()).ok());
  auto reply = Sync(Hello(1, 1));
  ASSERT_TRUE(reply.ok()) << reply.status();
  core::Sync live = Hello(2, 0);
  live.live = {{reply->grants.at(0).id, true, 0}};
  ASSERT_TRUE(Sync(live).ok());

  store_.Fail(Outcome::kNotDone, 1);
  std::promise<void> go;  // holds the strand until both wait in the inbox, for one batch
  coordinator_->Inspect([held = go.get_future().share()](const core::State&) { held.wait(); },
                        nullptr);
  core::ChangeSweep pause;
  pause.request_id = NewUuid();
  pause.name = "one";
  std::promise<absl::Status> paused;
  std::promise<absl::Status> renewed;
  coordinator_->Post(
      pause, [&paused](absl::StatusOr<Answer> answer) { paused.set_value(answer.status()); });
  ++live.number;
  coordinator_->Post(
      live, [&renewed](absl::StatusOr<Answer> answer) { renewed.set_value(answer.status()); });
  go.set_value();
  EXPECT_EQ(paused.get_future().get().code(), absl::StatusCode::kResourceExhausted);
  const absl::Status renewal = renewed.get_future().get();
  EXPECT_TRUE(renewal.ok()) << renewal;
  EXPECT_EQ(store_.failed(), 1);
  EXPECT_EQ(memory_->reader().Sweep("one")->state(), v1::SWEEP_STATE_ACTIVE);
  EXPECT_TRUE(CheckState().ok()) << CheckState();
}

TEST_F(CoordinatorTest, UnknownOutcomeIsSettledByTheStore) {
  for (const bool written : {true, false}) {
    const std::string id = NewUuid();
    store_.Fail(Outcome::kUnknown, 1, written);
    EXPECT_EQ(Create(id).status().code(), absl::StatusCode::kUnavailable);
    absl::StatusOr<core::SweepReply> again = absl::UnavailableError("");
    for (int i = 0; i < 200 && absl::IsUnavailable(again.status()); ++i) {
      absl::SleepFor(absl::Milliseconds(10));
      again = Create(id);
    }
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_EQ(again->name, written ? "one" : "one-2") << "one sweep for each request";
    EXPECT_TRUE(CheckState().ok()) << CheckState();
  }
  EXPECT_EQ(store_.reopened(), 2);
}

TEST_F(CoordinatorTest, InterruptedExpansionGoesOnAfterARestart) {
  constexpr int kJobs = 6000;                           // two chunks
  store_.Fail(Outcome::kNotDone, 1'000'000, false, 2);  // head and first chunk are saved
  std::promise<absl::Status> ended;
  coordinator_->CreateSweep(NewUuid(), Sweep(kJobs), [&ended](absl::StatusOr<Answer> answer) {
    ended.set_value(answer.status());
  });
  while (store_.failed() < 2) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_EQ(memory_->reader().Sweep("one")->state(), v1::SWEEP_STATE_EXPANDING);
  coordinator_->Stop();
  // On a busy machine its patience may have ended before the coordinator did.
  EXPECT_THAT(ended.get_future().get().code(),
              testing::AnyOf(absl::StatusCode::kUnavailable, absl::StatusCode::kResourceExhausted));
  store_.Fail(Outcome::kNotDone, 0);
  coordinator_.reset();
  Start();
  for (int i = 0; i < 1000 && memory_->reader().Sweep("one")->state() == v1::SWEEP_STATE_EXPANDING;
       ++i) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_EQ(memory_->reader().Sweep("one")->state(), v1::SWEEP_STATE_ACTIVE);
  EXPECT_EQ(memory_->reader().Sweep("one")->counts().queued(), kJobs);
  EXPECT_TRUE(CheckState().ok()) << CheckState();
}

TEST_F(CoordinatorTest, HalfExpandedSweepWaitsForSpaceWithoutHoldingUpOthers) {
  constexpr int kJobs = 6000;                           // two chunks
  store_.Fail(Outcome::kNotDone, 1'000'000, false, 2);  // head and first chunk are saved
  const std::string id = NewUuid();
  const absl::Status heard = Create(id, kJobs).status();
  EXPECT_EQ(heard.code(), absl::StatusCode::kResourceExhausted) << heard;
  EXPECT_THAT(heard.ToString(), HasSubstr("goes on by itself"));
  EXPECT_EQ(Create(NewUuid()).status().code(), absl::StatusCode::kResourceExhausted)
      << "others are answered meanwhile";

  store_.Fail(Outcome::kNotDone, 0);
  absl::StatusOr<core::SweepReply> again = absl::UnavailableError("");
  for (int i = 0; i < 1000 && absl::IsUnavailable(again.status()); ++i) {
    absl::SleepFor(absl::Milliseconds(10));
    again = Create(id, kJobs);
  }
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->name, "one");
  EXPECT_EQ(memory_->reader().Sweep("one")->counts().queued(), kJobs);
  EXPECT_TRUE(CheckState().ok()) << CheckState();
}

TEST_F(CoordinatorTest, FloodOfMetricsStarvesNoSync) {
  coordinator_->Stop();
  options_.max_inbox = 10;
  options_.max_batch = 3;
  Start();
  std::promise<void> go;
  std::promise<void> begun;
  coordinator_->Inspect(
      [&begun, held = go.get_future().share()](const core::State&) {
        begun.set_value();
        held.wait();
      },
      nullptr);
  begun.get_future().wait();
  std::mutex mutex;
  std::vector<std::string> order;
  std::atomic<int> left = 11;
  const auto note = [&](const std::string& who) {
    return [&, who](const absl::StatusOr<Answer>& answer) {
      std::lock_guard lock(mutex);
      order.push_back(answer.ok() ? who : "refused " + who);
      --left;
    };
  };
  core::Metrics metrics;
  metrics.id = {JobId(), 1};
  metrics.batch = std::make_shared<v1::MetricBatch>();
  for (int i = 0; i < 10; ++i) coordinator_->Post(metrics, note("metrics"));
  coordinator_->Post(metrics, [&](const absl::StatusOr<Answer>& answer) {
    EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable) << "its lane is full";
    EXPECT_THAT(answer.status().ToString(), HasSubstr("overloaded"));
  });
  core::Sync draining = Hello(1, 0);
  draining.live = {{{JobId(), 1}, true, 0}};  // unknown: answered at once
  coordinator_->Post(draining, note("sync"));
  go.set_value();
  while (left > 0) absl::SleepFor(absl::Milliseconds(1));
  ASSERT_EQ(order.size(), 11u);
  EXPECT_THAT(std::vector<std::string>(order.begin(), order.begin() + 3), testing::Contains("sync"))
      << "in the first batch, though it came last";
}

// A clock that is read by threads while the test sets it.
class SetClock : public Clock {
 public:
  Now Read() const override { return {absl::Nanoseconds(now_ns_.load()), absl::UnixEpoch()}; }
  void Advance(absl::Duration by) { now_ns_ += absl::ToInt64Nanoseconds(by); }

 private:
  std::atomic<int64_t> now_ns_{int64_t{1} << 40};
};

// Of 2,000 workers with jobs each says several times a minute that they go on.
class CoordinatorGatherTest : public CoordinatorTest {
 protected:
  void SetUp() override {
    coordinator_ = std::make_unique<Coordinator>(store_, set_clock_, options_);
    ASSERT_TRUE(coordinator_->Start().ok());
    ASSERT_TRUE(Sync(NothingNew(1)).ok()) << "the first Sync of a worker is taken at once";
  }
  void TearDown() override { coordinator_.reset(); }  // before its clock
  // Answered at once when it is taken: the coordinator does not know the attempt.
  core::Sync NothingNew(int64_t number) {
    core::Sync sync = Hello(number, 0);
    sync.live = {{{JobId(), 1}, true, 0}};
    return sync;
  }
  // Until the strand has surely looked at what came in.
  static void LetOthersRun() { absl::SleepFor(absl::Milliseconds(100)); }

  SetClock set_clock_;
  std::atomic<int> answers_ = 0;
  const AnswerDone count_ = [this](const absl::StatusOr<Answer>&) { ++answers_; };
};

TEST_F(CoordinatorGatherTest, SyncsThatSayNothingNewAreTakenTogether) {
  for (int i = 2; i < 12; ++i) coordinator_->Post(NothingNew(i), count_);
  LetOthersRun();
  EXPECT_EQ(coordinator_->waiting()[0], 10u);
  EXPECT_EQ(answers_, 0);
  set_clock_.Advance(absl::Milliseconds(60));
  while (answers_ < 10) absl::SleepFor(absl::Milliseconds(1));
  EXPECT_EQ(coordinator_->waiting()[0], 0u);
}

TEST_F(CoordinatorGatherTest, WhatIsNewsIsTakenAtOnceAndTheOthersWithIt) {
  const auto is_taken_at_once = [&](const core::Sync& sync) {
    coordinator_->Post(NothingNew(sync.number - 1), count_);
    LetOthersRun();
    const int before = answers_;
    EXPECT_TRUE(Sync(sync).ok());
    return coordinator_->waiting()[0] == 0 && answers_ == before + 1;
  };
  core::Sync finished = NothingNew(11);
  finished.finished.emplace_back().id = {JobId(), 1};
  EXPECT_TRUE(is_taken_at_once(finished));
  core::Sync wants = NothingNew(13);
  wants.wanted = 1;
  EXPECT_TRUE(is_taken_at_once(wants));
  core::Sync checkpoint = NothingNew(15);
  checkpoint.checkpoints.emplace_back().id = {JobId(), 1};
  EXPECT_TRUE(is_taken_at_once(checkpoint));
  core::Sync leaves = NothingNew(17);
  leaves.draining = true;
  EXPECT_TRUE(is_taken_at_once(leaves));
  // Nor does a question wait.
  coordinator_->Post(NothingNew(18), count_);
  EXPECT_TRUE(CheckState().ok());
}

TEST_F(CoordinatorTest, ProgressIsOfTheMomentThatSomebodyAsks) {
  ASSERT_TRUE(Sync(Hello(1, 0)).ok());
  absl::SleepFor(2 * kProgressAge);
  EXPECT_TRUE(coordinator_->progress()->workers.contains("workers/w1"));
  core::Sync other = Hello(1, 0);
  other.worker = "w2";
  other.live = {{{JobId(), 1}, true, 0}};  // unknown: answered at once
  ASSERT_TRUE(Sync(other).ok());
  absl::SleepFor(2 * kProgressAge);
  EXPECT_TRUE(coordinator_->progress()->workers.contains("workers/w2"));
}

TEST(CoordinatorTidyTest, NobodyWaitsForWhatACommitLeavesToTidyUp) {
  FullStore store;
  std::promise<void> answered;
  const std::shared_future<void> known = answered.get_future().share();
  std::atomic<bool> in_time = true;
  store.tidy_up = [&, known] {
    in_time = in_time && known.wait_for(std::chrono::seconds(20)) == std::future_status::ready;
  };
  const SystemClock clock;
  Coordinator coordinator(store, clock, {});
  ASSERT_TRUE(coordinator.Start().ok());
  core::Sync hello;
  hello.worker = "w1";
  hello.incarnation = hello.number = 1;
  hello.live = {{{JobId(), 1}, true, 0}};  // unknown: answered at once
  coordinator.Post(hello, [&](const absl::StatusOr<Answer>&) { answered.set_value(); });
  known.wait();
  coordinator.Stop();
  EXPECT_TRUE(in_time);
}

TEST_F(CoordinatorTest, EndAnswersEverybody) {
  ASSERT_TRUE(Sync(Hello(1, 0)).ok());
  std::promise<absl::Status> parked;
  coordinator_->Post(
      Hello(2, 1), [&parked](absl::StatusOr<Answer> answer) { parked.set_value(answer.status()); });
  coordinator_->Stop();
  EXPECT_EQ(parked.get_future().get().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Sync(Hello(3, 1)).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Create(NewUuid()).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(CoordinatorTest, BadSweepIsRefusedByName) {
  auto spec = std::make_shared<v1::SweepSpec>(*Sweep());
  spec->set_name("Not A Name");
  auto answer =
      Wait([&](AnswerDone done) { coordinator_->CreateSweep(NewUuid(), spec, std::move(done)); });
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(answer.status().ToString(), HasSubstr("Not A Name"));
}

}  // namespace
}  // namespace retort
