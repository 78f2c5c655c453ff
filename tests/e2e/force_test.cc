// A sweep under force ends with the results and the series of one that nobody disturbed.
//
// RETORT_FORCE_SECONDS (25) says for how long processes are struck, RETORT_FORCE_SEED (1) when and
// whom. Timing is the machine's own, so a seed gives the same blows and not the same run.
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "tests/e2e/cluster.h"
#include "tests/e2e/processes.h"
#include "tests/e2e/records.h"
#include "tests/e2e/storm.h"

namespace retort::e2e {
namespace {

int64_t FromEnvironment(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr || *text == '\0' ? otherwise : std::atoll(text);
}

// 2 folds x 6 seeds: 12 teachers; 3 students x 12 x (scratch, soft, dkd): 120 jobs, of which 72
// need a teacher.
std::string SweepFile(int round) {
  std::string seeds;
  for (int i = 0; i < 6; ++i) absl::StrAppend(&seeds, i == 0 ? "" : ", ", 6 * round + i);
  return absl::StrCat("name: force-", round,
                      "\ndatasets: {d: {path: d.safetensors}}\n"
                      "split: {kfold: 2}\nteachers: [{resnet1d: 8/4}]\n"
                      "students: [{resnet1d: [4/4, 8/4]}, {mlp: {width: 8, depth: 1}}]\n"
                      "methods: [scratch, soft, dkd]\ntrain: {epochs: 12}\n"
                      "checkpoint_every: 0.05s\nseeds: [",
                      seeds, "]\n");
}

// Somebody who submits one sweep after the other and looks after them, through the command line
// alone, while the storm goes on.
class Operator {
 public:
  explicit Operator(Cluster& cluster) : cluster_(cluster) {}

  // Until `enough`, and then until all that was submitted has succeeded or `give_up` says so.
  void Work(const std::atomic<bool>& enough, const std::atomic<bool>& give_up) {
    do {
      const std::string sweep = Submit(static_cast<int>(files_.size()), give_up);
      if (!sweep.empty()) Finish(sweep, give_up);
    } while (!enough && !give_up);
    done_ = true;
  }
  bool done() const { return done_; }
  const std::vector<std::string>& files() const { return files_; }
  int retried() const { return retried_; }
  int released() const { return released_; }

 private:
  std::string Submit(int round, const std::atomic<bool>& give_up) {
    files_.push_back(cluster_.Write(absl::StrCat("force-", round, ".yaml"), SweepFile(round)));
    while (!give_up) {
      const Outcome outcome = cluster_.Cli({"sweep", "submit", files_.back(), "-o", "json"});
      EXPECT_TRUE(outcome.exit_code == 0 || outcome.exit_code == 4)
          << outcome.exit_code << ": " << outcome.err;
      if (outcome.exit_code != 0) continue;
      return nlohmann::json::parse(outcome.out)["sweep"];
    }
    return "";
  }

  void Finish(const std::string& sweep, const std::atomic<bool>& give_up) {
    // One that waits without a limit sees every restart.
    Process patient({"retort", "sweep", "wait", sweep, "--coordinator", cluster_.address()},
                    cluster_.folder(), "wait-" + sweep);
    while (!give_up) {
      const Outcome wait = cluster_.Cli({"sweep", "wait", sweep, "--timeout", "5s"});
      if (wait.exit_code == 0) break;
      EXPECT_TRUE(wait.exit_code == 1 || wait.exit_code == 4 || wait.exit_code == 5)
          << wait.exit_code << ": " << wait.err;
      if (wait.exit_code == 1) {
        // Budgets that the storm has spent.
        const Outcome retry = cluster_.Cli(
            {"job", "retry", "--sweep", sweep, "--state", "failed,skipped", "-o", "json"});
        if (retry.exit_code == 0) ++retried_;
      }
      ReleaseWorkers();
    }
    if (give_up) return;
    const auto code = patient.Wait(absl::Seconds(60));
    const auto err = ReadFile(cluster_.folder() + "/wait-" + sweep + ".err").value_or("");
    // It gives up only before it has begun, if nobody answers its first call.
    const bool began = !err.starts_with("retort: no coordinator answers");
    EXPECT_TRUE(code == 0 || code == 1 || (code == 4 && !began))
        << "a wait that was not limited ended with " << code.value_or(-1) << ": " << err;
  }

  void ReleaseWorkers() {
    const Outcome list = cluster_.Cli({"worker", "list", "-o", "json"});
    if (list.exit_code != 0) return;
    for (const auto& worker : nlohmann::json::parse(list.out)) {
      if (worker["state"] != "quarantined") continue;
      if (cluster_.Cli({"worker", "release", worker["worker"]}).exit_code == 0) ++released_;
    }
  }

