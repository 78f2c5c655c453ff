#include "worker/agent/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace retort {
namespace {

using testing::HasSubstr;

v1::RunnerMachine Machine() {
  v1::RunnerMachine machine;
  machine.set_libtorch("1.13.1");
  machine.set_cpu("a CPU");
  machine.set_blas("OpenBLAS 0.3.21");
  machine.set_gflops(80);
  machine.set_slow_below(40);
  return machine;
}

const v1::Checkup& Of(const std::vector<v1::Checkup>& checkups, const std::string& what) {
  for (const v1::Checkup& checkup : checkups) {
    if (checkup.what() == what) return checkup;
  }
  ADD_FAILURE() << "no checkup of " << what;
  return checkups.front();
}

TEST(WorkerDoctorTest, AllIsWellOnAMachineForCpuJobs) {
  for (const v1::Checkup& checkup : JudgeRunner(Machine(), {"cpu"})) {
    EXPECT_EQ(checkup.state(), v1::CHECKUP_STATE_OK) << checkup.ShortDebugString();
  }
}

TEST(WorkerDoctorTest, ASlowBlasIsSaidWithItsSpeed) {
  v1::RunnerMachine machine = Machine();
  machine.set_gflops(11);
  const auto checkups = JudgeRunner(machine, {"cpu"});
  EXPECT_EQ(Of(checkups, "blas").state(), v1::CHECKUP_STATE_WARNING);
  EXPECT_EQ(Of(checkups, "blas").found(), "OpenBLAS 0.3.21: 11 GFLOP/s on one thread");
  EXPECT_THAT(Of(checkups, "blas").advice(), HasSubstr("libopenblas0-pthread"));
}

TEST(WorkerDoctorTest, GpusThatAreNotThereOrNotUsedAreNamed) {
  v1::RunnerMachine machine = Machine();
  EXPECT_EQ(Of(JudgeRunner(machine, {"cuda:0"}), "gpu").state(), v1::CHECKUP_STATE_ERROR);
  machine.add_gpus("a GPU");
  EXPECT_EQ(Of(JudgeRunner(machine, {"cuda:0"}), "gpu").state(), v1::CHECKUP_STATE_OK);
  const auto missing = JudgeRunner(machine, {"cuda:0", "cuda:1"});
  EXPECT_EQ(Of(missing, "gpu").state(), v1::CHECKUP_STATE_ERROR);
  EXPECT_THAT(Of(missing, "gpu").found(), HasSubstr("--device says cuda:1"));
  EXPECT_EQ(Of(JudgeRunner(machine, {"cpu"}), "gpu").state(), v1::CHECKUP_STATE_WARNING);
}

TEST(WorkerDoctorTest, ARunnerThatCannotRunIsAnError) {
  const auto checkups = JudgeRunner(AskRunner("/bin/false"), {"cpu"});
  ASSERT_EQ(checkups.size(), 1u);
  EXPECT_EQ(checkups[0].what(), "runner");
  EXPECT_EQ(checkups[0].state(), v1::CHECKUP_STATE_ERROR);
  EXPECT_THAT(checkups[0].found(), HasSubstr("/bin/false: exit code 1"));
  EXPECT_FALSE(AskRunner("/bin/echo").ok()) << "it says something else";
  EXPECT_FALSE(AskRunner("/does/not/exist").ok());
}

TEST(WorkerDoctorTest, MoreThreadsThanCoresAreSaid) {
  EXPECT_EQ(JudgeThreads(2, 1, 2, false).state(), v1::CHECKUP_STATE_OK);
  EXPECT_EQ(JudgeThreads(2, 2, 2, false).state(), v1::CHECKUP_STATE_WARNING);
  EXPECT_EQ(JudgeThreads(2, 2, 2, true).state(), v1::CHECKUP_STATE_OK);
}

}  // namespace
}  // namespace retort
