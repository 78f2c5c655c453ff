#include <gtest/gtest.h>

#include <atomic>
#include <deque>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "server/upkeep/tasks.h"
#include "tests/unit/upkeep/home.h"

namespace retort {
namespace {

TEST(CollectTest, TakesWhatNothingRefersToAfterAnHourAndRemovesItAnHourLater) {
  Home home;
  const ArtifactHash old = home.Put("old"), young = home.Put("young");
  home.Age(old, absl::Hours(2));
  home.Age(home.dataset, absl::Hours(2));
  home.Age(home.weights, absl::Hours(2));

  const auto dry = home.upkeep->Collect({.dry_run = true});
  ASSERT_TRUE(dry.ok()) << dry.status();
  EXPECT_EQ(dry->taken, 1);
  EXPECT_EQ(dry->taken_bytes, 3);
  EXPECT_TRUE(std::filesystem::exists(home.PathOf(old)));

  const auto report = home.upkeep->Collect({});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->taken, 1);
  EXPECT_EQ(report->kept, 3);
  EXPECT_EQ(report->pinned, 1) << "young";
  EXPECT_EQ(report->removed, 0);
  EXPECT_FALSE(std::filesystem::exists(home.PathOf(old)));
  EXPECT_EQ(home.upkeep->Collect({})->removed, 0) << "an hour in the trash";

  home.Age(old, absl::Hours(2));
  const auto later = home.upkeep->Collect({});
  ASSERT_TRUE(later.ok()) << later.status();
  EXPECT_EQ(later->removed, 1);
  EXPECT_EQ(later->removed_bytes, 3);
  EXPECT_FALSE(home.artifacts->Has(old));
  EXPECT_TRUE(home.artifacts->Has(young));
  EXPECT_TRUE(home.artifacts->Has(home.dataset));
}

TEST(CollectTest, AskingForAnArtifactPinsIt) {
  Home home;
  const ArtifactHash asked = home.Put("asked"), progress = home.Put("progress"),
                     written = home.Put("written");
  for (const ArtifactHash& hash : {asked, progress, written}) home.Age(hash, absl::Hours(2));
  EXPECT_TRUE(home.artifacts->Has(asked));
  EXPECT_TRUE(home.artifacts->Progress(progress).complete);
  EXPECT_EQ(home.artifacts->Write(written, 7, 0).status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(home.upkeep->Collect({})->taken, 0);
}

TEST(CollectTest, APinSurvivesARestart) {
  Home home;
  const ArtifactHash asked = home.Put("asked");
  home.Age(asked, absl::Hours(2));
  EXPECT_TRUE(home.artifacts->Has(asked));
  const auto again = *ArtifactStore::Open(home.folder + "/artifacts");
  const auto report =
      CollectArtifacts(home.folder + "/retort.db", *again, home.clock.now.wall, {}, {});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->taken, 0);
}

TEST(CollectTest, WhatLiesInTheTrashComesBackWhenAskedFor) {
  Home home;
  const ArtifactHash a = home.Put("aaa"), b = home.Put("bbb"), c = home.Put("ccc");
  for (const ArtifactHash& hash : {a, b, c}) home.Age(hash, absl::Hours(2));
  ASSERT_EQ(home.upkeep->Collect({})->taken, 3);
  EXPECT_TRUE(home.artifacts->Has(a));
  EXPECT_EQ((*home.artifacts->Read(b, 0))->Read(10).value(), "bbb");
  EXPECT_EQ(home.artifacts->SizeOf(c).value(), 3);
  const auto report = home.upkeep->Collect({});
  EXPECT_EQ(report->taken, 0) << "they are pinned again";
  EXPECT_EQ(report->kept, 5);
}

TEST(CollectTest, WhatIsReferredToAfterAllIsPutBack) {
  Home home;
  // As if whoever refers to it had stood still for more than an hour between pin and row.
  std::filesystem::create_directories(home.folder + "/artifacts/trash");
  std::filesystem::rename(home.PathOf(home.weights),
                          home.folder + "/artifacts/trash/" + home.weights.hex());
  home.Age(home.weights, absl::Hours(2));
  const auto report = home.upkeep->Collect({});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->put_back, 1);
  EXPECT_EQ(report->removed, 0);
  EXPECT_TRUE(std::filesystem::exists(home.PathOf(home.weights)));
}

