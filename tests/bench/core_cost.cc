// What the pure core costs at a million jobs: memory of its state, and time of its decisions,
// without database or network. Prints lines of JSON. Usage: retort_core_cost [JOBS]
#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/hash.h"
#include "server/core/decide.h"
#include "server/core/state.h"

namespace retort::core {
namespace {

constexpr int64_t kTeachers = 1000;
constexpr int kSlots = 16;

// Processor time of this process: other work on the machine must not count.
double CpuSeconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

int64_t HeapBytes() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<int64_t>(info.uordblks + info.hblkhd);
}

JobId IdOf(int64_t job) { return JobId(Sha256Of(absl::StrCat("job ", job))); }

class Bench {
 public:
  explicit Bench(int64_t jobs) : jobs_(jobs) {
    now_.monotonic = absl::Seconds(1);
    now_.wall = absl::FromUnixSeconds(1'700'000'000);
  }

  void Run() {
    const int64_t before = HeapBytes();
    const auto begin = CpuSeconds();
    Submit();
    std::printf(
        "{\"bench\":\"core_submit\",\"jobs\":%ld,\"s\":%.2f,\"state_bytes\":%ld,\"bytes_per_job\":%"
        ".0f}\n",
        static_cast<long>(jobs_), (CpuSeconds() - begin), static_cast<long>(HeapBytes() - before),
        static_cast<double>(HeapBytes() - before) / static_cast<double>(jobs_));
    Exchange("first", 2000);
    Exchange("later", 2000);
    ChangeAll();
  }

 private:
  void Do(const Input& input) {
    auto decision = Decide(state_, input, now_);
    if (!decision.ok()) {
      std::fprintf(stderr, "%s\n", decision.status().ToString().c_str());
      std::exit(1);
    }
    state_.Apply(*decision);
    for (const Reply& reply : decision->replies) {
      if (const auto* answer = std::get_if<SyncReply>(&reply.body)) answer_ = *answer;
    }
  }
  void Settle() {
    while (state_.NextWake() <= now_.monotonic) Do(Wake{});
  }

  // Every tenth job needs a teacher; the others can be placed at once.
  void Submit() {
    auto spec = std::make_shared<v1::SweepSpec>();
    spec->set_name("million");
    Do(BeginSweep{0, "request", spec, jobs_, {}});
    for (int64_t first = 0; first < jobs_; first += kMostJobsInChunk) {
      auto chunk = std::make_shared<std::vector<NewJob>>();
      for (int64_t j = first; j < std::min(jobs_, first + kMostJobsInChunk); ++j) {
        NewJob job;
        job.id = IdOf(j);
        job.kind = j < kTeachers ? JobKind::kTeacher : JobKind::kStudent;
        if (j >= kTeachers && j % 10 == 0) job.teacher = IdOf(j % kTeachers);
        job.expected_cost = static_cast<double>(1 + j * 7919 % 1000);
        job.memory_bytes = (1 + j % 7) << 28;
        chunk->push_back(std::move(job));
      }
      Do(SweepChunk{0, {1}, first, chunk});
    }
    Settle();
  }

  // Syncs of one worker that each report 16 results and take 16 jobs.
  void Exchange(const char* when, int syncs) {
    double sync_s = 0, wake_s = 0;
    for (int i = 0; i < syncs; ++i) {
      Sync sync;
      sync.worker = "w";
      sync.incarnation = 1;
      sync.number = ++number_;
      for (int s = 0; s < kSlots; ++s) sync.slots.push_back({s, "cpu", int64_t{64} << 30});
      sync.wanted = kSlots;
      for (const Grant& grant : answer_.grants) {
        FinishedReport report;
        report.id = grant.id;
        report.result = result_;
        report.weights_held = true;
        report.weights = {ArtifactHash(Sha256Of(absl::StrCat("w", grant.key.value))), 1};
        report.device_s = 1;
        sync.finished.push_back(std::move(report));
      }
      sync.token = ++token_;
      now_.monotonic += absl::Milliseconds(1);
      now_.wall += absl::Milliseconds(1);
      answer_ = {};
      const auto begin = CpuSeconds();
      Do(sync);
      sync_s += (CpuSeconds() - begin);
      const auto wake = CpuSeconds();
      Settle();
      wake_s += (CpuSeconds() - wake);
    }
    std::printf(
        "{\"bench\":\"core_sync_16\",\"when\":\"%s\",\"syncs\":%d,\"us_per_sync\":%.1f,\"us_per_"
        "job\":%.2f,\"wake_us_per_sync\":%.1f}\n",
        when, syncs, 1e6 * sync_s / syncs, 1e6 * sync_s / syncs / kSlots, 1e6 * wake_s / syncs);
  }

  // Cancels the whole sweep: how long the strand is kept by one part of it.
  void ChangeAll() {
    Do(ChangeJobs{0, "cancel", ChangeJobs::What::kCancel, {}, "million", {}, {}, {}});
    double longest = 0, all = 0;
    int wakes = 0;
    while (state_.NextWake() <= now_.monotonic) {
      const auto begin = CpuSeconds();
      Do(Wake{});
      const double took = (CpuSeconds() - begin);
      longest = std::max(longest, took);
      all += took;
      ++wakes;
    }
    std::printf(
        "{\"bench\":\"core_cancel_all\",\"wakes\":%d,\"s\":%.2f,\"longest_wake_ms\":%.1f}\n", wakes,
        all, 1e3 * longest);
  }

  const int64_t jobs_;
  State state_;
  Now now_;
  Token token_ = 0;
  int64_t number_ = 0;
  SyncReply answer_;
  const std::shared_ptr<const v1::JobResult> result_ = std::make_shared<const v1::JobResult>();
};

}  // namespace
}  // namespace retort::core

int main(int argc, char** argv) {
  retort::core::Bench(argc > 1 ? std::atol(argv[1]) : 1'000'000).Run();
  return 0;
}
