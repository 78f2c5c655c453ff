// The expander at times that the test sets.
#include "server/expander.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "server/store/memory_store.h"

namespace retort {
namespace {

std::shared_ptr<const v1::SweepSpec> SweepOf(int jobs) {
  auto spec = std::make_shared<v1::SweepSpec>();
  spec->set_name("one");
  spec->add_datasets()->set_name("lab");
  v1::DatasetInfo* info = spec->mutable_datasets(0)->mutable_info();
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
  for (int i = 0; i < jobs; ++i) spec->add_seeds(i);
  return spec;
}

class ExpanderTest : public testing::Test {
 protected:
  struct Posted {
    core::Input input;
    Expander::Then then;
  };

  void Begin(int jobs) {
    expander_.Create("request", SweepOf(jobs),
                     [&](absl::StatusOr<Answer> answer) { answer_ = std::move(answer); });
    expander_.Work(now_);
    ASSERT_EQ(posted_.size(), 1u);
    core::SweepReply begun;
    begun.sweep = {1};
    begun.expand = true;
    Reply(begun);
  }
  // Does all that the expander wants to do now; gives the first positions of what is under way.
  std::vector<int64_t> UnderWay() {
    while (expander_.NextWake() <= now_.monotonic) expander_.Work(now_);
    std::vector<int64_t> firsts;
    for (const Posted& posted : posted_) firsts.push_back(ChunkOf(posted).first_position);
    return firsts;
  }
  static const core::SweepChunk& ChunkOf(const Posted& posted) {
    return std::get<core::SweepChunk>(posted.input);
  }
  // To what was posted first.
  void Reply(absl::StatusOr<Answer> answer) {
    const Posted first = std::move(posted_.front());
    posted_.pop_front();
    first.then(std::move(answer), now_);
  }
  // Sizes of the chunks of a sweep, of which each job takes so long to store.
  std::vector<size_t> Chunks(int jobs, absl::Duration each) {
    Begin(jobs);
    std::vector<size_t> sizes;
    while (!UnderWay().empty()) {
      sizes.push_back(ChunkOf(posted_.front()).jobs->size());
      now_.monotonic += each * static_cast<double>(sizes.back());
      Reply(core::SweepReply{});
    }
    EXPECT_TRUE(answer_.has_value() && answer_->ok());
    return sizes;
  }

  const std::unique_ptr<store::Store> store_ = store::NewMemoryStore();
  Now now_{absl::Seconds(1), absl::UnixEpoch()};
  std::deque<Posted> posted_;
  Expander expander_{store_->reader(),
                     {.chunk_jobs = 100,
                      .chunk_time = absl::Milliseconds(60),
                      .first_backoff = absl::Milliseconds(100)},
                     [this](core::Input input, Expander::Then then) {
                       posted_.push_back({std::move(input), std::move(then)});
                     }};
  std::optional<absl::StatusOr<Answer>> answer_;
};

TEST_F(ExpanderTest, ChunksGrowWhileTheyAreStoredQuickly) {
  EXPECT_THAT(Chunks(475, absl::Microseconds(10)),
              testing::ElementsAre(25, 25, 50, 50, 100, 100, 100, 25));
}

TEST_F(ExpanderTest, ChunksShrinkToWhatIsStoredInTime) {
  EXPECT_THAT(Chunks(100, absl::Milliseconds(6)), testing::ElementsAre(25, 25, 12, 12, 10, 10, 6));
}

TEST_F(ExpanderTest, ChunksNeverBecomeSoSmallThatTheSweepWouldNotEnd) {
  EXPECT_THAT(Chunks(30, absl::Seconds(10)), testing::ElementsAre(25, 5));
}

TEST_F(ExpanderTest, TheLeastChunkIsAFiftiethOfTheLargest) {
  EXPECT_EQ(Chunks(200, absl::Seconds(10)).back(), 2u);
}

TEST_F(ExpanderTest, OneChunkIsDecidedOnWhileAnotherIsCommitted) {
  Begin(200);
  EXPECT_THAT(UnderWay(), testing::ElementsAre(0, 25));
  Reply(core::SweepReply{});
  EXPECT_THAT(UnderWay(), testing::ElementsAre(25, 50));
}

TEST_F(ExpanderTest, WhatFailsTogetherIsSentAgainInOrderWhenAllIsAnswered) {
  Begin(200);
  ASSERT_THAT(UnderWay(), testing::ElementsAre(0, 25));
  Reply(absl::UnavailableError("overloaded"));
  now_.monotonic += absl::Seconds(1);
  EXPECT_THAT(UnderWay(), testing::ElementsAre(25)) << "the second may still go through or not";
  Reply(absl::UnavailableError("does not follow"));
  EXPECT_THAT(UnderWay(), testing::ElementsAre(0, 25));
  Reply(core::SweepReply{});
  EXPECT_THAT(UnderWay(), testing::ElementsAre(25, 50));
}

TEST_F(ExpanderTest, AChunkThatIsDurableMeansThatThoseBeforeItAre) {
  Begin(50);
  ASSERT_THAT(UnderWay(), testing::ElementsAre(0, 25));
  const Posted first = std::move(posted_.front());
  posted_.pop_front();
  Reply(core::SweepReply{});
  EXPECT_TRUE(answer_.has_value() && answer_->ok()) << "the sweep is whole";
  first.then(absl::UnavailableError("lost on the way"), now_);
  EXPECT_THAT(UnderWay(), testing::IsEmpty());
}

TEST_F(ExpanderTest, WhoSubmittedHearsWhyChunksFailAndTheyAreSentOn) {
  Begin(50);
  for (int i = 0; i < 40 && !answer_.has_value(); ++i) {
    UnderWay();
    while (!posted_.empty()) Reply(absl::ResourceExhaustedError("disk full"));
    now_.monotonic += absl::Milliseconds(500);
  }
  ASSERT_TRUE(answer_.has_value());
  EXPECT_TRUE(absl::IsResourceExhausted(answer_->status())) << answer_->status();
  now_.monotonic += absl::Seconds(10);
  EXPECT_THAT(UnderWay(), testing::ElementsAre(0, 25));
}

}  // namespace
}  // namespace retort
