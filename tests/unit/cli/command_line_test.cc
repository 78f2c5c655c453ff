#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "client/cli/commands.h"
#include "tests/unit/sdk/fake_coordinator.h"

namespace retort {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

// What a command line did.
struct Ran {
  int code;
  std::string out;
  std::string err;
};

class CommandLineTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Ran Run(std::vector<std::string> args) {
    std::ostringstream out, err;
    Context context{.terminal = Terminal{out, err}, .choice = {.coordinator = fake_.address()}};
    const int code = RunCommandLine(std::move(args), context);
    return {code, out.str(), err.str()};
  }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << text;
    return folder_ + "/" + name;
  }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  // A sweep file beside a synthetic dataset of six subjects.
  std::string WriteSweep(const std::string& rest = "") {
    const Ran made = Run(
        {"data", "synth", "--out", Path("lab.safetensors"), "--subjects", "6", "--minutes", "0.5"});
    EXPECT_EQ(made.code, 0) << made.err;
    return Write("sweep.yaml",
                 "name: small\ndatasets: {lab: {path: lab.safetensors}}\nsplit: {kfold: 3}\n"
                 "students: [{resnet1d: 4/4}]\nmethods: [scratch]\n" +
                     rest);
  }

  FakeCoordinator fake_;
  const std::string folder_ = ::testing::TempDir() + "cli_" +
                              ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(CommandLineTest, UsageErrorsEndWithTwoAndSayWhatWouldBeRight) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{}, "subcommand"},
      {{"swep"}, "did you mean 'sweep'"},
      {{"sweep", "submitt"}, "did you mean 'submit'"},
      {{"sweep", "submit"}, "FILE is required"},
      {{"sweep", "list", "-o", "xml"}, "'xml' is no format; expected one of: table, wide"},
      {{"sweep", "wait", "a", "--timeout", "soon"}, "'soon'; expected a duration"},
      {{"job", "list", "--state", "runing"}, "did you mean 'running'"},
      {{"job", "retry"}, "--sweep"},
      {{"job", "retry", "--sweep", "a", "--cause", "BORED"},
       "'BORED' is no cause of failure; expected one of: LOST, PREEMPTED, CRASHED, OUT_OF_MEMORY, "
       "ARTIFACT, NUMERIC, TIMEOUT, INVALID"},
      {{"job", "explain"}, "JOB is required"},
      {{"admin", "backup"}, "TARGET is required"},
      {{"admin", "restore", "x"}, "FOLDER is required"},
      {{"fit", "a", "--size", "weight"}, "weight"},
      {{"data", "prepare", "ieee", "--from", "x", "--out", "y"}, "ieee"},
      {{"data", "prepare", "ieee-spc-2015", "--from", "x", "--out", "y", "--filter", "best"},
       "best"},
      {{"data", "synth", "--out", "/nonexistent/x", "--subjects", "0"}, "subjects"},
      {{"data", "prepare", "bami", "--from", "/nonexistent", "--out", "y"}, "no such folder"},
      {{"data", "prepare", "bami", "--from", "x", "--out", "y", "--rate", "50"}, "are for csv"},
      {{"data", "prepare", "csv", "--from", "x", "--out", "y", "--rate", "50", "--ppg", "1"},
       "retort model predict"},
      {{"data", "join", "/nonexistent/a", "/nonexistent/b", "--out", "y"}, "/nonexistent/a"},
      {{"sweep", "list", "--coordinator", "10.1.1.1:7641"}, "--insecure"},
      {{"query", "DROP TABLE jobs"}, "only SELECT"},
  };
  for (const auto& [args, fragment] : cases) {
    const Ran ran = Run(args);
    EXPECT_EQ(ran.code, kUsage) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(fragment));
    EXPECT_EQ(ran.out, "");
  }
}

TEST_F(CommandLineTest, BadSweepFilesEndWithTwoAndLeaveNothingBehind) {
  const std::string good = WriteSweep();
  const std::string cases[] = {
      WriteSweep("trian: {epochs: 3}\n"),
      Path("none.yaml"),
      Write("empty.yaml", ""),
      Write("missing.yaml",
            "name: a\ndatasets: {lab: {path: no.safetensors}}\n"
            "split: {kfold: 3}\nstudents: [{resnet1d: 4/4}]\nmethods: [scratch]\n"),
  };
  for (const std::string& file : cases) {
    for (const std::vector<std::string>& args :
         {std::vector<std::string>{"sweep", "submit", file},
          std::vector<std::string>{"local", file, "--folder", Path("state")}}) {
      const Ran ran = Run(args);
      EXPECT_EQ(ran.code, kUsage) << ran.err;
      EXPECT_THAT(ran.err, HasSubstr(file));
      EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
    }
  }
  EXPECT_FALSE(std::filesystem::exists(Path("state")));
  EXPECT_TRUE(fake_.created.empty());
  EXPECT_TRUE(fake_.artifacts.empty());
}

