// Whether the benchmarks run, count right and print well-formed rows. Says nothing of time.
#include <gtest/gtest.h>

#include <cstdio>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace retort {
namespace {

// Names of the rows that a run prints; checks their form.
std::set<std::string> RowsOf(const std::string& arguments) {
  const std::string command = RETORT_BINARY_DIR "/bin/retort_bench " + arguments;
  FILE* pipe = popen(command.c_str(), "r");
  std::set<std::string> names;
  char line[16384];
  while (pipe != nullptr && fgets(line, sizeof line, pipe) != nullptr) {
    const auto row = nlohmann::json::parse(line, nullptr, false);
    EXPECT_TRUE(row.is_object()) << line;
    if (!row.is_object()) continue;
    EXPECT_TRUE(row["value"].is_number()) << line;
    EXPECT_TRUE(row["unit"].is_string()) << line;
    EXPECT_EQ(row["target"].is_null(), row["met"].is_null()) << line;
    EXPECT_FALSE(row["settings"].empty()) << line;
    EXPECT_GE(row["machine"]["cores"].get<int>(), 1) << line;
    names.insert(row["name"].get<std::string>());
  }
  EXPECT_EQ(pclose(pipe), 0) << command << ": nothing may be lost";
  return names;
}

using Names = std::set<std::string>;

TEST(Bench, ThroughputCountsEveryJob) {
  EXPECT_EQ(RowsOf("throughput --jobs 200 --workers 3"), Names{"throughput"});
  EXPECT_EQ(RowsOf("throughput --jobs 50 --workers 3 --slots 1"), Names{"throughput_1_slot"});
}

TEST(Bench, PointsAreAllThere) {
  EXPECT_EQ(RowsOf("points --points 4000 --streams 2 --batch 100"), Names{"metric_points"});
}

TEST(Bench, LatencyOfAFewJobs) {
  EXPECT_EQ(RowsOf("latency --samples 5"), (Names{"submit_to_grant_p99", "submit_answered_p99"}));
}

TEST(Bench, LargeSweepSurvivesItsRestarts) {
  EXPECT_EQ(RowsOf("million --jobs 2000 --edge 200"),
            (Names{"million_submit", "million_longest_sync", "million_first_page",
                   "million_first_page_failed", "million_counts", "million_restart",
                   "million_last_to_first", "million_memory"}));
}

TEST(Bench, ReadsFindWhatWasWritten) {
  EXPECT_EQ(RowsOf("reads --sweeps 3 --jobs 50 --steps 20 --long-series 5000"),
            (Names{"reads_results_of_a_sweep", "reads_metrics_of_a_job",
                   "reads_long_series_thinned", "reads_query_over_all_results",
                   "reads_query_of_a_jobs_metrics", "reads_sync_beside_them_p99"}));
}

TEST(Bench, FleetKeepsItsJobs) {
  EXPECT_EQ(RowsOf("fleet --workers 20 --connections 4 --seconds 1"), Names{"fleet_cpu_share"});
}

}  // namespace
}  // namespace retort
