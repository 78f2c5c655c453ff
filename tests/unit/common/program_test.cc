#include "common/program.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

namespace retort {
namespace {

using ::testing::HasSubstr;

TEST(ProgramTest, SaysWhatItPrintedAndHowItEnded) {
  const auto answer =
      RunProgram({.command = {"sh", "-c", "tr a-z A-Z; echo oh >&2; exit 3"}, .input = "hello"});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->exit_code, 3);
  EXPECT_EQ(answer->out, "HELLO");
  EXPECT_EQ(answer->err, "oh\n");
}

TEST(ProgramTest, LargeInputAndOutputDoNotBlockEachOther) {
  const std::string text(4 << 20, 'x');
  const auto answer = RunProgram({.command = {"cat"}, .input = text});
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->out, text);
}

TEST(ProgramTest, OneThatDoesNotReadItsInputIsNoTrouble) {
  EXPECT_EQ(RunProgram({.command = {"true"}, .input = std::string(4 << 20, 'x')})->exit_code, 0);
}

TEST(ProgramTest, OneThatHangsIsKilledWithItsChildren) {
  const auto answer =
      RunProgram({.command = {"sh", "-c", "sleep 1000 & wait"}, .limit = absl::Milliseconds(200)});
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(std::string(answer.status().message()),
              HasSubstr("sh has not answered within 200ms"));
}

TEST(ProgramTest, MissingProgramIsNotFound) {
  EXPECT_EQ(RunProgram({.command = {"no-such-program"}}).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(ProgramTest, VariablesCanBeKeptFromIt) {
  setenv("SQUEUE_STATES", "CANCELLED", 1);
  const ProgramRun run = {.command = {"sh", "-c", "echo ${SQUEUE_STATES:-none} ${HOME:+home}"},
                          .without_variables = "SQUEUE_"};
  EXPECT_EQ(*OutputOf(run), "none home\n");
}

TEST(ProgramTest, FailureCarriesTheLastLine) {
  const auto output =
      OutputOf({.command = {"sh", "-c", "echo one >&2; echo two >&2; echo three >&2; exit 1"}});
  EXPECT_EQ(std::string(output.status().message()), "sh failed with exit code 1: two; three");
}

}  // namespace
}  // namespace retort