TEST_F(CommandLineTest, JobsAreRetriedByTheCauseOfTheirFailure) {
  const Ran ran = Run({"job", "retry", "--sweep", "small", "--state", "failed", "--cause",
                       "CRASHED,lost", "--cause", "NUMERIC"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, ContainsRegex("changed +1\n"));
  ASSERT_EQ(fake_.retried.size(), 1u);
  EXPECT_THAT(fake_.retried[0].causes(),
              ::testing::ElementsAre(v1::FAILURE_CAUSE_CRASHED, v1::FAILURE_CAUSE_LOST,
                                     v1::FAILURE_CAUSE_NUMERIC));
}

TEST_F(CommandLineTest, ExplainSaysTheVerdictFirst) {
  const std::string id(64, 'a');
  EXPECT_EQ(Run({"job", "explain", id}).code, kNotFound);
  fake_.explanation.set_job("jobs/" + id);
  fake_.explanation.set_state(v1::JOB_STATE_QUEUED);
  fake_.explanation.set_attempt(2);
  v1::Reason* reason = fake_.explanation.add_reasons();
  reason->set_code(v1::REASON_CODE_NO_FREE_SLOT);
  reason->set_message("every slot is busy");
  reason->add_related("workers/w1");
  fake_.explanation.add_reasons()->set_message("3 jobs come before it\x1b[31m");
  v1::FailureBudget* budget = fake_.explanation.add_budgets();
  budget->set_cause(v1::FAILURE_CAUSE_CRASHED);
  budget->set_spent(1);
  budget->set_limit(2);
  const Ran ran = Run({"job", "explain", id});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out,
            "job aaaaaaaaaaaa is queued, attempt 2: every slot is busy\n"
            "  - 3 jobs come before it\\x1b[31m\n"
            "  failures of cause crashed: 1 (allowed 2)\n");
  const Json json = Json::parse(Run({"job", "explain", id, "-o", "json"}).out);
  EXPECT_EQ(json["state"], "queued");
  EXPECT_EQ(json["reasons"][0]["code"], "no_free_slot");
  EXPECT_EQ(json["reasons"][0]["related"][0], "workers/w1");
  EXPECT_EQ(json["budgets"][0]["limit"], 2);
}

TEST_F(CommandLineTest, ChecksEndWithOneIfSomethingIsWrong) {
  EXPECT_EQ(Run({"admin", "check"}).code, kDone);
  v1::Finding* finding = fake_.check_report.add_findings();
  finding->set_code(v1::FINDING_CODE_ARTIFACT_DAMAGED);
  finding->set_severity(v1::SEVERITY_ERROR);
  finding->set_subject("0123");
  finding->set_message("its bytes have another hash");
  fake_.check_report.set_all_findings(1);
  fake_.check_report.set_errors(1);
  const Ran ran = Run({"admin", "check"});
  EXPECT_EQ(ran.code, kJobsFailed);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("artifact_damaged"), HasSubstr("0123")));
  const Json json = Json::parse(Run({"admin", "check", "-o", "json"}).out);
  EXPECT_EQ(json["findings"][0]["severity"], "error");
  EXPECT_EQ(json["errors"], 1);
}

TEST_F(CommandLineTest, BackupsAreAskedForOnceAndByAbsolutePath) {
  fake_.unavailable = 2;
  const Ran ran = Run({"admin", "backup", Path("x/../backup")});
  EXPECT_EQ(ran.code, 0) << ran.err;
  ASSERT_EQ(fake_.backups.size(), 1u);
  EXPECT_EQ(fake_.backups[0].folder(), Path("backup"));
  EXPECT_THAT(ran.out, ContainsRegex("jobs +7\n"));
  EXPECT_THAT(Run({"admin", "gc", "--dry-run"}).out, ContainsRegex("taken +5\n"));
  EXPECT_THAT(Run({"admin", "gc"}).out, ContainsRegex("taken +6\n"));
}

