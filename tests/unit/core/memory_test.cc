// Slots and their memory: never given more than they have, never hidden behind jobs that do not
// fit.
#include "absl/strings/str_cat.h"
#include "fixture.h"
#include "server/core/explain.h"

namespace retort::core {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int64_t kGiB = int64_t{1} << 30;

NewJob Sized(const std::string& name, int64_t memory_bytes, double cost = 1) {
  NewJob job = StudentJob(name, "", cost);
  job.memory_bytes = memory_bytes;
  return job;
}

FakeWorker Machine(const std::string& name, std::vector<int64_t> memory) {
  FakeWorker worker;
  worker.name = name;
  worker.slots = static_cast<int>(memory.size());
  worker.wanted = worker.slots;
  worker.memory = std::move(memory);
  return worker;
}

std::vector<std::string> JobsOf(const SyncReply& reply, const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (const Grant& grant : reply.grants) {
    for (const std::string& name : names) {
      if (grant.id.job == IdOf(name)) out.push_back(absl::StrCat(name, "@", grant.slot));
    }
  }
  return out;
}

TEST(MemoryTest, EachJobGetsTheSmallestSlotThatHasRoomForIt) {
  Loop loop;
  // The longest first: the small one must not take the large slot from the large one.
  loop.Submit("s", {Sized("small", kGiB, 9), Sized("large", 8 * kGiB, 5), Sized("unknown", 0, 1)});
  FakeWorker worker = Machine("w", {8 * kGiB, kGiB, 4 * kGiB});
  EXPECT_THAT(JobsOf(loop.Exchange(worker), {"small", "large", "unknown"}),
              ElementsAre("small@1", "large@0", "unknown@2"));
}

TEST(MemoryTest, AJobThatFitsNowhereWaitsAndExplainSaysSo) {
  Loop loop;
  loop.Submit("s", {Sized("huge", 64 * kGiB)});
  FakeWorker worker = Machine("w", {8 * kGiB});
  loop.Send(worker);
  EXPECT_EQ(loop.StateOf("huge"), JobState::kQueued);
  const auto why = Explain(loop.state(), {1}, loop.now());
  EXPECT_EQ(why.reasons[0].code, ReasonCode::kNotEnoughMemory);
  EXPECT_THAT(why.reasons[0].message, HasSubstr("needs 64.00 GiB"));
  EXPECT_THAT(why.reasons[0].message, HasSubstr("8.00 GiB, on workers/w"));
  FakeWorker larger = Machine("v", {64 * kGiB});
  EXPECT_THAT(loop.Exchange(larger).grants, SizeIs(1));
}

TEST(MemoryTest, UnknownMemoryOnEitherSideIsTried) {
  Loop loop;
  loop.Submit("s", {Sized("huge", 64 * kGiB), Sized("unknown", 0)});
  FakeWorker worker = Machine("w", {0, 1});
  EXPECT_THAT(JobsOf(loop.Exchange(worker), {"huge", "unknown"}),
              ElementsAre("huge@0", "unknown@1"));
}

TEST(MemoryTest, ThousandsOfJobsThatDoNotFitHideNone) {
  Loop loop;
  std::vector<NewJob> jobs;
  for (int i = 0; i < 1000; ++i) {
    jobs.push_back(Sized(absl::StrCat("huge", i), (16 + i % 8) * kGiB, 1000));
  }
  jobs.push_back(Sized("small", kGiB));
  loop.Submit("s", std::move(jobs), /*priority=*/0);
  FakeWorker worker = Machine("w", {8 * kGiB});
  EXPECT_THAT(JobsOf(loop.Exchange(worker), {"small"}), ElementsAre("small@0"));
}

TEST(MemoryTest, AParkedWorkerGetsTheSlotsThatItReportedFree) {
  Loop loop;
  FakeWorker worker = Machine("w", {kGiB, kGiB, kGiB});
  worker.free_slots = {1, 2};
  worker.wanted = 2;
  const Token parked = loop.Send(worker);
  loop.Submit("s", {Sized("a", kGiB), Sized("b", kGiB), Sized("c", kGiB)});
  const auto& reply = std::get<SyncReply>(loop.replies().at(parked));
  EXPECT_THAT(JobsOf(reply, {"a", "b", "c"}), ElementsAre("a@1", "b@2"));
}

TEST(MemoryTest, SlotsOfLeasesAreNotGivenTwiceAlsoAfterARestart) {
  Loop loop;
  loop.Submit("s", {Sized("a", 4 * kGiB), Sized("b", 4 * kGiB), Sized("c", kGiB)});
  FakeWorker worker = Machine("w", {4 * kGiB, kGiB});
  worker.wanted = 1;
  const SyncReply first = loop.Exchange(worker);
  ASSERT_THAT(JobsOf(first, {"a"}), ElementsAre("a@0"));
  loop.Restart();
  worker.live = {{first.grants[0].id, true, 0, 0}};
  worker.wanted = 2;
  EXPECT_THAT(JobsOf(loop.Exchange(worker), {"a", "b", "c"}), ElementsAre("c@1"));
}

TEST(MemoryTest, OutOfMemoryGoesToALargerSlotAndFailsWhereThereIsNone) {
  Loop loop;
  loop.Submit("s", {Sized("a", kGiB)});
  FakeWorker small = Machine("small", {2 * kGiB});
  FakeWorker large = Machine("large", {4 * kGiB});
  large.wanted = 0;
  loop.Send(large);
  const Grant first = loop.Take(small);
  loop.Fail(small, first.id, FailureCause::kOutOfMemory);
  EXPECT_EQ(loop.StateOf("a"), JobState::kQueued);
  EXPECT_EQ(loop.RowOf("a").memory_bytes, 2 * kGiB + 1);
  small.wanted = 1;
  loop.Send(small);
  EXPECT_EQ(loop.StateOf("a"), JobState::kQueued) << "the same slot is too small";
  loop.Restart();  // what was learnt is durable
  EXPECT_EQ(loop.RowOf("a").memory_bytes, 2 * kGiB + 1);
  const Grant second = loop.Take(large);
  loop.Fail(large, second.id, FailureCause::kOutOfMemory);
  EXPECT_EQ(loop.StateOf("a"), JobState::kFailed);
  const auto why = Explain(loop.state(), {1}, loop.now());
  EXPECT_EQ(why.reasons[0].code, ReasonCode::kPermanentFailure);
  EXPECT_THAT(why.reasons[0].message, HasSubstr("slot of 4.00 GiB"));
  EXPECT_THAT(why.reasons[0].message, HasSubstr("smaller train.batch"));
}

TEST(MemoryTest, OutOfMemoryInASlotOfUnknownSizeFailsAtOnce) {
  Loop loop;
  loop.Submit("s", {Sized("a", 0)});
  FakeWorker other = Machine("other", {64 * kGiB});
  other.wanted = 0;
  loop.Send(other);
  FakeWorker worker = Machine("w", {0});
  loop.Fail(worker, loop.Take(worker).id, FailureCause::kOutOfMemory);
  EXPECT_EQ(loop.StateOf("a"), JobState::kFailed);
}

TEST(MemoryTest, AJobThatCrashedHereIsNotLeftToOthersThatAreTooSmall) {
  Loop loop;
  loop.Submit("s", {Sized("a", 8 * kGiB)});
  FakeWorker small = Machine("small", {kGiB});
  loop.Send(small);
  FakeWorker large = Machine("large", {8 * kGiB});
  loop.Fail(large, loop.Take(large).id, FailureCause::kCrashed);
  large.wanted = 1;
  loop.Send(large);
  EXPECT_EQ(loop.StateOf("a"), JobState::kLeased);
}

TEST(MemoryTest, OfSeveralSweepsTheOneThatAsksForMostCountsAndAskingBeatsEstimating) {
  Loop loop;
  const auto submit = [&](const std::string& sweep, int64_t gib, bool hinted) {
    NewJob job = Sized("a", gib * kGiB);
    job.memory_hinted = hinted;
    loop.Submit(sweep, {job});
    return loop.RowOf("a").memory_bytes / kGiB;
  };
  EXPECT_EQ(submit("estimate", 4, false), 4);
  EXPECT_EQ(submit("less", 2, false), 4);
  EXPECT_EQ(submit("says", 1, true), 1);
  EXPECT_EQ(submit("more", 3, true), 3);
  EXPECT_EQ(submit("again", 8, false), 3);
  // The queue follows.
  FakeWorker worker = Machine("w", {3 * kGiB});
  EXPECT_THAT(JobsOf(loop.Exchange(worker), {"a"}), ElementsAre("a@0"));
}

}  // namespace
}  // namespace retort::core