  Cluster& cluster_;
  std::vector<std::string> files_;
  std::atomic<bool> done_{false};
  std::atomic<int> retried_{0};
  std::atomic<int> released_{0};
};

// The same sweeps by a cluster that nobody disturbs.
Records Undisturbed(const std::vector<std::string>& files, Cluster& cluster) {
  cluster.StartServer();
  auto first = cluster.StartWorker("u1", 2, 0);
  auto second = cluster.StartWorker("u2", 2, 0);
  for (const std::string& file : files) {
    const Outcome outcome = cluster.Cli({"sweep", "submit", "--wait", file}, absl::Seconds(60));
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  }
  cluster.server().Signal(SIGTERM);
  EXPECT_EQ(cluster.server().Wait(absl::Seconds(20)).value_or(-1), 0);
  return ReadRecords(cluster.server_folder());
}

void ExpectSame(const std::map<std::string, std::string>& a,
                const std::map<std::string, std::string>& b, const std::string& what) {
  EXPECT_EQ(a.size(), b.size()) << what;
  int shown = 0;
  for (const auto& [key, value] : a) {
    const auto other = b.find(key);
    const bool same = other != b.end() && other->second == value;
    if (same || ++shown > 3) continue;
    ADD_FAILURE() << what << " of " << key << "\n  undisturbed: " << value
                  << "\n  under force: " << (other == b.end() ? "none" : other->second);
  }
  EXPECT_LE(shown, 3) << "and " << shown - 3 << " more " << what;
}

// What is documented in worker/agent/README.md, and nothing of an attempt.
void ExpectTidyWorker(const std::string& folder) {
  const std::set<std::string> documented = {"artifacts",   "attempts", "cache",
                                            "incarnation", "lock",     "runners"};
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    EXPECT_TRUE(documented.contains(entry.path().filename().string())) << entry.path();
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder + "/attempts")) << folder;
}

std::string Text(const std::map<std::string, int64_t>& counts) {
  std::string text;
  for (const auto& [key, count] : counts) absl::StrAppend(&text, " ", key, "=", count);
  return text;
}

TEST(ForceTest, ResultsAndSeriesAreThoseOfAnUndisturbedRun) {
  const auto length = absl::Seconds(FromEnvironment("RETORT_FORCE_SECONDS", 25));
  StormOptions options;
  options.seed = static_cast<uint64_t>(FromEnvironment("RETORT_FORCE_SEED", 1));
  Cluster struck;
  Storm storm(struck, options);
  struck.MakeDataset();
  storm.Begin();

  Operator person(struck);
  std::atomic<bool> enough{false}, give_up{false};
  std::thread thread([&] { person.Work(enough, give_up); });
  storm.Rage(length);
  enough = true;
  const absl::Time limit = WallNow() + absl::Seconds(120);
  while (!person.done() && WallNow() < limit) {
    storm.Tend();
    Pause(absl::Milliseconds(20));
  }
  EXPECT_TRUE(person.done()) << "the sweep has not ended after the storm\n"
                             << struck.Cli({"job", "list"}).out;
  give_up = true;
  thread.join();
  storm.End();
  const auto left = ProcessesMarked(storm.mark());
  for (const ProcessInfo& info : left) ADD_FAILURE() << info.name << " " << info.pid << " is left";
  for (int i = 1; i <= options.workers; ++i) {
    ExpectTidyWorker(absl::StrCat(struck.folder(), "/w", i));
  }
  for (const std::string& line : FindContradictions(struck.server_folder())) ADD_FAILURE() << line;

  Cluster calm;
  calm.MakeDataset();
  std::vector<std::string> files;
  for (const std::string& file : person.files()) {
    const std::string name = std::filesystem::path(file).filename();
    files.push_back(calm.Write(name, *ReadFile(file)));
  }
  const Records expected = Undisturbed(files, calm);
  const Records found = ReadRecords(struck.server_folder());
  EXPECT_GT(expected.results.size(), 100u);
  EXPECT_EQ(expected.series.size(), 2 * expected.results.size());
  ExpectSame(expected.jobs, found.jobs, "state");
  ExpectSame(expected.results, found.results, "result");
  ExpectSame(expected.series, found.series, "series");
  ExpectSame(expected.latest, found.latest, "latest point");

  std::map<std::string, int64_t> blows(storm.counts().begin(), storm.counts().end());
  const auto attempts = CountAttempts(struck.server_folder());
  int64_t tried = 0;
  for (const auto& [how, count] : attempts) tried += count;
  std::printf(
      "force: seed %llu, %s, %d kills (%s), %zu jobs, %lld attempts (%s), %d retries and %d "
      "releases by hand, results and %zu series %s\n",
      static_cast<unsigned long long>(options.seed), absl::FormatDuration(length).c_str(),
      storm.kills(), Text(blows).c_str(), found.jobs.size(), static_cast<long long>(tried),
      Text(attempts).c_str(), person.retried(), person.released(), found.series.size(),
      expected == found ? "equal" : "DIFFER");
  EXPECT_GE(storm.kills(), absl::ToInt64Seconds(length) / 2);
}

}  // namespace
}  // namespace retort::e2e