TEST_F(CommandLineTest, DamagedDataEndsWithTwoAndWritesNothing) {
  const std::string file = WriteSweep();
  std::filesystem::resize_file(Path("lab.safetensors"), 500);
  const Ran submit = Run({"sweep", "submit", file});
  EXPECT_EQ(submit.code, kUsage);
  EXPECT_THAT(submit.err, AllOf(HasSubstr("datasets.lab.path"), HasSubstr("lab.safetensors")));
  const Ran show = Run({"data", "show", Path("lab.safetensors")});
  EXPECT_EQ(show.code, kUsage);
  EXPECT_THAT(show.err, HasSubstr("lab.safetensors"));

  Write("DATA_01_TYPE01.mat", "MATLAB 5.0 MAT-file, cut short");
  Write("DATA_01_TYPE01_BPMtrace.mat", "MATLAB 5.0 MAT-file, cut short");
  const Ran prepare = Run(
      {"data", "prepare", "ieee-spc-2015", "--from", folder_, "--out", Path("out.safetensors")});
  EXPECT_EQ(prepare.code, kUsage);
  EXPECT_THAT(prepare.err, HasSubstr("DATA_01_TYPE01"));
  EXPECT_FALSE(std::filesystem::exists(Path("out.safetensors")));
}

TEST_F(CommandLineTest, SubmitsASweepOrOnlyTellsWhatItWouldRun) {
  const std::string file = WriteSweep();
  const Ran dry = Run({"sweep", "submit", file, "--dry-run", "-o", "json"});
  ASSERT_EQ(dry.code, 0) << dry.err;
  const Json plan = Json::parse(dry.out);
  EXPECT_EQ(plan["new_jobs"], 5);
  EXPECT_EQ(plan["expected_s"], 90);
  EXPECT_EQ(plan["plan"][1]["state"], "succeeded");
  EXPECT_EQ(plan["plan"][2]["state"], "new");
  EXPECT_EQ(plan["plan"][2]["teacher"], nullptr);
  const Ran table = Run({"sweep", "submit", file, "--dry-run"});
  EXPECT_THAT(table.out, ContainsRegex("aaaaaaaaaaaa +succeeded"));
  EXPECT_THAT(table.out, HasSubstr("small: 7 jobs, of which 2 have a result; 5 would run, in about "
                                   "2 min with the present workers.\n"));
  const Ran csv = Run({"sweep", "submit", file, "--dry-run", "-o", "csv"});
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 8) << csv.out;
  EXPECT_TRUE(fake_.sweeps.empty());
  EXPECT_TRUE(fake_.artifacts.empty());

  const Ran submit = Run({"sweep", "submit", file, "-o", "json"});
  ASSERT_EQ(submit.code, 0) << submit.err;
  EXPECT_EQ(Json::parse(submit.out)["sweep"], "small");
  EXPECT_EQ(fake_.artifacts.size(), 1u);
  ASSERT_EQ(fake_.created.size(), 4u);
  EXPECT_EQ(fake_.created[3].spec().students(0).resnet1d().base(), 4);
}

TEST_F(CommandLineTest, ExitCodesTellWhatHappened) {
  EXPECT_EQ(Run({"sweep", "show", "none"}).code, kNotFound);
  EXPECT_EQ(Run({"results", "none"}).code, kNotFound);
  v1::Sweep& sweep = fake_.sweeps["a"];
  sweep.set_name("sweeps/a");
  sweep.set_state(v1::SWEEP_STATE_ACTIVE);
  EXPECT_EQ(Run({"sweep", "wait", "a", "--timeout", "300ms"}).code, kTimedOut);
  sweep.set_state(v1::SWEEP_STATE_DONE);
  EXPECT_EQ(Run({"sweep", "wait", "a"}).code, kDone);
  sweep.mutable_counts()->set_failed(1);
  EXPECT_EQ(Run({"sweep", "wait", "a"}).code, kJobsFailed);
  fake_.Kill();
  const Ran away = Run({"sweep", "list"});
  EXPECT_EQ(away.code, kUnavailable);
  EXPECT_THAT(away.err, AllOf(HasSubstr(fake_.address()), HasSubstr("--coordinator")));
}

TEST_F(CommandLineTest, WaitingForSuccessEndsAtTheFirstFailure) {
  v1::Sweep& sweep = fake_.sweeps["a"];
  sweep.set_name("sweeps/a");
  sweep.set_state(v1::SWEEP_STATE_ACTIVE);
  sweep.mutable_counts()->set_failed(1);
  sweep.mutable_counts()->set_running(3);
  EXPECT_EQ(Run({"sweep", "wait", "a", "--for", "succeeded", "--timeout", "20s"}).code,
            kJobsFailed);
  EXPECT_EQ(Run({"sweep", "wait", "a", "--timeout", "300ms"}).code, kTimedOut);
  sweep.mutable_counts()->set_failed(0);
  EXPECT_EQ(Run({"sweep", "wait", "a", "--for", "succeeded", "--timeout", "300ms"}).code,
            kTimedOut);
  sweep.set_state(v1::SWEEP_STATE_DONE);
  EXPECT_EQ(Run({"sweep", "wait", "a", "--for", "succeeded"}).code, kDone);
}

