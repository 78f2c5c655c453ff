// `retort local` with real training: one command, one folder.
#include <gtest/gtest.h>
#include <signal.h>

#include <regex>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "tests/e2e/cluster.h"

namespace retort::e2e {
namespace {

std::string SweepOf(const std::string& students, int epochs) {
  return absl::StrCat(
      "name: s\ndatasets: {d: {path: d.safetensors}}\nsplit: {kfold: 2}\n"
      "teachers: [{resnet1d: 4/4}]\nstudents: [",
      students,
      "]\nmethods: [scratch, {scratch: {sigma: 3}}, hard, soft, dkd, feature]\n"
      "train: {epochs: ",
      epochs, "}\nseeds: [0]\n");
}

class LocalTest : public testing::Test {
 protected:
  void SetUp() override { cluster_.MakeDataset(); }

  Outcome Local(const std::string& yaml) {
    return RunCommand(Command(yaml), cluster_.folder(), absl::Seconds(240));
  }
  std::vector<std::string> Command(const std::string& yaml) {
    return {"retort",
            "local",
            cluster_.Write("sweep.yaml", yaml),
            "--folder",
            cluster_.folder() + "/data",
            "--workers",
            "2",
            "-o",
            "json"};
  }

  Cluster cluster_;
};

TEST_F(LocalTest, RunsEveryMethodAndThenOnlyWhatIsNew) {
  const Outcome first = Local(SweepOf("{mlp: {width: 8, depth: 1}}", 2));
  ASSERT_EQ(first.exit_code, 0) << first.err;
  const auto results = nlohmann::json::parse(first.out);
  ASSERT_EQ(results.size(), 2u + 2 * 6);
  std::set<std::string> jobs, methods;
  for (const auto& row : results) {
    jobs.insert(row["job"]);
    methods.insert(row["method"]);
    EXPECT_EQ(row["state"], "succeeded");
    EXPECT_GT(row["mae_bpm"], 0);
    EXPECT_GT(row["latency_ms"], 0);
    EXPECT_EQ(row["subjects"].size(), 3u) << "half of the six subjects";
  }
  EXPECT_EQ(methods, (std::set<std::string>{"scratch", "scratch(sigma=3)", "hard", "soft", "dkd",
                                            "feature"}));

  const Outcome more =
      Local(SweepOf("{mlp: {width: 8, depth: 1}}, {mlp: {width: 16, depth: 1}}", 2));
  ASSERT_EQ(more.exit_code, 0) << more.err;
  int known = 0;
  for (const auto& row : nlohmann::json::parse(more.out)) {
    EXPECT_EQ(row["attempt"], 1);
    known += jobs.contains(row["job"].get<std::string>());
  }
  EXPECT_EQ(known, 14) << "the jobs of the first run, not run again";
}

TEST_F(LocalTest, AnInterruptedSweepGoesOnWhereItWas) {
  const std::string yaml = SweepOf("{resnet1d: 4/4}", 400);
  {
    Process local(Command(yaml), cluster_.folder(), "local");
    const std::regex some_done(R"([1-9]/14 done)");
    ASSERT_TRUE(Eventually(absl::Seconds(100), [&] {
      return std::regex_search(ReadFile(cluster_.folder() + "/local.err").value_or(""), some_done);
    }));
    local.Signal(SIGINT);
    const auto code = local.Wait(absl::Seconds(60));
    ASSERT_TRUE(code.has_value()) << "did not leave on Ctrl-C";
    EXPECT_EQ(*code, 130);
  }
  const Outcome again = Local(yaml);
  ASSERT_EQ(again.exit_code, 0) << again.err;
  for (const auto& row : nlohmann::json::parse(again.out)) EXPECT_EQ(row["state"], "succeeded");
}

}  // namespace
}  // namespace retort::e2e
