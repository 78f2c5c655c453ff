#include "client/launch/slurm_script.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace retort {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

SlurmOptions Options() {
  SlurmOptions options;
  options.worker.coordinator = "head:7641";
  return options;
}

TEST(SlurmScriptTest, WholeScript) {
  SlurmOptions options = Options();
  options.workers = 8;
  options.cpus = 4;
  options.gpus = 1;
  options.partition = "gpu";
  options.time = "4:00:00";
  options.logs = "/home/ada/logs";
  options.more = {"--mem=8G", "--comment=it's mine"};
  options.worker.program = "/opt/retort/retort-worker";
  options.worker.access = "/home/ada/worker.access";
  const auto script = SlurmScript(options);
  ASSERT_TRUE(script.ok()) << script.status();
  EXPECT_EQ(*script, R"(#!/bin/sh
#SBATCH --job-name=retort-slurm
#SBATCH --array=0-7
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --gpus=1
#SBATCH --partition=gpu
#SBATCH --time=4:00:00
#SBATCH --signal=B:TERM@30
#SBATCH --output=/home/ada/logs/retort-slurm-%A_%a.log
#SBATCH --mem=8G '--comment=it'\''s mine'
# The worker takes the place of the shell, so that Slurm's signals reach it.
set -eu
umask 077
folder="${TMPDIR:-/tmp}"/retort-$SLURM_JOB_ID
mkdir -p "$folder"
exec /opt/retort/retort-worker --folder "$folder" --slurm --id slurm --threads 1 --drain-timeout 5s --remove-folder --time-limit 14400s --access /home/ada/worker.access
)");
}

TEST(SlurmScriptTest, JoinsByAddressWhereThereIsNoAccessFile) {
  SlurmOptions options = Options();
  options.worker.insecure = true;
  options.worker.more = {"--cache-gib", "5"};
  EXPECT_THAT(*SlurmScript(options),
              HasSubstr("--coordinator head:7641 --insecure --cache-gib 5\n"));
  options.worker.coordinator.clear();
  EXPECT_FALSE(SlurmScript(options).ok());
}

TEST(SlurmScriptTest, NoTimeNoLimit) {
  SlurmOptions options = Options();
  EXPECT_THAT(*SlurmScript(options),
              AllOf(Not(HasSubstr("--time")), HasSubstr("--signal=B:TERM@30")));
  options.time = "UNLIMITED";
  EXPECT_THAT(*SlurmScript(options), Not(HasSubstr("--time-limit")));
  options.time_limit = absl::Seconds(90);
  EXPECT_THAT(*SlurmScript(options), HasSubstr("--time-limit 90s"));
}

TEST(SlurmScriptTest, WordsCannotBecomeCommands) {
  SlurmOptions options = Options();
  options.folder = "/scratch/a b$(reboot)";
  options.worker.more = {"; rm -rf /"};
  EXPECT_THAT(*SlurmScript(options), AllOf(HasSubstr("folder='/scratch/a b$(reboot)'/retort-"),
                                           HasSubstr(" '; rm -rf /'\n")));
  options.more = {"--comment=x\nreboot"};
  EXPECT_THAT(std::string(SlurmScript(options).status().message()), HasSubstr("control character"));
  options.more.clear();
  options.name = "Not a name";
  EXPECT_THAT(std::string(SlurmScript(options).status().message()), HasSubstr("--name"));
}

TEST(SlurmTimeTest, SpellingsOfSbatch) {
  const std::pair<const char*, absl::Duration> right[] = {
      {"90", absl::Minutes(90)},
      {"90:30", absl::Minutes(90) + absl::Seconds(30)},
      {"4:00:00", absl::Hours(4)},
      {"2-12", absl::Hours(60)},
      {"2-12:30", absl::Hours(60) + absl::Minutes(30)},
      {"2-0:0:5", absl::Hours(48) + absl::Seconds(5)},
      {"UNLIMITED", absl::InfiniteDuration()},
      {"0", absl::InfiniteDuration()},
  };
  for (const auto& [text, time] : right) {
    const auto parsed = ParseSlurmTime(text);
    ASSERT_TRUE(parsed.ok()) << text;
    EXPECT_EQ(*parsed, time) << text;
  }
  for (const char* text : {"", "4h", "1:2:3:4", "-5", "1-", "1-2-3", ":30", "1::2", "+5", "0:00"}) {
    EXPECT_FALSE(ParseSlurmTime(text).ok()) << text;
  }
}

TEST(SubmittedTest, OnlyANumberOfAJobIsTaken) {
  EXPECT_EQ(*ParseSubmitted("17\n"), 17);
  EXPECT_EQ(*ParseSubmitted("17;cluster\n"), 17);
  for (const char* output : {"", "Submitted batch job 17", "17 18", "0", "-3", "x;y"}) {
    EXPECT_FALSE(ParseSubmitted(output).ok()) << output;
  }
}

TEST(ShellTest, WordsComeBackAsTheyWere) {
  EXPECT_EQ(ShellQuoted("plain-1.0/x:y"), "plain-1.0/x:y");
  EXPECT_EQ(ShellQuoted(""), "''");
  EXPECT_EQ(ShellQuoted("~ada"), "'~ada'");
  EXPECT_EQ(ShellLine({"a b", "c'd", "$e"}), R"('a b' 'c'\''d' '$e')");
}

}  // namespace
}  // namespace retort