TEST_F(CommandLineTest, NamesAreWrittenAlone) {
  fake_.sweeps["a"].set_name("sweeps/a");
  fake_.sweeps["b"].set_name("sweeps/b");
  fake_.workers.emplace_back().set_name("workers/lab-1");
  EXPECT_EQ(Run({"sweep", "list", "-o", "name"}).out, "a\nb\n");
  EXPECT_EQ(Run({"sweep", "show", "b", "-o", "name"}).out, "b\n");
  EXPECT_EQ(Run({"worker", "list", "-o", "name"}).out, "lab-1\n");
}

TEST_F(CommandLineTest, OneWorkerIsShownOrTheNearestIsNamed) {
  fake_.workers.emplace_back().set_name("workers/lab-1");
  EXPECT_EQ(Json::parse(Run({"worker", "show", "lab-1", "-o", "json"}).out)["worker"], "lab-1");
  const Ran wrong = Run({"worker", "show", "lab-2"});
  EXPECT_EQ(wrong.code, kNotFound);
  EXPECT_THAT(wrong.err, HasSubstr("did you mean 'lab-1'?"));
}

TEST_F(CommandLineTest, DatasetsOfAFolderAreListed) {
  WriteSweep();
  Write("weights.safetensors", "something else");
  const Json rows = Json::parse(Run({"data", "list", folder_, "-o", "json"}).out);
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0]["path"], Path("lab.safetensors"));
  EXPECT_EQ(rows[0]["subjects"], 6);
  EXPECT_EQ(Run({"data", "list", "/nonexistent"}).code, kUsage);
}

TEST_F(CommandLineTest, ResultsListEveryJobAsJsonAndCsv) {
  fake_.sweeps["a"].set_name("sweeps/a");
  for (int seed = 0; seed < 4; ++seed) {
    fake_.jobs.push_back(SucceededJob("resnet1d-4/4", Scratch(), "", seed, 0, 5));
  }
  const Ran json = Run({"results", "a", "-o", "json"});
  ASSERT_EQ(json.code, 0) << json.err;
  const Json rows = Json::parse(json.out);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[3]["seed"], 3);
  EXPECT_EQ(rows[0]["job"].get<std::string>().size(), 64u);
  const Ran csv = Run({"results", "a", "-o", "csv"});
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 5);
  EXPECT_THAT(Run({"results", "a"}).out, HasSubstr("resnet1d-4/4"));
  EXPECT_THAT(Run({"results", "a", "--each"}).out, HasSubstr("succeeded"));
  const Ran fit = Run({"fit", "a"});
  EXPECT_EQ(fit.code, kUsage);
  EXPECT_THAT(fit.err, HasSubstr("three sizes"));
}

