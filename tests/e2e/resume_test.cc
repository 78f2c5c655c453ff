// Real training whose worker is killed again and again ends with the bits of an undisturbed run.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "common/files.h"
#include "tests/e2e/cluster.h"

namespace retort::e2e {
namespace {

constexpr char kSweep[] =
    "name: s\ndatasets: {d: {path: d.safetensors}}\nsplit: {kfold: 2, folds: [0]}\n"
    "teachers: [{resnet1d: 8/4}]\nstudents: [{resnet1d: 4/4}]\n"
    "methods: [scratch, hard, soft, dkd, feature]\ntrain: {epochs: 250, batch: 32, keep: best}\n"
    "seeds: [0]\ncheckpoint_every: 0.1s\n";

// The rows of both, by what they are about; the first few that differ are said.
void ExpectSameRows(Cluster& a, Cluster& b, const std::string& sql) {
  const nlohmann::json rows = a.Json({"query", sql}), others = b.Json({"query", sql});
  EXPECT_FALSE(rows.empty());
  ASSERT_EQ(rows.size(), others.size()) << sql;
  int said = 0;
  for (size_t i = 0; i < rows.size() && said < 3; ++i) {
    if (rows[i] == others[i]) continue;
    ++said;
    ADD_FAILURE() << "undisturbed: " << rows[i] << "\nstruck: " << others[i];
  }
}

int LogsThatSay(const Cluster& cluster, const char* words) {
  int found = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(cluster.server_folder() + "/logs")) {
    if (!entry.is_regular_file()) continue;
    found += absl::StrContains(ReadFile(entry.path().string()).value_or(""), words);
  }
  return found;
}

class ResumeTest : public testing::Test {
 protected:
  static void Start(Cluster& cluster) {
    cluster.set_runner("retort-runner");
    cluster.StartServer();
    cluster.MakeDataset();
  }
  static void Submit(Cluster& cluster) {
    const Outcome outcome =
        cluster.Cli({"sweep", "submit", cluster.Write("sweep.yaml", kSweep)}, absl::Seconds(60));
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  static int Wait(Cluster& cluster, const char* limit) {
    return cluster.Cli({"sweep", "wait", "s", "--timeout", limit}, absl::Seconds(300)).exit_code;
  }
};

TEST_F(ResumeTest, EndsWithTheBitsOfAnUndisturbedRun) {
  Cluster quiet;
  Start(quiet);
  Submit(quiet);
  {
    auto worker = quiet.StartWorker("w", 2, 0);
    ASSERT_EQ(Wait(quiet, "200s"), 0);
  }
  Cluster struck;
  Start(struck);
  Submit(struck);
  int kills = 0;
  for (int code = 5; code == 5; ++kills) {
    ASSERT_LT(kills, 100) << "does not advance";
    auto worker = struck.StartWorker("w", 2, 0);
    code = Wait(struck, kills < 12 ? "2s" : "60s");
    worker->Signal(SIGKILL);
    worker->Wait(absl::Seconds(10));
    ASSERT_TRUE(code == 0 || code == 5) << code;
  }
  // All but times.
  ExpectSameRows(quiet, struck,
                 "SELECT job, method, weights, mae_bpm, val_mae_bpm, cross_entropy, kept_epoch, "
                 "epochs, mixed, numeric_fingerprint FROM results ORDER BY job");
  ExpectSameRows(quiet, struck,
                 "SELECT job, series, step, value FROM metrics WHERE series <> "
                 "'train.samples_per_s' ORDER BY job, series, step");
  EXPECT_GT(LogsThatSay(struck, "goes on from epoch"), 2);
  EXPECT_EQ(LogsThatSay(struck, "begins again"), 0);
}

}  // namespace
}  // namespace retort::e2e
