#include "common/names.h"

#include <gtest/gtest.h>

#include "common/hash.h"

namespace retort {
namespace {

TEST(Names, ReadBackWhatTheyPrint) {
  const JobId job(Sha256Of("x"));
  EXPECT_EQ(*ParseSweepName(SweepName("ieee-2")), "ieee-2");
  EXPECT_EQ(*ParseJobName(JobName(job)), job);
  EXPECT_EQ(*ParseWorkerName(WorkerName("host-1.lab")), "host-1.lab");
  EXPECT_EQ(*ParseJobPrefix("jobs/abcdef"), "abcdef");
}

TEST(Names, RefuseWhatCouldEscapeOrConfuse) {
  for (const char* name :
       {"sweeps/", "sweeps/../x", "sweeps/A", "sweeps/-x", "jobs/x", "ieee", ""}) {
    EXPECT_FALSE(ParseSweepName(name).ok()) << name;
  }
  EXPECT_FALSE(ParseSweepName("sweeps/" + std::string(64, 'a')).ok());
  EXPECT_FALSE(ParseJobPrefix("jobs/abcde").ok()) << "too short to be safe";
  EXPECT_FALSE(ParseJobPrefix("jobs/abcdeg").ok());
  EXPECT_FALSE(ParseWorkerName("workers/a/b").ok());
}

TEST(Names, ErrorsEscapeWhatATerminalWouldObey) {
  const auto status = ParseSweepName("sweeps/\x1b[2J").status();
  EXPECT_EQ(status.ToString().find('\x1b'), std::string::npos) << status;
}

}  // namespace
}  // namespace retort
