// The expander at times that the test sets.
#include "server/expander.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

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
  // Sizes of the chunks of a sweep, of which each job takes so long to store.
  std::vector<size_t> Chunks(int jobs, absl::Duration each) {
    std::optional<core::Input> posted;
    Expander::Id of = 0;
    Expander expander(store_->reader(), {.chunk_jobs = 100, .chunk_time = absl::Milliseconds(60)},
                      [&](Expander::Id id, core::Input input) {
                        of = id;
                        posted = std::move(input);
                      });
    bool done = false;
    expander.Create("request", SweepOf(jobs), [&](const absl::StatusOr<Answer>& answer) {
      EXPECT_TRUE(answer.ok()) << answer.status();
      done = true;
    });
    std::vector<size_t> sizes;
    Now now{absl::Seconds(1), absl::UnixEpoch()};
    while (!done) {
      expander.Work(now);
      if (!posted) break;
      core::SweepReply reply;
      reply.sweep = {1};
      reply.expand = true;
      if (const auto* chunk = std::get_if<core::SweepChunk>(&*posted)) {
        now.monotonic += each * static_cast<double>(chunk->jobs->size());
        sizes.push_back(chunk->jobs->size());
      }
      posted.reset();
      expander.Answered(of, Answer(reply), now);
    }
    EXPECT_TRUE(done);
    return sizes;
  }

  std::unique_ptr<store::Store> store_ = store::NewMemoryStore();
};

TEST_F(ExpanderTest, ChunksGrowWhileTheyAreStoredQuickly) {
  EXPECT_THAT(Chunks(475, absl::Microseconds(10)),
              testing::ElementsAre(25, 50, 100, 100, 100, 100));
}

TEST_F(ExpanderTest, ChunksShrinkToWhatIsStoredInTime) {
  EXPECT_THAT(Chunks(100, absl::Milliseconds(6)),
              testing::ElementsAre(25, 12, 10, 10, 10, 10, 10, 10, 3));
}

TEST_F(ExpanderTest, ChunksNeverBecomeSoSmallThatTheSweepWouldNotEnd) {
  EXPECT_THAT(Chunks(30, absl::Seconds(10)), testing::ElementsAre(25, 5));
  EXPECT_EQ(Chunks(200, absl::Seconds(10)).back(), 2u);
}

}  // namespace
}  // namespace retort
