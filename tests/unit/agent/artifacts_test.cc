#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>

#include "absl/time/clock.h"
#include "common/hash.h"
#include "worker/agent/artifact_cache.h"
#include "worker/agent/artifact_mover.h"

namespace retort {
namespace {

const AttemptKey kKey{std::string(64, 'a'), 1};
const AttemptKey kOther{std::string(64, 'b'), 1};

ArtifactHash HashOf(const std::string& bytes) { return ArtifactHash(Sha256Of(bytes)); }

void Write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::string Read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Holds artifacts in memory.
class FakeRemote : public ArtifactRemote {
 public:
  std::map<std::string, std::string> held;
  std::atomic<int> downloads = 0;
  std::atomic<int> damaged = 0;       // that many downloads give other bytes
  std::atomic<int> break_after = -1;  // the next download ends with an error after that many bytes
  std::atomic<int> uploads = 0;
  std::atomic<int> refused = 0;  // that many uploads find no room

  absl::Status Download(const v1::ArtifactRef& artifact, const std::string& path) override {
    ++downloads;
    absl::SleepFor(absl::Milliseconds(30));  // so that concurrent fetches do meet
    const auto it = held.find(artifact.sha256());
    if (it == held.end()) return absl::NotFoundError("no artifact " + artifact.sha256());
    std::string bytes = it->second;
    if (damaged > 0) {
      --damaged;
      bytes[0] ^= 1;
    }
    const std::string have = Read(path);
    const int stop = break_after.exchange(-1);
    Write(path, have + bytes.substr(have.size(),
                                    stop < 0 ? std::string::npos : static_cast<size_t>(stop)));
    return stop < 0 ? absl::OkStatus() : absl::UnavailableError("broken");
  }
  absl::Status Upload(const v1::ArtifactRef& artifact, const std::string& path) override {
    ++uploads;
    if (refused > 0) {
      --refused;
      return absl::ResourceExhaustedError("uploads of others take all the room there is");
    }
    held[artifact.sha256()] = Read(path);
    return absl::OkStatus();
  }
};

class ArtifactsTest : public ::testing::Test {
 protected:
  ArtifactsTest() {
    char folder[] = "/tmp/retort-artifacts-XXXXXX";
    folder_ = mkdtemp(folder);
    cache_ = MakeCache(1 << 20);
  }
  ~ArtifactsTest() override {
    mover_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::unique_ptr<ArtifactCache> MakeCache(int64_t most_bytes) {
    auto cache = ArtifactCache::Create(folder_ + "/cache", most_bytes);
    EXPECT_TRUE(cache.ok()) << cache.status();
    return *std::move(cache);
  }
  void Put(const std::string& bytes) {
    Write(folder_ + "/new", bytes);
    ASSERT_TRUE(cache_->Adopt(HashOf(bytes), folder_ + "/new").ok());
  }
  void StartMover() {
    ArtifactMover::Answers answers;
    answers.inputs = [this](const AttemptKey& key, absl::StatusOr<InputPaths> paths) {
      std::lock_guard lock(mutex_);
      inputs_.emplace_back(key, std::move(paths));
      changed_.notify_all();
    };
    answers.published = [this](const AttemptKey&, absl::StatusOr<v1::ArtifactRef> weights) {
      std::lock_guard lock(mutex_);
      published_.push_back(std::move(weights));
      changed_.notify_all();
    };
    mover_ = std::make_unique<ArtifactMover>(*cache_, remote_, 3, answers);
  }
  v1::ArtifactRef Remote(const std::string& bytes) {
    v1::ArtifactRef ref;
    ref.set_sha256(HashOf(bytes).hex());
    ref.set_size_bytes(static_cast<int64_t>(bytes.size()));
    remote_.held[ref.sha256()] = bytes;
    return ref;
  }
  void WaitForInputs(size_t count) {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(10), [&] { return inputs_.size() >= count; }));
  }

