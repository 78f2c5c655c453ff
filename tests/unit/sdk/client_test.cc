#include "client/sdk/client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/time/clock.h"
#include "common/hash.h"
#include "common/status.h"
#include "tests/unit/sdk/fake_coordinator.h"

namespace retort {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class ClientTest : public ::testing::Test {
 protected:
  void AddSweep(const std::string& name, v1::SweepState state) {
    const std::lock_guard lock(fake_.mutex);
    fake_.sweeps[name].set_name("sweeps/" + name);
    fake_.sweeps[name].set_state(state);
  }
  void SetState(const std::string& name, v1::SweepState state) {
    const std::lock_guard lock(fake_.mutex);
    fake_.sweeps[name].set_state(state);
  }

  FakeCoordinator fake_;
  Client client_{fake_.address()};
};

TEST_F(ClientTest, RepeatsACallWhileTheCoordinatorIsAwayWithTheSameRequestId) {
  AddSweep("a", v1::SWEEP_STATE_ACTIVE);
  fake_.unavailable = 2;
  const auto sweep = client_.CancelSweep("a");
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  EXPECT_EQ(sweep->state(), v1::SWEEP_STATE_CANCELLED);
  EXPECT_THAT(fake_.request_ids, SizeIs(1));
}

TEST_F(ClientTest, GivesUpWhenPatienceEndsAndNamesTheAddress) {
  fake_.Kill();
  Client client(fake_.address(), {.patience = absl::Milliseconds(300)});
  const auto sweeps = client.ListSweeps();
  EXPECT_EQ(sweeps.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(MessageOf(sweeps.status()), HasSubstr(fake_.address()));
}

TEST_F(ClientTest, OtherErrorsAreNotRepeated) {
  const auto job = client_.GetJob("123456");
  EXPECT_EQ(job.status().code(), absl::StatusCode::kNotFound);
  const auto jobs = client_.ListJobs("none");
  EXPECT_EQ(jobs.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(fake_.list_job_calls, 1);
}

TEST_F(ClientTest, ListsEveryPage) {
  for (int i = 0; i < 7; ++i) {
    fake_.jobs.push_back(SucceededJob("resnet1d-4/4", Scratch(), "", i, 0, 5));
  }
  const auto jobs = client_.ListJobs("");
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  ASSERT_THAT(*jobs, SizeIs(7));
  for (int i = 0; i < 7; ++i) EXPECT_EQ((*jobs)[i].seed(), i);
  EXPECT_EQ(fake_.list_job_calls, 3);
}

TEST_F(ClientTest, SubmittingUploadsWhatIsMissingAndOnlyThat) {
  const std::string path = ::testing::TempDir() + "dataset.bin";
  const std::string bytes(3'000'000, 'x');
  std::ofstream(path, std::ios::binary) << bytes;
  const std::string sha256 = ArtifactHash(Sha256Of(bytes)).hex();
  v1::SweepSpec spec;
  spec.set_name("a");
  spec.add_datasets()->mutable_info()->set_sha256(sha256);
  ASSERT_TRUE(client_.Submit(spec, {{sha256, path}}).ok());
  EXPECT_EQ(fake_.artifacts.at(sha256), bytes);
  EXPECT_EQ(fake_.upload_parts, 3);
  ASSERT_TRUE(client_.Submit(spec, {{sha256, path}}).ok());
  EXPECT_EQ(fake_.upload_parts, 3);

  const std::string copy = path + ".copy";
  ASSERT_TRUE(client_.Download(sha256, copy).ok());
  EXPECT_EQ(std::filesystem::file_size(copy), bytes.size());
  EXPECT_TRUE(absl::IsNotFound(client_.Download(std::string(64, '0'), path + ".none")));
  EXPECT_FALSE(std::filesystem::exists(path + ".none"));
}

TEST_F(ClientTest, ADryRunUploadsNothing) {
  v1::SweepSpec spec;
  spec.set_name("a");
  spec.add_datasets()->mutable_info()->set_sha256(std::string(64, '1'));
  const auto created = client_.Submit(spec, {{std::string(64, '1'), "none"}}, true);
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(created->jobs(), 7);
  EXPECT_TRUE(fake_.sweeps.empty());
}

TEST_F(ClientTest, WaitsUntilTheSweepIsDoneAndTellsProgress) {
  AddSweep("a", v1::SWEEP_STATE_ACTIVE);
  std::thread worker([&] {
    absl::SleepFor(absl::Milliseconds(300));
    SetState("a", v1::SWEEP_STATE_DONE);
  });
  int calls = 0;
  const auto sweep = client_.WaitForSweep("a", absl::Seconds(20), [&](const SweepProgress&) {
    ++calls;
    return true;
  });
  worker.join();
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  EXPECT_EQ(sweep->state(), v1::SWEEP_STATE_DONE);
  EXPECT_GE(calls, 2);
}

TEST_F(ClientTest, AWaitOutlivesTheCoordinator) {
  AddSweep("a", v1::SWEEP_STATE_ACTIVE);
  std::thread crash([&] {
    absl::SleepFor(absl::Milliseconds(200));
    fake_.Kill();
    absl::SleepFor(absl::Milliseconds(700));
    SetState("a", v1::SWEEP_STATE_DONE);
    fake_.Restart();
  });
  absl::Duration longest;
  const auto sweep = client_.WaitForSweep("a", absl::Seconds(30), [&](const SweepProgress& p) {
    longest = std::max(longest, p.away);
    return true;
  });
  crash.join();
  ASSERT_TRUE(sweep.ok()) << sweep.status();
  EXPECT_GT(longest, absl::ZeroDuration());
}

TEST_F(ClientTest, AWaitEndsByItsTimeoutOrByTheCallback) {
  AddSweep("a", v1::SWEEP_STATE_ACTIVE);
  const auto late = client_.WaitForSweep("a", absl::Milliseconds(300), {});
  EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
  const auto stopped =
      client_.WaitForSweep("a", absl::Seconds(20), [](const SweepProgress&) { return false; });
  EXPECT_EQ(stopped.status().code(), absl::StatusCode::kCancelled);
  const auto none = client_.WaitForSweep("none", absl::Seconds(20), {});
  EXPECT_EQ(none.status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ClientTest, GivesLogsInOrder) {
  fake_.log = "epoch 1\nepoch 2\n";
  std::string text;
  const auto status =
      client_.TailLogs(std::string(64, 'a'), 0, 0, false, [&](std::string_view part) {
        text += part;
        return true;
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(text, fake_.log);
}

}  // namespace
}  // namespace retort
