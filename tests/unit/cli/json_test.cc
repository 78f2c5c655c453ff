// What -o json says, to the byte: programs read it. A change here is a change of
// client/cli/json.md.
#include <gtest/gtest.h>

#include "client/cli/commands.h"
#include "client/cli/rows.h"
#include "common/files.h"

namespace retort {
namespace {

constexpr int64_t kTime = 1'700'000'000;

TEST(GoldenJson, OfASweep) {
  v1::Sweep sweep;
  sweep.set_name("sweeps/demo");
  sweep.set_state(v1::SWEEP_STATE_ACTIVE);
  sweep.mutable_create_time()->set_seconds(kTime);
  sweep.mutable_counts()->set_succeeded(45);
  sweep.mutable_counts()->set_running(2);
  sweep.mutable_counts()->set_failed(1);
  sweep.set_known_jobs(3);
  sweep.set_eta_s(12.5);
  sweep.set_device_s(600);
  EXPECT_EQ(
      SweepRow(sweep).dump(),
      R"({"sweep":"demo","state":"active","reason":null,"jobs":48,"known_jobs":3,"blocked":0,)"
      R"("queued":0,"leased":0,"running":2,"succeeded":45,"failed":1,"skipped":0,)"
      R"("cancelled":0,"eta_s":12.5,"device_s":600.0,"create_time":"2023-11-14T22:13:20Z",)"
      R"("end_time":null})");
}

TEST(GoldenJson, OfAJob) {
  v1::Job job;
  job.set_name("jobs/" + std::string(64, 'a'));
  job.set_state(v1::JOB_STATE_FAILED);
  job.set_kind(v1::JOB_KIND_STUDENT);
  job.set_model("resnet1d-4/4");
  job.set_method("dkd(beta=8)");
  job.set_teacher("resnet1d-32/8");
  job.set_seed(9007199254740993);
  job.set_fold(1);
  job.set_attempt(3);
  job.set_epochs(30);
  job.mutable_failure()->set_cause(v1::FAILURE_CAUSE_OUT_OF_MEMORY);
  job.mutable_failure()->set_message("3 GiB");
  job.mutable_create_time()->set_seconds(kTime);
  job.mutable_end_time()->set_seconds(kTime + 1);
  EXPECT_EQ(JobRow(job).dump(),
            R"({"job":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",)"
            R"j("state":"failed","kind":"student","model":"resnet1d-4/4","method":"dkd(beta=8)",)j"
            R"("teacher":"resnet1d-32/8","seed":9007199254740993,"fold":1,"attempt":3,)"
            R"("epochs_done":0,"epochs":30,"worker":null,"failure":"out_of_memory",)"
            R"("failure_message":"3 GiB","create_time":"2023-11-14T22:13:20Z",)"
            R"("end_time":"2023-11-14T22:13:21Z"})");
}

TEST(GoldenJson, OfAWorker) {
  v1::Worker worker;
  worker.set_name("workers/lab-1");
  worker.set_state(v1::WORKER_STATE_QUARANTINED);
  worker.set_reason("5 jobs failed on it");
  worker.set_host("lab");
  worker.add_slots()->set_device("cuda:0");
  worker.add_slots()->set_device("cuda:1");
  worker.add_jobs("jobs/" + std::string(64, 'b'));
  worker.set_version("0.1.0");
  worker.mutable_seen_time()->set_seconds(kTime);
  worker.set_succeeded(34);
  worker.set_failed(5);
  EXPECT_EQ(
      WorkerRow(worker).dump(),
      R"({"worker":"lab-1","state":"quarantined","reason":"5 jobs failed on it","host":"lab",)"
      R"("slots":2,"busy":1,"succeeded":34,"failed":5,"seen_time":"2023-11-14T22:13:20Z",)"
      R"("version":"0.1.0","devices":["cuda:0","cuda:1"],)"
      R"("jobs":["bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"]})");
}

TEST(GoldenJson, IsDescribedInThePage) {
  const auto page = ReadFile(RETORT_SOURCE_DIR "/client/cli/json.md");
  ASSERT_TRUE(page.ok()) << page.status();
  for (const Json& row : {SweepRow({}), JobRow({}), WorkerRow({}), JobDetails({})}) {
    for (const auto& item : row.items()) {
      EXPECT_NE(page->find(item.key()), std::string::npos) << item.key() << " is not in json.md";
    }
  }
}

}  // namespace
}  // namespace retort
