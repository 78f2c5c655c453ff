#include "tests/unit/upkeep/home.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>

#include "absl/strings/str_cat.h"

namespace retort {

Home::Home() {
  std::string name = "/tmp/retort-upkeep-XXXXXX";
  base = mkdtemp(name.data());
  folder = base + "/home";
  store = *store::OpenSqliteStore(folder);
  filled = std::make_unique<store::Filled>(*store);
  artifacts = *ArtifactStore::Open(folder + "/artifacts");
  logs = std::make_unique<LogStore>(folder + "/logs");
  EXPECT_TRUE(logs->Append(JobId(Sha256Of("a")), 1, 0, "epoch 1\n").ok());
  dataset = Put("dataset");
  weights = Put("weights");
  upkeep = std::make_unique<Upkeep>(folder, *artifacts, clock);
}

Home::~Home() {
  Close();
  std::filesystem::remove_all(base);
}

void Home::Close() {
  upkeep.reset();
  filled.reset();
  store.reset();
}

ArtifactHash Home::Put(const std::string& bytes) {
  const ArtifactHash hash(Sha256Of(bytes));
  auto writer = artifacts->Write(hash, static_cast<int64_t>(bytes.size()), 0);
  EXPECT_TRUE(writer.ok()) << writer.status();
  EXPECT_TRUE((*writer)->Append(bytes).ok());
  EXPECT_TRUE((*writer)->Commit().ok());
  return hash;
}

std::string Home::PathOf(const ArtifactHash& hash) const {
  const std::string hex = hash.hex();
  return absl::StrCat(folder, "/artifacts/", hex.substr(0, 2), "/", hex);
}

void Home::Age(const ArtifactHash& hash, absl::Duration age) {
  const timespec time = absl::ToTimespec(clock.now.wall - age);
  const timespec times[2] = {time, time};
  const std::string trash = folder + "/artifacts/trash/" + hash.hex();
  const std::string partial = folder + "/artifacts/partial/" + hash.hex();
  int changed = 0;
  for (const std::string& path : {PathOf(hash), trash, partial}) {
    changed += utimensat(AT_FDCWD, path.c_str(), times, 0) == 0;
  }
  EXPECT_EQ(changed, 1) << hash.hex();
}

void Sql(const std::string& database, const std::string& sql) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(database.c_str(), &db), SQLITE_OK);
  char* error = nullptr;
  EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, &error), SQLITE_OK) << error;
  sqlite3_close(db);
}

}  // namespace retort