TEST(CollectTest, UploadsThatNobodyGoesOnWithAreRemovedAfterADay) {
  Home home;
  const ArtifactHash left(Sha256Of("left")), fresh(Sha256Of("fresh")), busy(Sha256Of("busy!"));
  auto writer = home.artifacts->Write(busy, 5, 0);
  ASSERT_TRUE((*writer)->Append("bus").ok());
  for (const ArtifactHash& hash : {left, fresh}) {
    ASSERT_TRUE((*home.artifacts->Write(hash, 5, 0))->Append("ab").ok());
  }
  home.Age(left, absl::Hours(25));
  home.Age(busy, absl::Hours(25));
  const auto report = home.upkeep->Collect({});
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(report->partial_removed, 1);
  EXPECT_EQ(report->partial_bytes, 2);
  EXPECT_EQ(home.artifacts->Progress(left).offset, 0);
  EXPECT_EQ(home.artifacts->Progress(fresh).offset, 2);
  ASSERT_TRUE((*writer)->Append("y!").ok());
  EXPECT_TRUE((*writer)->Commit().ok());
}

TEST(CollectTest, NothingIsTakenWithinAnHourOfAClockThatWasSet) {
  Home home;
  home.Age(home.Put("old"), absl::Hours(2));
  home.clock.now.wall += absl::Hours(3);
  EXPECT_EQ(home.upkeep->Collect({}).status().code(), absl::StatusCode::kUnavailable);
  home.clock.now.wall += absl::Minutes(59);
  home.clock.now.monotonic += absl::Minutes(59);
  EXPECT_EQ(home.upkeep->Collect({}).status().code(), absl::StatusCode::kUnavailable);
  home.clock.now.wall += absl::Minutes(2);
  home.clock.now.monotonic += absl::Minutes(2);
  EXPECT_TRUE(home.upkeep->Collect({}).ok());
}

// Writers pin old artifacts and then refer to them, while others collect all the time with a clock
// that runs an hour ahead for what is old: whatever was referred to stays.
TEST(CollectTest, NothingThatWasPinnedBeforeItWasReferredToIsEverTaken) {
  Home home;
  constexpr int kArtifacts = 100;
  std::vector<ArtifactHash> hashes;
  for (int i = 0; i < kArtifacts; ++i) {
    hashes.push_back(home.Put("artifact " + std::to_string(i)));
    home.Age(hashes.back(), absl::Hours(2));
  }
  std::atomic<bool> done{false};
  std::thread collector([&] {
    while (!done) {
      const auto report =
          CollectArtifacts(home.folder + "/retort.db", *home.artifacts, absl::Now(), {}, {});
      EXPECT_TRUE(report.ok()) << report.status();
    }
  });
  // One reference a commit, as results of jobs whose keys nobody else uses: raw SQL on a connection
  // of its own stands in for the strand.
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((home.folder + "/retort.db").c_str(), &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 5000);
  sqlite3_exec(db, "PRAGMA foreign_keys=OFF; PRAGMA synchronous=OFF", nullptr, nullptr, nullptr);
  std::vector<ArtifactHash> referred;
  std::mt19937 random(7);
  for (int i = 0; i < kArtifacts; ++i) {
    // Some are in the trash by now, some are just being taken.
    if (!home.artifacts->Has(hashes[i])) continue;
    if (random() % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 2000));
    const std::string sql =
        absl::StrCat("INSERT INTO result_rows (job, attempt, weights, weights_size) VALUES (",
                     1000 + i, ", 1, x'", hashes[i].hex(), "', 1)");
    ASSERT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(db);
    referred.push_back(hashes[i]);
    // What was referred to is old at once: only the reference protects it now. The file may not be
    // in the trash.
    EXPECT_TRUE(std::filesystem::exists(home.PathOf(hashes[i])));
    home.Age(hashes[i], absl::Hours(2));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  done = true;
  collector.join();
  sqlite3_close(db);
  EXPECT_EQ(referred.size(), hashes.size()) << "nothing was an hour in the trash";
  for (const ArtifactHash& hash : referred) {
    EXPECT_TRUE(std::filesystem::exists(home.PathOf(hash))) << hash.hex();
  }
}

TEST(CollectTest, OneCollectionAtATimeAndNoneBesideABackup) {
  Home home;
  std::atomic<bool> asked{false};
  UpkeepWatch watch;
  watch.progress = [&](const UpkeepProgress&) {
    if (asked.exchange(true)) return;
    EXPECT_EQ(home.upkeep->Collect({}).status().code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(home.upkeep->Backup(home.base + "/second").status().code(),
              absl::StatusCode::kResourceExhausted);
    EXPECT_TRUE(home.upkeep->Check({.quick = true}).ok()) << "checks and backups go together";
  };
  ASSERT_TRUE(home.upkeep->Backup(home.base + "/first", watch).ok());
  EXPECT_TRUE(asked);
  EXPECT_TRUE(home.upkeep->Collect({}).ok());
}

}  // namespace
}  // namespace retort