TEST_F(CommandLineTest, FitAnswersTheClaims) {
  fake_.sweeps["a"].set_name("sweeps/a");
  EXPECT_THAT(Run({"fit", "a", "--claims"}).err, HasSubstr("no job has a result"));
  for (int fold = 0; fold < 4; ++fold) {
    for (int seed = 0; seed < 2; ++seed) {
      const double luck = 0.02 * fold + 0.01 * seed;
      v1::Job teacher = SucceededJob("resnet1d-64/8", Scratch(), "", seed, fold, 3 + luck);
      teacher.set_kind(v1::JOB_KIND_TEACHER);
      fake_.jobs.push_back(teacher);
      for (const int base : {4, 8, 16, 32}) {
        const std::string model = "resnet1d-" + std::to_string(base) + "/4";
        const double mae = 3 + 20.0 / base + luck;
        fake_.jobs.push_back(SucceededJob(model, Scratch(), "", seed, fold, mae));
        fake_.jobs.push_back(
            SucceededJob(model, Soft(), "resnet1d-64/8", seed, fold, mae - 1 + 0.1 * luck));
      }
    }
  }
  const Ran json = Run({"fit", "a", "--claims", "-o", "json"});
  ASSERT_EQ(json.code, 0) << json.err;
  const Json claims = Json::parse(json.out);
  ASSERT_EQ(claims.size(), 5u);
  EXPECT_EQ(claims[0]["claim"], 1);
  EXPECT_EQ(claims[0]["answer"], "not resolved");  // the fake's expectations are all 0
  const Json& part = claims[0]["parts"][0];
  EXPECT_EQ(part["of"], "soft");
  EXPECT_NEAR(part["effect"].get<double>(), 1, 0.05);
  EXPECT_GT(part["low"], 0.5);
  EXPECT_EQ(part["answer_median"], "yes");
  EXPECT_EQ(part["answer_argmax"], "yes");
  EXPECT_EQ(part["answer_expectation"], "no");
  EXPECT_THAT(claims[1]["reason"].get<std::string>(), HasSubstr("needs dkd"));
  const Ran table = Run({"fit", "a", "--claims"});
  EXPECT_THAT(table.out, AllOf(HasSubstr("C1 Distilled students"), HasSubstr("flips"),
                               HasSubstr("C5 Some distilled student")));
  EXPECT_THAT(Run({"fit", "a", "--claims", "-o", "csv"}).out, HasSubstr("claim,claim_answer,of"));
  const Ran methods = Run({"fit", "a", "--compare-methods", "-o", "json"});
  ASSERT_EQ(methods.code, 0) << methods.err;
  EXPECT_EQ(Json::parse(methods.out)[0]["verdict"], "better");
  // One law for the sweep, and beside it that over operations; a teacher is no second size.
  const Ran laws = Run({"fit", "a", "--form", "log", "--predict", "1e6", "-o", "json"});
  ASSERT_EQ(laws.code, 0) << laws.err;
  EXPECT_EQ(Json::parse(laws.out).size(), 4u);
  EXPECT_EQ(Json::parse(laws.out)[3]["size"], "macs");
  const Ran asked = Run({"fit", "a", "--predict", "1e6", "--smallest", "mae_bpm<=9"});
  EXPECT_EQ(asked.code, kDone) << asked.err;
  EXPECT_THAT(asked.out, HasSubstr("What the laws say of other sizes"));
  EXPECT_THAT(asked.out, HasSubstr("sure from"));
  EXPECT_THAT(asked.out, HasSubstr("The smallest student over all methods with at most 9 BPM"));
  EXPECT_THAT(asked.out, testing::Not(testing::ContainsRegex("by +by")));
  const Ran distill = Run({"fit", "a", "--form", "distill", "-o", "json"});
  ASSERT_EQ(distill.code, 0) << distill.err;
  const Json law = Json::parse(distill.out)[0];
  EXPECT_EQ(law["size2"], "teacher_mae_bpm");
  EXPECT_THAT(law["warnings"][0].get<std::string>(), HasSubstr("1 distinct second size"));
}

TEST_F(CommandLineTest, LogsShowControlCharactersEscaped) {
  fake_.jobs.push_back(SucceededJob("resnet1d-4/4", Scratch(), "", 0, 0, 5));
  fake_.log = "epoch 1\n\x1b[2Jgone\n";
  const std::string id = fake_.jobs[0].name().substr(5);
  const Ran ran = Run({"job", "logs", id.substr(0, 8)});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "epoch 1\n\\x1b[2Jgone\n");
  EXPECT_EQ(Run({"job", "logs", "ffffff"}).code, kNotFound);
}

TEST_F(CommandLineTest, RetriesFailedJobsOfASweep) {
  const Ran ran = Run({"job", "retry", "--sweep", "a", "--state", "failed,skipped", "-o", "json"});
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(Json::parse(ran.out)["changed"], 2);
  ASSERT_EQ(fake_.retried.size(), 1u);
  EXPECT_EQ(fake_.retried[0].sweep(), "sweeps/a");
}

TEST_F(CommandLineTest, QueriesComeAsTheyAreAskedFor) {
  const Ran csv = Run({"query", "SELECT 1", "-o", "csv"});
  EXPECT_EQ(csv.out, "n,text\r\n9007199254740993,\"a,\"\"b\"\"\x1b[31m\"\r\n,0.5\r\n");
  const Ran table = Run({"query", "SELECT 1"});
  EXPECT_THAT(table.out, Not(HasSubstr("\x1b")));
}

TEST_F(CommandLineTest, HelpEndsWithZeroOnStandardOutput) {
  const Ran ran = Run({"sweep", "submit", "--help"});
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, HasSubstr("--dry-run"));
  EXPECT_EQ(ran.err, "");
}

TEST_F(CommandLineTest, FlagsBeatTheEnvironment) {
  ASSERT_EQ(setenv("RETORT_COORDINATOR", "127.0.0.1:1", 1), 0);
  EXPECT_EQ(Run({"worker", "list"}).code, kUnavailable);
  EXPECT_EQ(Run({"worker", "list", "--coordinator", fake_.address()}).code, kDone);
  unsetenv("RETORT_COORDINATOR");
}

}  // namespace
}  // namespace retort
