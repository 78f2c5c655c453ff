#include "server/core/job_state.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

#include "retort/v1/resources.pb.h"

namespace retort::core {
namespace {

using enum JobState;

// The diagram of job_state.h, edge by edge.
const std::set<std::pair<JobState, JobState>> kEdges = {
    {kBlocked, kQueued},   {kBlocked, kSkipped},   {kSkipped, kBlocked},   {kQueued, kLeased},
    {kLeased, kRunning},   {kRunning, kSucceeded}, {kLeased, kQueued},     {kRunning, kQueued},
    {kLeased, kBlocked},   {kRunning, kBlocked},   {kLeased, kFailed},     {kRunning, kFailed},
    {kFailed, kBlocked},   {kFailed, kQueued},     {kBlocked, kCancelled}, {kQueued, kCancelled},
    {kLeased, kCancelled}, {kRunning, kCancelled}, {kCancelled, kBlocked}, {kCancelled, kQueued},
    {kSucceeded, kQueued}, {kQueued, kBlocked},    {kQueued, kSucceeded},  {kBlocked, kSucceeded}};

TEST(JobStateTest, MovesAreThoseOfTheDiagram) {
  for (int from = 1; from <= kJobStates; ++from) {
    for (int to = 1; to <= kJobStates; ++to) {
      const std::pair edge(static_cast<JobState>(from), static_cast<JobState>(to));
      EXPECT_EQ(CanMove(edge.first, edge.second), kEdges.contains(edge))
          << WordFor(edge.first) << " -> " << WordFor(edge.second);
    }
  }
}

TEST(JobStateTest, StatesHaveTheNumbersOfTheWire) {
  EXPECT_EQ(static_cast<int>(kBlocked), v1::JOB_STATE_BLOCKED);
  EXPECT_EQ(static_cast<int>(kQueued), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(static_cast<int>(kLeased), v1::JOB_STATE_LEASED);
  EXPECT_EQ(static_cast<int>(kRunning), v1::JOB_STATE_RUNNING);
  EXPECT_EQ(static_cast<int>(kSucceeded), v1::JOB_STATE_SUCCEEDED);
  EXPECT_EQ(static_cast<int>(kFailed), v1::JOB_STATE_FAILED);
  EXPECT_EQ(static_cast<int>(kSkipped), v1::JOB_STATE_SKIPPED);
  EXPECT_EQ(static_cast<int>(kCancelled), v1::JOB_STATE_CANCELLED);
}

}  // namespace
}  // namespace retort::core
