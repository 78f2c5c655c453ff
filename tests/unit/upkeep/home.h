// A coordinator's folder with content, for the tests of this folder.
#ifndef RETORT_TESTS_UNIT_UPKEEP_HOME_H_
#define RETORT_TESTS_UNIT_UPKEEP_HOME_H_

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/clock.h"
#include "common/ids.h"
#include "server/artifacts/artifact_store.h"
#include "server/artifacts/log_store.h"
#include "server/store/sqlite_store.h"
#include "server/upkeep/upkeep.h"
#include "tests/contract/filled.h"

namespace retort {

// A clock that stands still unless it is told.
class FixedClock : public Clock {
 public:
  Now Read() const override { return now; }
  Now now{absl::Hours(100), absl::Now()};
};

// A folder below /tmp that is removed again.
class Home {
 public:
  Home();
  ~Home();

  // Ends the coordinator, so that the folder is free.
  void Close();

  // Stores bytes as an artifact and returns its hash.
  ArtifactHash Put(const std::string& bytes);
  // Makes an artifact, wherever it lies, look as if it was last asked for so long ago.
  void Age(const ArtifactHash& hash, absl::Duration age);
  std::string PathOf(const ArtifactHash& hash) const;

  std::string base;    // a new folder
  std::string folder;  // the coordinator's, in it
  FixedClock clock;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<store::Filled> filled;
  std::unique_ptr<ArtifactStore> artifacts;
  std::unique_ptr<LogStore> logs;
  std::unique_ptr<Upkeep> upkeep;
  ArtifactHash dataset, weights;
};

// Runs SQL on a database file.
void Sql(const std::string& database, const std::string& sql);

}  // namespace retort

#endif  // RETORT_TESTS_UNIT_UPKEEP_HOME_H_
