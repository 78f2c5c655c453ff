#include "client/cli/watch_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/screen.h"
#include "client/cli/table.h"

namespace retort {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int64_t kStart = 1'700'000'000;
const absl::Time kNow = absl::FromUnixSeconds(kStart + 720);

void AddMetric(v1::Job& job, const char* series, double value, int64_t step) {
  v1::MetricPoint& point = *job.add_latest_metrics();
  point.set_series(series);
  point.set_value(value);
  point.set_step(step);
}

v1::Job Running(int i) {
  v1::Job job;
  job.set_name(absl::StrCat("jobs/", i % 10, std::string(63, 'a')));
  job.set_state(v1::JOB_STATE_RUNNING);
  job.set_model("resnet1d-8/4");
  job.set_method("dkd(beta=8)");
  job.set_teacher("resnet1d-32/8");
  job.set_seed(i);
  job.set_attempt(1);
  job.set_epochs(30);
  job.set_epochs_done(i % 30);
  job.set_worker(absl::StrCat("workers/lab-", i % 2));
  AddMetric(job, "train.loss", 0.5 + i, i % 30);
  AddMetric(job, "train.samples_per_s", 1000.4, i % 30);
  AddMetric(job, "val.mae_bpm", 5.25, i % 30);
  return job;
}

v1::Worker WorkerOf(int i, int busy) {
  v1::Worker worker;
  worker.set_name(absl::StrCat("workers/lab-", i));
  worker.set_state(v1::WORKER_STATE_ACTIVE);
  worker.set_host("lab");
  worker.set_version("0.1.0");
  for (int slot = 0; slot < 2; ++slot) {
    worker.add_slots()->set_device(i == 0 ? "cpu" : absl::StrCat("cuda:", slot));
  }
  for (int job = 0; job < busy; ++job) worker.add_jobs("jobs/x");
  worker.set_succeeded(34);
  worker.mutable_seen_time()->set_seconds(kStart + 717);
  return worker;
}

v1::Job Failed(int i) {
  v1::Job job = Running(i);
  job.set_state(v1::JOB_STATE_FAILED);
  job.set_attempt(3);
  job.mutable_failure()->set_cause(v1::FAILURE_CAUSE_CRASHED);
  job.mutable_failure()->set_message("the runner died\x1b[2J by signal 11\nits log ends: x");
  return job;
}

WatchModel Model(int running, int workers, int failed) {
  WatchModel model;
  model.sweep.set_name("sweeps/demo");
  model.sweep.set_state(v1::SWEEP_STATE_ACTIVE);
  model.sweep.mutable_create_time()->set_seconds(kStart);
  model.sweep.set_eta_s(2040);
  v1::JobCounts& counts = *model.sweep.mutable_counts();
  counts.set_succeeded(45);
  counts.set_running(running);
  counts.set_queued(80);
  counts.set_blocked(24);
  counts.set_failed(failed);
  for (int i = 0; i < running; ++i) model.running.push_back(Running(i));
  for (int i = 0; i < workers; ++i) model.workers.push_back(WorkerOf(i, running > i ? 1 : 0));
  for (int i = 0; i < failed; ++i) model.failed.push_back(Failed(i));
  model.heard = kNow;
  return model;
}

std::string Text(const std::vector<ViewLine>& lines) {
  return absl::StrJoin(lines, "\n",
                       [](std::string* out, const ViewLine& line) { *out += line.text; });
}

TEST(WatchLines, ShowsASweepInEightyColumns) {
  EXPECT_EQ(Text(WatchLines(Model(2, 2, 1), kNow, {80, 24})),
            R"(sweep demo: active                                 for 12 min, about 34 min left
[#####################>................................................x] 45/152
45 succeeded, 2 running, 80 queued, 24 blocked, 1 failed

running   network       method       epoch   loss   MAE  samples/s  worker
0aaaaaaa  resnet1d-8/4  dkd(beta=8)  1/30   0.500  5.25       1000  lab-0
1aaaaaaa  resnet1d-8/4  dkd(beta=8)  2/30   1.500  5.25       1000  lab-1

worker  state   busy  load      devices        samples/s  done  failed  seen
lab-0   active  1/2   [###...]  2 cpu               1000    34       0  3 s
lab-1   active  1/2   [###...]  cuda:0 cuda:1       1000    34       0  3 s

failed    cause    network       message
0aaaaaaa  crashed  resnet1d-8/4  the runner died\x1b[2J by signal 11)");
}

TEST(WatchLines, SaysLessWhereItIsNarrowAndMoreWhereItIsWide) {
  const std::string narrow = Text(WatchLines(Model(2, 2, 1), kNow, {60, 20}));
  EXPECT_THAT(narrow, HasSubstr("running  network"));
  EXPECT_THAT(narrow, HasSubstr("5.25"));
  EXPECT_THAT(narrow, HasSubstr("lab-1"));
  EXPECT_THAT(narrow, Not(HasSubstr("teacher")));
  const std::string wide = Text(WatchLines(Model(2, 2, 1), kNow, {200, 60}));
  EXPECT_THAT(wide, AllOf(HasSubstr("resnet1d-32/8"), HasSubstr("cuda:0 cuda:1"),
                          HasSubstr("2 cpu"), HasSubstr("attempt"), HasSubstr("host")));
}

TEST(WatchLines, FitsEverySizeAndSaysWhatIsLeftOut) {
  for (const int jobs : {0, 1, 40}) {
    for (const int workers : {0, 3, 30}) {
      for (const int failed : {0, 25}) {
        for (int width = 1; width < 220; width += 7) {
          for (int height = 0; height < 70; height += 3) {
            const auto lines = WatchLines(Model(jobs, workers, failed), kNow, {width, height});
            ASSERT_LE(static_cast<int>(lines.size()), height);
            for (const ViewLine& line : lines) {
              ASSERT_LE(static_cast<int>(ShownWidth(line.text)), width) << line.text;
            }
          }
        }
      }
    }
  }
  const std::string text = Text(WatchLines(Model(40, 30, 25), kNow, {80, 24}));
  EXPECT_THAT(text, AllOf(HasSubstr("… and 36 more"), HasSubstr("… and 26 more"),
                          HasSubstr("… and 21 more")));
  // Nine lines: rows of what runs, and nothing of the rest.
  const std::string low = Text(WatchLines(Model(40, 30, 25), kNow, {80, 9}));
  EXPECT_THAT(low,
              AllOf(HasSubstr("lab-0"), HasSubstr("… and 37 more"), Not(HasSubstr("crashed"))));
}

TEST(WatchLines, SaysThatTheCoordinatorIsAway) {
  WatchModel model = Model(1, 1, 0);
  model.heard = kNow - absl::Seconds(4);
  EXPECT_THAT(Text(WatchLines(model, kNow, {80, 24})), Not(HasSubstr("away")));
  model.heard = kNow - absl::Seconds(12);
  const auto lines = WatchLines(model, kNow, {80, 24});
  EXPECT_EQ(lines[3].text, "The coordinator is away for 12 s; as it was before:");
  EXPECT_EQ(lines[3].style, LineStyle::kAlert);
}

TEST(WatchLines, TheBarHasAPlaceForWhateverIsThere) {
  WatchModel model = Model(0, 0, 0);
  v1::JobCounts& counts = *model.sweep.mutable_counts();
  counts.Clear();
  counts.set_succeeded(100000);
  counts.set_running(1);
  counts.set_failed(1);
  EXPECT_EQ(WatchLines(model, kNow, {30, 5})[1].text, "[############>x] 100000/100002");
  counts.Clear();
  counts.set_succeeded(3);
  EXPECT_EQ(WatchLines(model, kNow, {30, 5})[1].text, "[########################] 3/3");
}

TEST(WorkerLines, SaysWhyAWorkerTakesNothing) {
  v1::Worker worker = WorkerOf(0, 0);
  worker.set_state(v1::WORKER_STATE_QUARANTINED);
  worker.set_reason("5 jobs failed on it that succeeded elsewhere");
  const std::string text = Text(WorkerLines({worker, WorkerOf(1, 2)}, kNow, kNow, {80, 24}));
  EXPECT_THAT(text, HasSubstr("2 workers, 2 of 4 slots busy"));
  EXPECT_THAT(text, HasSubstr("quarantined"));
  EXPECT_THAT(text, HasSubstr("5 jobs failed"));
}

TEST(Painted, FillsTheScreenAndColoursOnlyWhereItMay) {
  const std::vector<ViewLine> lines = {{"title", LineStyle::kTitle}, {"[#>x.]", LineStyle::kBar}};
  EXPECT_EQ(Painted(lines, 3, false), "\x1b[H\x1b[Ktitle\r\n\x1b[K[#>x.]\r\n\x1b[K");
  EXPECT_THAT(Painted(lines, 3, true), HasSubstr("\x1b[1mtitle\x1b[0m"));
}

}  // namespace
}  // namespace retort
