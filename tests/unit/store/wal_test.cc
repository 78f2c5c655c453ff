// The write-ahead log stays bounded, whatever readers do.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "server/store/sqlite_store.h"
#include "tests/contract/filled.h"

namespace retort::store {
namespace {

class WalTest : public ::testing::Test {
 protected:
  WalTest() {
    std::string name = "/tmp/retort-wal-XXXXXX";
    folder_ = mkdtemp(name.data());
    store_ = *OpenSqliteStore(folder_, {.synchronous = false});
    filled_ = std::make_unique<Filled>(*store_);
  }
  ~WalTest() override {
    filled_.reset();
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  // Commits of about a megabyte each.
  void Write(int megabytes) {
    for (int i = 0; i < megabytes; ++i) {
      auto spec = std::make_shared<v1::SweepSpec>();
      spec->set_description(std::string(1 << 20, 'x'));
      const int64_t key = ++sweeps_;
      const Record record =
          SweepCreated{{key}, {"sweep" + std::to_string(key), 0, 0, 1, {}}, {}, spec};
      ASSERT_TRUE(store_->Commit({&record}).status.ok());
      store_->TidyUp();
      most_ = std::max(most_, WalBytes());
    }
  }
  int64_t WalBytes() const {
    return static_cast<int64_t>(std::filesystem::file_size(folder_ + "/retort.db-wal"));
  }

  std::string folder_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Filled> filled_;
  int64_t sweeps_ = 1;
  int64_t most_ = 0;
};

constexpr int64_t kMegabyte = 1 << 20;

TEST_F(WalTest, StaysSmallWithoutReaders) {
  Write(100);
  EXPECT_LT(most_, 24 * kMegabyte);
}

// Short reads that overlap, so that at every moment one is in the log.
TEST_F(WalTest, StaysBoundedUnderReadersThatAlwaysOverlap) {
  std::atomic<bool> done{false};
  std::atomic<int> reads{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!done) {
        const auto result = store_->reader().Query(
            "SELECT count(*) FROM metrics a, metrics b, metrics c", {},
            [](const std::vector<std::string>&) {},
            [](const std::vector<Cell>&) {
              std::this_thread::sleep_for(std::chrono::milliseconds(5));
              return true;
            });
        EXPECT_TRUE(result.ok()) << result.status();
        ++reads;
      }
    });
  }
  while (reads < 3) std::this_thread::yield();
  Write(200);
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_LT(most_, 160 * kMegabyte);
}

TEST_F(WalTest, ShrinksAgainAfterASlowQuery) {
  std::atomic<bool> begun{false}, done{false};
  std::thread reader([&] {
    const auto result = store_->reader().Query(
        "SELECT * FROM metrics", {}, [](const std::vector<std::string>&) {},
        [&](const std::vector<Cell>&) {
          begun = true;
          while (!done) std::this_thread::sleep_for(std::chrono::milliseconds(1));
          return true;
        });
    EXPECT_TRUE(result.ok()) << result.status();
  });
  while (!begun) std::this_thread::yield();
  Write(200);
  EXPECT_GT(WalBytes(), 190 * kMegabyte) << "the snapshot holds it";
  done = true;
  reader.join();
  Write(40);
  EXPECT_LT(WalBytes(), 66 * kMegabyte);
}

TEST_F(WalTest, AQueryWhoseReceiverIsTooSlowEnds) {
  QueryLimits limits;
  limits.time = absl::Milliseconds(50);
  const auto result = store_->reader().Query(
      "SELECT * FROM metrics", limits, [](const std::vector<std::string>&) {},
      [](const std::vector<Cell>&) {
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        return true;
      });
  EXPECT_EQ(result.status().code(), absl::StatusCode::kDeadlineExceeded) << result.status();
}

}  // namespace
}  // namespace retort::store
