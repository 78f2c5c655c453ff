#include "client/cli/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "client/cli/commands.h"
#include "tests/unit/sdk/fake_coordinator.h"

namespace retort {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class ConfigTest : public ::testing::Test {
 protected:
  void TearDown() override {
    for (const char* name : {"RETORT_OUTPUT", "RETORT_COORDINATOR", "RETORT_CONFIG"}) {
      unsetenv(name);
    }
    std::filesystem::remove(path_);
  }

  // Exit code of a command line beside a file that says this; `out_` and `err_` are what it wrote.
  int Run(std::vector<std::string> args, const std::string& file) {
    std::ofstream(path_, std::ios::binary) << file;
    std::ostringstream out, err;
    Context context{.terminal = Terminal{out, err}, .choice = {.coordinator = "127.0.0.1:1"}};
    const int code = RunCommandLine(std::move(args), context, {path_, true});
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  FakeCoordinator fake_;
  // Of this test alone: others run beside it.
  const std::string path_ = ::testing::TempDir() + "config_" +
                            ::testing::UnitTest::GetInstance()->current_test_info()->name() +
                            ".yaml";
  std::string out_, err_;
};

TEST_F(ConfigTest, FlagBeatsEnvironmentBeatsFileBeatsDefault) {
  const std::string here = "coordinator: " + fake_.address() + "\n";
  EXPECT_EQ(Run({"worker", "list"}, "# nothing\n\n"),
            kUnavailable);  // the default: nobody listens there
  EXPECT_EQ(Run({"worker", "list"}, here), kDone) << err_;
  EXPECT_THAT(out_, StartsWith("worker"));
  EXPECT_EQ(Run({"worker", "list"}, here + "output: json\n"), kDone);
  EXPECT_EQ(out_, "[]\n");
  setenv("RETORT_OUTPUT", "csv", 1);
  EXPECT_EQ(Run({"worker", "list"}, here + "output: json\n"), kDone);
  EXPECT_THAT(out_, StartsWith("worker,state"));
  EXPECT_EQ(Run({"worker", "list", "-o", "jsonl"}, here + "output: json\n"), kDone);
  EXPECT_EQ(out_, "");
  setenv("RETORT_COORDINATOR", "127.0.0.1:2", 1);
  EXPECT_EQ(Run({"worker", "list"}, here), kUnavailable);
  EXPECT_THAT(err_, HasSubstr("127.0.0.1:2"));
}

TEST_F(ConfigTest, WhatIsWrongIsNamedWithItsPlace) {
  const std::pair<const char*, const char*> cases[] = {
      {"output: json\ncordinator: a\n",
       ":2:1: cordinator: no such key; did you mean 'coordinator'?"},
      {"colour: blue\n", ":1:1: colour: no such key; expected one of: "},
      {"\noutput: xml\n", ":2:9: output: 'xml' is no format; expected one of: table"},
      {"output: [json]\n", ":1:9: output: a list; expected one value"},
      {"insecure: perhaps\n", ":1:11: insecure: "},
      {"json\n", ":1:1: 'json'; expected lines such as output: json"},
      {"output: {\n", ":2:1: "},
      {"output: json\noutput: csv\n", "the key stands twice"},
  };
  for (const auto& [file, message] : cases) {
    EXPECT_EQ(Run({"worker", "list"}, file), kUsage) << file;
    EXPECT_THAT(err_, HasSubstr(message));
    EXPECT_THAT(err_, StartsWith("retort: " + path_)) << file;
    EXPECT_EQ(out_, "");
  }
  EXPECT_EQ(Run({"--help"}, "colour: blue\n"), kDone);  // which tells what would be right
}

TEST_F(ConfigTest, FlagsOfTheFileCanBeTakenBack) {
  const std::string there = "insecure: true\ncoordinator: 10.255.255.1:1\n";
  EXPECT_EQ(Run({"data", "show", "/nonexistent"}, there), kUsage);
  EXPECT_THAT(err_, HasSubstr("/nonexistent"));
  EXPECT_EQ(Run({"data", "show", "/nonexistent", "--insecure=false"}, there), kUsage);
  EXPECT_THAT(err_, HasSubstr("allow it with --insecure"));
}

TEST(ConfigPlace, IsNamedOrInTheUsualFolders) {
  const std::string home = std::getenv("HOME") == nullptr ? "" : std::getenv("HOME");
  unsetenv("RETORT_CONFIG");
  unsetenv("XDG_CONFIG_HOME");
  setenv("HOME", "/home/somebody", 1);
  EXPECT_EQ(ConfigPlace::OfProcess().path, "/home/somebody/.config/retort/config.yaml");
  EXPECT_FALSE(ConfigPlace::OfProcess().named);
  setenv("XDG_CONFIG_HOME", "/etc/somebody", 1);
  EXPECT_EQ(ConfigPlace::OfProcess().path, "/etc/somebody/retort/config.yaml");
  setenv("XDG_CONFIG_HOME", "relative", 1);  // to be ignored, says its specification
  EXPECT_EQ(ConfigPlace::OfProcess().path, "/home/somebody/.config/retort/config.yaml");
  setenv("RETORT_CONFIG", "mine.yaml", 1);
  EXPECT_EQ(ConfigPlace::OfProcess().path, "mine.yaml");
  EXPECT_TRUE(ConfigPlace::OfProcess().named);
  unsetenv("RETORT_CONFIG");
  unsetenv("XDG_CONFIG_HOME");
  setenv("HOME", home.c_str(), 1);
}

TEST_F(ConfigTest, AFileThatIsNotThereMattersOnlyIfItWasNamed) {
  CLI::App app;
  EXPECT_TRUE(ApplyConfig({"/nonexistent/config.yaml", false}, app).ok());
  EXPECT_EQ(ApplyConfig({"/nonexistent/config.yaml", true}, app).code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace retort
