#include "client/cli/manual.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/commands.h"
#include "client/cli/usage.h"

namespace retort {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// What a shell command writes, both streams; its exit code is at the end.
std::string Shell(const std::string& command) {
  std::string out;
  FILE* pipe = popen(absl::StrCat("(", command, ") 2>&1; echo \"exit $?\"").c_str(), "r");
  std::array<char, 4096> part;
  while (const size_t count = fread(part.data(), 1, part.size(), pipe)) {
    out.append(part.data(), count);
  }
  pclose(pipe);
  return out;
}

bool IsThere(const std::string& program) {
  return Shell("command -v " + program).find("exit 0") != std::string::npos;
}

class ManualTest : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Run(std::vector<std::string> args, int code = kDone) {
    std::ostringstream out, err;
    Context context{.terminal = Terminal{out, err}};
    EXPECT_EQ(RunCommandLine(std::move(args), context), code) << err.str();
    return out.str() + err.str();
  }

  // A completion script as a file.
  std::string Script(const std::string& shell) {
    const std::string path = folder_ + "/retort." + shell;
    std::ofstream(path) << Run({"completion", shell});
    return path;
  }

  // What bash offers for a line whose last word is under the cursor.
  std::vector<std::string> Bash(const std::vector<std::string>& words) {
    std::string line = absl::StrCat("cd ", folder_, "; source ./retort.bash; COMP_WORDS=(retort");
    for (const std::string& word : words) absl::StrAppend(&line, " '", word, "'");
    absl::StrAppend(&line, "); COMP_CWORD=", words.size(),
                    "; _retort; printf '%s\\n' \"${COMPREPLY[@]}\"");
    Script("bash");
    std::ofstream(folder_ + "/line.sh") << line;
    std::vector<std::string> said =
        absl::StrSplit(Shell("bash --norc " + folder_ + "/line.sh"), '\n', absl::SkipEmpty());
    EXPECT_EQ(said.back(), "exit 0");
    said.pop_back();
    return said;
  }

  const std::string folder_ = ::testing::TempDir() + "manual_" +
                              ::testing::UnitTest::GetInstance()->current_test_info()->name();
};

void ForEachLeaf(const CommandManual& command,
                 const std::function<void(const CommandManual&)>& visit) {
  if (command.commands.empty()) visit(command);
  for (const CommandManual& below : command.commands) ForEachLeaf(below, visit);
}

// The whole command line, as the program itself is described.
CommandManual Program() {
  std::ostringstream out, err;
  Context context{.terminal = Terminal{out, err}};
  CLI::App app("", "retort");
  const absl::Status configured;
  AddCommands(app, context, configured);
  return Describe(app);
}

TEST_F(ManualTest, EveryCommandHasExamplesThatItsFlagsAllow) {
  const CommandManual program = Program();
  ForEachLeaf(program, [&](const CommandManual& command) {
    EXPECT_THAT(command.examples, Not(IsEmpty())) << command.path << ": see client/cli/examples.cc";
    EXPECT_NE(command.help, "") << command.path;
    for (const std::string& example : command.examples) {
      const size_t begin = example.find(command.path);
      ASSERT_NE(begin, std::string::npos) << example;
      std::vector<std::string> words =
          absl::StrSplit(example.substr(begin, example.find_first_of("|>#&(<\"", begin) - begin),
                         ' ', absl::SkipEmpty());
      words.erase(words.begin());
      const UsageCheck usage = CheckUsage(program, words);
      EXPECT_EQ(usage.unknown, "") << example;
      EXPECT_EQ(usage.command, command.path) << example;
    }
  });
  EXPECT_THAT(Run({"sweep", "wait", "--help"}), HasSubstr("Examples:\n  retort sweep wait demo"));
}

