// Commands on the results of a sweep: tables of choice, two jobs beside each other, the export.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <sstream>

#include "client/cli/commands.h"
#include "common/files.h"
#include "common/hash.h"
#include "tests/unit/sdk/fake_coordinator.h"

namespace retort {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

struct Ran {
  int code;
  std::string out, err;
};

class StudyCommandsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directories(folder_);
    v1::Sweep sweep;
    sweep.set_name("sweeps/study");
    sweep.set_state(v1::SWEEP_STATE_DONE);
    sweep.mutable_spec()->set_name("study");
    fake_.sweeps["study"] = sweep;
    for (int seed = 0; seed < 2; ++seed) {
      for (int fold = 0; fold < 2; ++fold) {
        for (const int base : {4, 16}) {
          const std::string model = "resnet1d-" + std::to_string(base) + "/4";
          fake_.jobs.push_back(SucceededJob(model, Scratch(), "", seed, fold, 9 - 0.1 * base));
          fake_.jobs.push_back(SucceededJob(model, Soft(), "big", seed, fold, 8 - 0.1 * base));
        }
      }
    }
    for (v1::Job& job : fake_.jobs) {
      job.mutable_spec()->mutable_train()->set_peak_lr(job.method() == "scratch" ? 0.01 : 0.02);
      job.mutable_spec()->set_seed(job.seed());
    }
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Ran Run(std::vector<std::string> args) {
    std::ostringstream out, err;
    Context context{.terminal = Terminal{out, err}, .choice = {.coordinator = fake_.address()}};
    const int code = RunCommandLine(std::move(args), context);
    return {code, out.str(), err.str()};
  }
  std::vector<Json> Rows(std::vector<std::string> args) {
    args.insert(args.end(), {"-o", "json"});
    const Ran ran = Run(std::move(args));
    EXPECT_EQ(ran.code, 0) << ran.err;
    return Json::parse(ran.out);
  }

  FakeCoordinator fake_;
  const std::string folder_ = ::testing::TempDir() + "study_" +
                              ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(StudyCommandsTest, ResultsAreFilteredGroupedSortedAndCut) {
  EXPECT_EQ(Rows({"results", "study"}).size(), 16u);
  EXPECT_EQ(Rows({"results", "study", "--method", "soft", "--student", "resnet1d-16*", "--state",
                  "succeeded"})
                .size(),
            4u);
  const auto groups = Rows({"results", "study", "--group", "--sort", "mae_bpm", "--reverse"});
  ASSERT_EQ(groups.size(), 4u);
  EXPECT_EQ(groups[0]["method"], "scratch");
  EXPECT_EQ(groups[0]["student"], "resnet1d-4/4");
  EXPECT_EQ(groups[0]["jobs"], 4);
  EXPECT_TRUE(groups[0]["mae_low_bpm"].is_number());
  EXPECT_EQ(Rows({"results", "study", "--group", "method,seed"}).size(), 4u);
  const Ran csv =
      Run({"results", "study", "--group", "student", "--columns", "student,jobs", "-o", "csv"});
  EXPECT_EQ(csv.out, "student,jobs\r\nresnet1d-4/4,8\r\nresnet1d-16/4,8\r\n");
  const Ran table = Run({"results", "study", "--method", "soft"});
  EXPECT_THAT(table.out,
              AllOf(HasSubstr("resnet1d-16/4"), HasSubstr("+-"), Not(HasSubstr("scratch"))));
  const Ran wide = Run({"results", "study", "--each", "-o", "wide"});
  EXPECT_THAT(wide.out, AllOf(HasSubstr("within_10_bpm"), HasSubstr("latency_ms"),
                              HasSubstr(fake_.jobs[0].name().substr(5))));
  EXPECT_THAT(Run({"results", "study"}).out, HasSubstr("Each method beside its scratch twins"));
  for (const auto& [flag, value, words] :
       std::vector<std::tuple<std::string, std::string, std::string>>{
           {"--method", "dkd", "'dkd' matches no job of the sweep; there are: scratch, soft"},
           {"--sort", "mae", "--sort: 'mae'"},
           {"--columns", "mae_bpn", "did you mean 'mae_bpm'"},
           {"--group", "student,colour", "--group: 'colour'"},
           {"--state", "done", "'done' is no state of a job"},
           {"--seed", "one", "--seed"}}) {
    const Ran ran = Run({"results", "study", flag, value});
    EXPECT_EQ(ran.code, kUsage) << flag;
    EXPECT_THAT(ran.err, HasSubstr(words));
    EXPECT_EQ(ran.out, "");
  }
}

TEST_F(StudyCommandsTest, TwoJobsAreComparedBySpecAndOutcome) {
  const std::string a = fake_.jobs[0].name().substr(5), b = fake_.jobs[1].name().substr(5);
  const auto rows = Rows({"job", "compare", a, b});
  std::map<std::string, Json> by_field;
  for (const Json& row : rows)
    by_field[row["part"].get<std::string>() + " " + row["field"].get<std::string>()] = row;
  EXPECT_EQ(by_field.at("spec train.peak_lr")["a"], 0.01);
  EXPECT_EQ(by_field.at("spec train.peak_lr")["b"], 0.02);
  EXPECT_NEAR(by_field.at("result mae_bpm")["b_minus_a"].get<double>(), -1, 1e-9);
  EXPECT_NEAR(by_field.at("result subjects.s0.mae_bpm")["b_minus_a"].get<double>(), -1, 1e-9);
  EXPECT_EQ(by_field.count("result params"), 0u) << "what is equal is left out";
  EXPECT_THAT(Run({"job", "compare", a, b}).out, HasSubstr("differences in what is trained"));
  EXPECT_EQ(Run({"job", "compare", a, a}).code, kUsage);
  EXPECT_EQ(Run({"job", "compare", a, std::string(64, 'f')}).code, kNotFound);
}

TEST_F(StudyCommandsTest, AnExportHoldsEverythingAndItsManifestIsTrue) {
  fake_.points["train.loss"] = {3, 2, 1.5};
  const std::string target = folder_ + "/out";
  const Ran ran = Run({"sweep", "export", "study", target});
  ASSERT_EQ(ran.code, 0) << ran.err;
  const Json manifest = Json::parse(*ReadFile(target + "/manifest.json"));
  EXPECT_EQ(manifest["sweep"], "study");
  EXPECT_EQ(manifest["complete"], true);
  std::map<std::string, int> rows;
  for (const Json& file : manifest["files"]) {
    const std::string bytes = *ReadFile(target + "/" + file["file"].get<std::string>());
    EXPECT_EQ(file["bytes"], bytes.size());
    EXPECT_EQ(file["sha256"], ArtifactHash(Sha256Of(bytes)).hex());
    rows[file["file"]] = file["rows"];
  }
  EXPECT_EQ(rows["jobs.csv"], 16);
  EXPECT_EQ(rows["job_specs.jsonl"], 16);
  EXPECT_EQ(rows["results.csv"], 16);
  EXPECT_EQ(rows["subjects.csv"], 16 * 4);
  EXPECT_EQ(rows["groups.csv"], 4);
  EXPECT_EQ(rows["metrics.csv"], 16 * 3);
  EXPECT_EQ(rows["methods.csv"], 1);
  EXPECT_TRUE(rows.contains("attempts.csv") && rows.contains("fits.json"));
  EXPECT_EQ(rows["spec.json"], 1);
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(target)) files += entry.exists();
  EXPECT_EQ(files, rows.size() + 1) << "the manifest names every file";
  EXPECT_THAT(*ReadFile(target + "/metrics.csv"), HasSubstr(",train.loss,1,2.0,"));
  // Not again into the same folder.
  const Ran again = Run({"sweep", "export", "study", target});
  EXPECT_EQ(again.code, kUsage);
  EXPECT_THAT(again.err, HasSubstr("is not empty"));
}

