#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/upkeep/home.h"

namespace retort {
namespace {

using ::testing::HasSubstr;

// Overwrites bytes of a file.
void Poke(const std::string& path, int64_t offset, const std::string& bytes) {
  chmod(path.c_str(), 0644);
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(offset);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

CheckReport Checked(Home& home, bool quick = false) {
  auto report = home.upkeep->Check({.quick = quick});
  EXPECT_TRUE(report.ok()) << report.status();
  return report.ok() ? *std::move(report) : CheckReport();
}

TEST(CheckTest, AllIsWell) {
  Home home;
  home.Put("nothing refers to this");
  const CheckReport report = Checked(home);
  EXPECT_EQ(report.all_findings, 0) << report.findings[0].message;
  EXPECT_EQ(report.facts.jobs, 3);
  EXPECT_EQ(report.artifacts, 2);
  EXPECT_EQ(report.bytes_read, 14);
  EXPECT_EQ(report.unreferenced, 1);
}

TEST(CheckTest, ArtifactsThatAreMissingDamagedOrCut) {
  Home home;
  Poke(home.PathOf(home.dataset), 0, "D");
  std::filesystem::remove(home.PathOf(home.weights));
  EXPECT_EQ(Checked(home, true).errors, 1) << "a quick check does not read";
  const CheckReport report = Checked(home);
  ASSERT_EQ(report.errors, 2);
  for (const Finding& finding : report.findings) {
    const bool damaged = finding.subject == home.dataset.hex();
    EXPECT_EQ(finding.code,
              damaged ? FindingCode::kArtifactDamaged : FindingCode::kArtifactMissing);
    EXPECT_EQ(finding.subject, (damaged ? home.dataset : home.weights).hex());
  }
  std::filesystem::resize_file(home.PathOf(home.dataset), 3);
  EXPECT_EQ(Checked(home, true).errors, 2) << "sizes are seen";
}

TEST(CheckTest, FilesThatDoNotBelongThereAreWarnings) {
  Home home;
  std::ofstream(home.folder + "/artifacts/00-notes.txt") << "hello";
  std::filesystem::create_directories(home.folder + "/artifacts/damaged");
  std::ofstream(home.folder + "/artifacts/damaged/" + home.weights.hex()) << "hello";
  const CheckReport report = Checked(home);
  EXPECT_EQ(report.all_findings, 2);
  EXPECT_EQ(report.errors, 0);
}

struct Breakage {
  const char* sql;
  FindingCode code;
  const char* says;
};

void PrintTo(const Breakage& value, std::ostream* out) { *out << value.sql; }

class CheckRowsTest : public ::testing::TestWithParam<Breakage> {};

TEST_P(CheckRowsTest, FindsRowsThatContradictEachOther) {
  Home home;
  Sql(home.folder + "/retort.db", GetParam().sql);
  const CheckReport report = Checked(home);
  ASSERT_GE(report.errors, 1) << GetParam().sql;
  EXPECT_EQ(report.findings[0].code, GetParam().code) << report.findings[0].message;
  EXPECT_THAT(report.findings[0].message, HasSubstr(GetParam().says));
}

constexpr FindingCode kRows = FindingCode::kRowsInconsistent;
constexpr FindingCode kDamaged = FindingCode::kDatabaseDamaged;
const Breakage kBreakages[] = {
    Breakage{"DELETE FROM point_rows WHERE job=1 AND step=2", kRows, "2 metric points"},
    Breakage{"UPDATE latest_points SET step=1 WHERE job=2 AND step=4", kRows, "latest value"},
    Breakage{"UPDATE sweep_rows SET queued=7", kRows, "counts are wrong"},
    Breakage{"UPDATE job_states SET state=9 WHERE job=3", kDamaged, "mean nothing"},
    Breakage{"UPDATE job_states SET state=5 WHERE job=3", kRows, "result and state differ"},
    Breakage{"UPDATE job_states SET worker=NULL WHERE job=2", kDamaged, "mean nothing"},
    Breakage{"UPDATE attempt_rows SET end_ms=0", kRows, "attempts have not ended"},
    Breakage{"INSERT INTO attempt_rows SELECT 2, number, worker, lease_ms, start_ms, end_ms, "
             "device_s, cause, message FROM attempt_rows WHERE job=1",
             kRows, "whose job is leased"},
    Breakage{"DELETE FROM attempt_rows WHERE job=1", kRows, "attempt that is not there"},
    Breakage{"UPDATE attempt_rows SET number=8 WHERE job=1", kRows, "newer than the latest"},
    Breakage{"UPDATE attempt_rows SET cause=3 WHERE job=1", kRows, "did not succeed"},
    Breakage{"UPDATE job_rows SET id=(SELECT id FROM job_rows WHERE key=1) WHERE key=3", kRows,
             "id of another"},
    Breakage{"DELETE FROM job_specs WHERE key=3", kRows, "jobs have no spec"},
    Breakage{"DELETE FROM job_states WHERE job=3", kDamaged, "rows are missing"},
    Breakage{"DELETE FROM sweep_specs", kRows, "sweeps have no spec"},
    Breakage{"UPDATE result_messages SET result=x'ff'", kDamaged, "not readable"},
    Breakage{"DELETE FROM result_messages", kRows, "results lack their message"},
    Breakage{"DELETE FROM worker_rows", kDamaged, "refers to a row of worker_rows"},
    Breakage{"DELETE FROM job_specs WHERE key=3; DELETE FROM members WHERE job=3; "
             "DELETE FROM job_states WHERE job=3; "
             "UPDATE job_rows SET key=9 WHERE key=3",
             kDamaged, "rows are missing"}};
INSTANTIATE_TEST_SUITE_P(All, CheckRowsTest, ::testing::ValuesIn(kBreakages));

TEST(CheckTest, DamagedPagesAreFoundAndNothingCrashes) {
  for (const int64_t page : {1, 2, 5, 10, 12}) {
    Home home;
    home.Close();
    const std::string path = home.folder + "/retort.db";
    Sql(path, "PRAGMA wal_checkpoint(TRUNCATE)");
    Poke(path, (page - 1) * 8192 + (page == 1 ? 100 : 0), std::string(2000, '\xee'));
    const auto report = CheckFolder(home.folder, {});
    ASSERT_TRUE(report.ok()) << report.status();
    ASSERT_GE(report->errors, 1) << "page " << page;
    EXPECT_EQ(report->findings[0].code, kDamaged) << report->findings[0].message;
    EXPECT_THAT(report->findings[0].message, HasSubstr("restore"));
  }
}

TEST(CheckTest, AFolderThatIsInUseIsCheckedByItsCoordinator) {
  Home home;
  const auto report = CheckFolder(home.folder, {});
  EXPECT_EQ(report.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(report.status().message()), HasSubstr("used by another coordinator"));
  home.Close();
  EXPECT_EQ(CheckFolder(home.folder, {})->all_findings, 0);
  EXPECT_EQ(CheckFolder(home.base, {}).status().code(), absl::StatusCode::kNotFound);
}

TEST(CheckTest, CanBeCancelled) {
  Home home;
  UpkeepWatch watch;
  watch.cancelled = [] { return true; };
  EXPECT_EQ(home.upkeep->Check({}, watch).status().code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace retort