TEST_F(ManualTest, MisspeltCommandsAndFlagsAreToldWithTheNearest) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"-o", "json", "swep", "list"}, "'swep' is no command; did you mean 'sweep'"},
      {{"sweep", "submit", "x.yaml", "--dryrun"},
       "'--dryrun' is no flag of retort sweep submit; did you mean '--dry-run'"},
      {{"sweep", "list", "--ouptut=json"}, "did you mean '--output'"},
      {{"job", "--output", "json", "lgos", "3f"}, "'lgos' is no command; did you mean 'logs'"},
      {{"worker", "list", "-w"}, "'-w' is no flag of retort worker list"},
      {{"completion", "tcsh"}, "tcsh"},
      {{"man", "swep"}, "did you mean 'sweep'"},
      {{"sweep", "wait", "a", "--for", "ever"}, "ever"},
  };
  for (const auto& [args, message] : cases) {
    EXPECT_THAT(Run(args, kUsage), HasSubstr(message));
  }
  EXPECT_THAT(Run({"sweep", "submit", "x", "--dryrun"}, kUsage),
              HasSubstr("\nretort sweep submit --help says more.\n"));
}

TEST_F(ManualTest, NegativeNumbersAreNoFlags) {
  const CommandManual program = Program();
  const UsageCheck usage = CheckUsage(program, {"data", "prepare", "csv", "--lag", "-0.5", "-3"});
  EXPECT_EQ(usage.unknown, "");
}

TEST_F(ManualTest, BashCompletesCommandsFlagsAndValues) {
  EXPECT_THAT(Bash({"sw"}), ElementsAre("sweep"));
  EXPECT_THAT(Bash({"sweep", "wa"}), ElementsAre("wait", "watch"));
  EXPECT_THAT(Bash({"sweep", "submit", "--dr"}), ElementsAre("--dry-run"));
  EXPECT_THAT(Bash({"sweep", "list", "-o", "js"}), ElementsAre("json", "jsonl"));
  EXPECT_THAT(Bash({"sweep", "wait", "x", "--for", ""}), ElementsAre("done", "succeeded"));
  EXPECT_THAT(Bash({"completion", "f"}), ElementsAre("fish"));
  std::ofstream(folder_ + "/mine.yaml") << "";
  EXPECT_THAT(Bash({"sweep", "submit", "mi"}), ElementsAre("mine.yaml"));
  EXPECT_THAT(Bash({"-o", "json", "wor"}), ElementsAre("worker"));
}

TEST_F(ManualTest, ShellsAcceptTheirCompletions) {
  EXPECT_EQ(Shell("bash -n " + Script("bash")), "exit 0\n");
  for (const std::string shell : {"zsh", "fish"}) {
    const std::string script = Script(shell);
    EXPECT_THAT(Run({"completion", shell}), HasSubstr("dry-run"));
    if (IsThere(shell)) {
      EXPECT_EQ(Shell(shell + " -n " + script), "exit 0\n");
    }
  }
}

TEST_F(ManualTest, PagesAreWrittenForAllCommandsAndFormatWithoutAWarning) {
  Run({"man", "--folder", folder_});
  std::vector<std::string> pages;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    pages.push_back(entry.path().filename());
  }
  EXPECT_THAT(pages, Contains("retort.1"));
  EXPECT_THAT(pages, Contains("retort-sweep.1"));
  EXPECT_EQ(pages.size(), Program().commands.size() + 1);
  EXPECT_THAT(Run({"man", "sweep"}), HasSubstr("\\-\\-dry\\-run"));
  if (!IsThere("groff")) GTEST_SKIP() << "groff is not here: pages are not formatted";
  for (const std::string& page : pages) {
    EXPECT_EQ(Shell("groff -man -ww -z -Kutf8 " + folder_ + "/" + page), "exit 0\n") << page;
  }
  const std::string shown = Shell("groff -man -Tascii -P-cbou " + folder_ + "/retort-sweep.1");
  EXPECT_THAT(shown, HasSubstr("retort sweep submit [OPTION...] FILE"));
  EXPECT_THAT(shown, HasSubstr("--dry-run"));
}

}  // namespace
}  // namespace retort