  std::string folder_;
  std::unique_ptr<ArtifactCache> cache_;
  FakeRemote remote_;
  std::unique_ptr<ArtifactMover> mover_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::pair<AttemptKey, absl::StatusOr<InputPaths>>> inputs_;
  std::vector<absl::StatusOr<v1::ArtifactRef>> published_;
};

TEST_F(ArtifactsTest, KeepsAcrossStarts) {
  Put("hello");
  cache_ = MakeCache(1 << 20);
  const auto path = cache_->Keep(HashOf("hello"));
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(Read(*path), "hello");
  EXPECT_EQ(cache_->bytes(), 5);
}

TEST_F(ArtifactsTest, FileDamagedWhileTheWorkerWasAwayIsNotAtHand) {
  Put("hello");
  Write(folder_ + "/cache/" + HashOf("hello").hex(), "hellp");
  cache_ = MakeCache(1 << 20);
  EXPECT_EQ(cache_->Keep(HashOf("hello")).status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/cache/" + HashOf("hello").hex()));
  EXPECT_EQ(cache_->bytes(), 0);
}

TEST_F(ArtifactsTest, FileDamagedWhileTheWorkerRunsIsNotAtHand) {
  Put("hello");
  ASSERT_TRUE(cache_->Keep(HashOf("hello")).ok());
  absl::SleepFor(absl::Milliseconds(20));  // another time of modification
  Write(folder_ + "/cache/" + HashOf("hello").hex(), "hellp");
  EXPECT_EQ(cache_->Keep(HashOf("hello")).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ArtifactsTest, WrongBytesAreNotAdopted) {
  Write(folder_ + "/new", "other");
  EXPECT_EQ(cache_->Adopt(HashOf("hello"), folder_ + "/new").code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/new"));
  EXPECT_FALSE(cache_->Keep(HashOf("hello")).ok());
}

TEST_F(ArtifactsTest, EvictsWhatWasUsedLongestAgoButNothingThatIsKept) {
  cache_ = MakeCache(25);
  const std::string a(10, 'a'), b(10, 'b'), c(10, 'c'), d(10, 'd');
  Put(a);
  Put(b);
  ASSERT_TRUE(cache_->Keep(HashOf(a)).ok());
  cache_->Release(HashOf(a));  // now b is the oldest
  Put(c);
  EXPECT_THAT(cache_->Held(9), ::testing::ElementsAre(HashOf(c).hex(), HashOf(a).hex()));
  ASSERT_TRUE(cache_->Keep(HashOf(a)).ok());
  Put(d);
  EXPECT_THAT(cache_->Held(9), ::testing::ElementsAre(HashOf(d).hex(), HashOf(a).hex()));
  EXPECT_EQ(cache_->bytes(), 20);
}

TEST_F(ArtifactsTest, ConcurrentNeedsDownloadOnce) {
  StartMover();
  const v1::ArtifactRef ref = Remote("dataset");
  mover_->Fetch(kKey, {ref});
  mover_->Fetch(kOther, {ref});
  WaitForInputs(2);
  EXPECT_EQ(remote_.downloads, 1);
  for (const auto& [key, paths] : inputs_) {
    ASSERT_TRUE(paths.ok()) << paths.status();
    EXPECT_EQ(Read(paths->at(ref.sha256())), "dataset");
  }
}

TEST_F(ArtifactsTest, DamagedDownloadIsFetchedOnceMoreAndThenReported) {
  StartMover();
  const v1::ArtifactRef ref = Remote("dataset");
  remote_.damaged = 1;
  mover_->Fetch(kKey, {ref});
  WaitForInputs(1);
  EXPECT_TRUE(inputs_[0].second.ok()) << inputs_[0].second.status();
  EXPECT_EQ(remote_.downloads, 2);
  const v1::ArtifactRef other = Remote("another dataset");
  remote_.damaged = 2;
  mover_->Fetch(kKey, {other});
  WaitForInputs(2);
  EXPECT_EQ(inputs_[1].second.status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ArtifactsTest, BrokenDownloadGoesOnWhereItEnded) {
  StartMover();
  const v1::ArtifactRef ref = Remote("dataset");
  remote_.break_after = 3;
  mover_->Fetch(kKey, {ref});
  WaitForInputs(1);
  EXPECT_EQ(inputs_[0].second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(Read(folder_ + "/cache/" + ref.sha256() + ".part"), "dat");
  mover_->Fetch(kKey, {ref});
  WaitForInputs(2);
  EXPECT_TRUE(inputs_[1].second.ok()) << inputs_[1].second.status();
}

TEST_F(ArtifactsTest, MissingArtifactIsNotFound) {
  StartMover();
  v1::ArtifactRef ref;
  ref.set_sha256(HashOf("nowhere").hex());
  mover_->Fetch(kKey, {ref});
  WaitForInputs(1);
  EXPECT_EQ(inputs_[0].second.status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ArtifactsTest, PublishedWeightsAreUploadedAndAtHand) {
  StartMover();
  Write(folder_ + "/weights", "weights");
  mover_->Publish(kKey, folder_ + "/weights");
  mover_->Publish(kKey, folder_ + "/none");
  {
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(
        changed_.wait_for(lock, std::chrono::seconds(10), [&] { return published_.size() == 2; }));
  }
  if (!published_[0].ok()) std::swap(published_[0], published_[1]);
  ASSERT_TRUE(published_[0].ok()) << published_[0].status();
  EXPECT_EQ(published_[0]->sha256(), HashOf("weights").hex());
  EXPECT_EQ(published_[0]->size_bytes(), 7);
  EXPECT_EQ(published_[1].status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(remote_.held.at(HashOf("weights").hex()), "weights");
  EXPECT_TRUE(cache_->Keep(HashOf("weights")).ok());
}

TEST_F(ArtifactsTest, WeightsForWhichThereWasNoRoomAreThereForTheNextTry) {
  StartMover();
  Write(folder_ + "/weights", "weights");
  remote_.refused = 2;
  for (size_t count = 1; count <= 3; ++count) {
    mover_->Publish(kKey, folder_ + "/weights");
    std::unique_lock lock(mutex_);
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(10),
                                  [&] { return published_.size() == count; }));
  }
  EXPECT_EQ(published_[0].status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(published_[1].status().code(), absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(published_[2].ok()) << published_[2].status();
  EXPECT_EQ(remote_.held.at(HashOf("weights").hex()), "weights");
}

TEST_F(ArtifactsTest, WeightsAtHandArePublishedAgain) {
  StartMover();
  Put("weights");
  const v1::ArtifactRef weights = Remote("weights");
  const v1::ArtifactRef gone = Remote("gone");
  remote_.held.clear();
  for (const v1::ArtifactRef& ref : {weights, gone}) {
    mover_->PublishHeld(kKey, ref);
    std::unique_lock lock(mutex_);
    const size_t count = ref.sha256() == weights.sha256() ? 1 : 2;
    ASSERT_TRUE(changed_.wait_for(lock, std::chrono::seconds(10),
                                  [&] { return published_.size() == count; }));
  }
  ASSERT_TRUE(published_[0].ok()) << published_[0].status();
  EXPECT_EQ(published_[0]->sha256(), weights.sha256());
  EXPECT_EQ(remote_.held.at(weights.sha256()), "weights");
  EXPECT_EQ(published_[1].status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace retort
