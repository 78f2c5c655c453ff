#include "worker/agent/slurm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace retort {
namespace {

using ::testing::HasSubstr;
using Variables = std::map<std::string, std::string>;

absl::StatusOr<SlurmShare> Read(const Variables& variables) {
  return ReadSlurmShare([&](const char* name) {
    const auto it = variables.find(name);
    return it == variables.end() ? std::string() : it->second;
  });
}

TEST(SlurmShareTest, NamesTheTaskOfEachRunOfItsOwn) {
  EXPECT_EQ(Read({{"SLURM_JOB_ID", "17"}})->task, "17");
  const Variables array = {
      {"SLURM_JOB_ID", "19"}, {"SLURM_ARRAY_JOB_ID", "17"}, {"SLURM_ARRAY_TASK_ID", "2"}};
  EXPECT_EQ(Read(array)->task, "17-2");
  Variables again = array;
  again["SLURM_RESTART_COUNT"] = "0";
  EXPECT_EQ(Read(again)->task, "17-2");
  again["SLURM_RESTART_COUNT"] = "3";
  EXPECT_EQ(Read(again)->task, "17-2-r3");
}

TEST(SlurmShareTest, CpusAreThoseOfTheTaskElseOfTheNode) {
  EXPECT_EQ(Read({{"SLURM_JOB_ID", "1"}})->cpus, 1);
  EXPECT_EQ(Read({{"SLURM_JOB_ID", "1"}, {"SLURM_CPUS_ON_NODE", "6"}})->cpus, 6);
  EXPECT_EQ(Read({{"SLURM_JOB_ID", "1"}, {"SLURM_CPUS_ON_NODE", "6"}, {"SLURM_CPUS_PER_TASK", "4"}})
                ->cpus,
            4);
}

TEST(SlurmShareTest, GpusAreThoseThatSlurmGave) {
  const struct {
    Variables variables;
    int gpus;
  } cases[] = {
      {{}, 0},
      // Inherited from who submitted the job, which has none.
      {{{"CUDA_VISIBLE_DEVICES", "0,1"}}, 0},
      {{{"SLURM_GPUS_ON_NODE", "2"}}, 2},
      {{{"SLURM_GPUS_ON_NODE", "2"}, {"CUDA_VISIBLE_DEVICES", "3,5"}}, 2},
      {{{"SLURM_GPUS_ON_NODE", "4"}, {"CUDA_VISIBLE_DEVICES", "0"}}, 1},
      {{{"SLURM_JOB_GPUS", "1"}, {"CUDA_VISIBLE_DEVICES", "GPU-8932f937-d72c"}}, 1},
      {{{"SLURM_JOB_GPUS", "1"}, {"CUDA_VISIBLE_DEVICES", "NoDevFiles"}}, 0},
      {{{"SLURM_GPUS_ON_NODE", "0"}}, 0},
  };
  for (const auto& c : cases) {
    Variables variables = c.variables;
    variables["SLURM_JOB_ID"] = "1";
    const auto share = Read(variables);
    ASSERT_TRUE(share.ok()) << share.status();
    EXPECT_EQ(share->gpus, c.gpus) << ::testing::PrintToString(c.variables);
  }
}

TEST(SlurmShareTest, EndIsTakenWhereSlurmSaysIt) {
  EXPECT_FALSE(Read({{"SLURM_JOB_ID", "1"}})->end.has_value());
  EXPECT_EQ(Read({{"SLURM_JOB_ID", "1"}, {"SLURM_JOB_END_TIME", "1700000000"}})->end,
            absl::FromUnixSeconds(1700000000));
}

TEST(SlurmShareTest, WhatSlurmWouldNotSetIsNamed) {
  EXPECT_EQ(Read({}).status().code(), absl::StatusCode::kFailedPrecondition);
  const std::pair<const char*, const char*> wrong[] = {
      {"SLURM_CPUS_PER_TASK", "four"},   {"SLURM_CPUS_ON_NODE", "0"},
      {"SLURM_GPUS_ON_NODE", "-1"},      {"SLURM_RESTART_COUNT", "x"},
      {"SLURM_JOB_END_TIME", "Unknown"}, {"SLURM_ARRAY_JOB_ID", "1_2"}};
  for (const auto& [name, value] : wrong) {
    const auto share = Read({{"SLURM_JOB_ID", "1"}, {name, value}});
    EXPECT_EQ(share.status().code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_THAT(std::string(share.status().message()), HasSubstr(name));
    EXPECT_THAT(std::string(share.status().message()), HasSubstr(value));
  }
}

TEST(WorkingTimeTest, LeavingEndsBeforeTheLimit) {
  EXPECT_EQ(*WorkingTime(absl::Hours(1), absl::Seconds(50)), absl::Seconds(3550));
  EXPECT_FALSE(WorkingTime(absl::Seconds(50), absl::Seconds(50)).ok());
}

}  // namespace
}  // namespace retort