TEST_F(StudyCommandsTest, AnExportThatFailsLeavesNothing) {
  EXPECT_EQ(Run({"sweep", "export", "nosuch", folder_ + "/out"}).code, kNotFound);
  fake_.no_metrics = true;
  EXPECT_NE(Run({"sweep", "export", "study", folder_ + "/out/"}).code, 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
  fake_.no_metrics = false;
  std::filesystem::create_directory(folder_ + "/out");
  EXPECT_EQ(Run({"sweep", "export", "study", folder_ + "/out"}).code, 0) << "an empty one will do";
  std::ofstream(folder_ + "/file") << "x";
  EXPECT_EQ(Run({"sweep", "export", "study", folder_ + "/file"}).code, kUsage);
}

// Sends the signal while the points of some job are read; returns how the process ended.
int ExportInterruptedBy(int signal, FakeCoordinator& fake, const std::string& target) {
  std::promise<pid_t> started;
  fake.on_read_metrics = [&, child = started.get_future().share(), reads = 0]() mutable {
    if (++reads == 3) kill(child.get(), signal);
  };
  std::vector<std::string> args = {"cli_test", "__retort", fake.address(), "sweep",
                                   "export",   "study",    target};
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  EXPECT_EQ(posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, argv.data(), environ), 0);
  started.set_value(child);
  int status = 0;
  waitpid(child, &status, 0);
  fake.on_read_metrics = nullptr;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_F(StudyCommandsTest, AnInterruptedExportLeavesNothing) {
  fake_.points["train.loss"] = {3, 2, 1.5};
  for (const int signal : {SIGINT, SIGTERM}) {
    EXPECT_EQ(ExportInterruptedBy(signal, fake_, folder_ + "/out"), kInterrupted);
    EXPECT_TRUE(std::filesystem::is_empty(folder_)) << "neither the folder nor a part of it";
  }
}

TEST_F(StudyCommandsTest, AReportsPathIsLookedAtBeforeTheWork) {
  std::filesystem::create_directory(folder_ + "/folder.html");
  for (const auto& [path, words] : {std::pair("/none/r.html", "there is no folder"),
                                    {"/folder.html", "is a folder"},
                                    {"/r.pdf", "must end with .html or .md"}}) {
    // A sweep that is not there would be said first, if it were asked for first.
    const Ran ran = Run({"report", "nosuch", "--out", folder_ + path});
    EXPECT_NE(ran.code, 0);
    EXPECT_THAT(ran.err, AllOf(HasSubstr("--out"), HasSubstr(words)));
  }
}

}  // namespace
}  // namespace retort
