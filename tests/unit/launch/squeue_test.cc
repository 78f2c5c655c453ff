#include "client/launch/squeue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace retort {
namespace {

using ::testing::ElementsAre;
using enum SlurmPhase;

// Every state of `man squeue`, JOB STATE CODES, of Slurm 22.05.
const std::map<std::string, SlurmPhase> kStates = {
    {"BOOT_FAIL", kEnded},       {"CANCELLED", kEnded},      {"COMPLETED", kEnded},
    {"CONFIGURING", kRunning},   {"COMPLETING", kLeaving},   {"DEADLINE", kEnded},
    {"FAILED", kEnded},          {"NODE_FAIL", kEnded},      {"OUT_OF_MEMORY", kEnded},
    {"PENDING", kWaiting},       {"PREEMPTED", kEnded},      {"RUNNING", kRunning},
    {"RESV_DEL_HOLD", kWaiting}, {"REQUEUE_FED", kWaiting},  {"REQUEUE_HOLD", kWaiting},
    {"REQUEUED", kWaiting},      {"RESIZING", kRunning},     {"REVOKED", kEnded},
    {"SIGNALING", kRunning},     {"SPECIAL_EXIT", kWaiting}, {"STAGE_OUT", kLeaving},
    {"STOPPED", kRunning},       {"SUSPENDED", kRunning},    {"TIMEOUT", kEnded},
};

TEST(SqueueTest, EveryStateHasAMeaning) {
  ASSERT_EQ(kStates.size(), 24u);
  for (const auto& [state, phase] : kStates) EXPECT_EQ(PhaseOf(state), phase) << state;
  std::vector<std::string> names;
  for (const auto& [state, phase] : kStates) names.push_back(state);
  EXPECT_EQ(SlurmStates(), names);
}

TEST(SqueueTest, AStateThatIsNotKnownIsNotDead) {
  for (const char* word :
       {"", "running", "RUNNIN", "HIBERNATING", "NODE_FAIL ", "R", "CANCELLED+"}) {
    EXPECT_EQ(PhaseOf(word), kUnknown) << word;
  }
}

constexpr char kHeader[] = "ARRAY_JOB_ID|ARRAY_TASK_ID|STATE|.\n";

TEST(SqueueTest, TasksAreRead) {
  const auto tasks = ParseSqueue(std::string(kHeader) + "17|0|RUNNING|.\n17|12|WARPING|.\n");
  ASSERT_TRUE(tasks.ok()) << tasks.status();
  ASSERT_EQ(tasks->size(), 2u);
  EXPECT_EQ((*tasks)[0].id.text(), "17_0");
  EXPECT_EQ((*tasks)[0].phase, kRunning);
  EXPECT_EQ((*tasks)[1].id.text(), "17_12");
  EXPECT_EQ((*tasks)[1].phase, kUnknown);
  EXPECT_EQ((*tasks)[1].state, "WARPING");
}

TEST(SqueueTest, TheHeaderAloneMeansNoTasks) {
  const auto tasks = ParseSqueue(kHeader);
  ASSERT_TRUE(tasks.ok()) << tasks.status();
  EXPECT_TRUE(tasks->empty());
}

TEST(SqueueTest, AnythingElseIsNotKnownRatherThanNone) {
  const std::string header = kHeader;
  for (const std::string& output : {
           std::string(),
           std::string("\n"),
           std::string("17|0|RUNNING|.\n"),        // no header
           std::string("JOBID PARTITION NAME\n"),  // another format
           header.substr(0, header.size() - 1),    // cut in the header
           header + "17|0|RUNNING|.",              // cut at the end of a line
           header + "17|0|RUNNI",                  // cut within one
           header + "17|0|RUNNING|.\n17|1|RUN\n",  // a line that was cut
           header + "17|0|RUNNING\n",              // a field is missing
           header + "17|0||.\n",                   // no state
           header + "17|[1-3]|PENDING|.\n",        // tasks as a range
           header + "17|N/A|RUNNING|.\n",          // no task of an array
           header + "-1|0|RUNNING|.\n",
           header + "99999999999999999999|0|RUNNING|.\n",
           header + "slurm_load_jobs error: Unable to contact slurm controller\n",
           header + "\n17|0|RUNNING|.\n",
       }) {
    EXPECT_EQ(ParseSqueue(output).status().code(), absl::StatusCode::kDataLoss) << output;
  }
}

TEST(SqueueTest, AsksForTasksOfThisNameWithTheirStates) {
  EXPECT_THAT(SqueueArguments("retort-x"), ElementsAre("--me", "--array", "--states=all",
                                                       "--name=retort-x", "--format=%F|%K|%T|."));
}

}  // namespace
}  // namespace retort
