// The store alone, with the records that the coordinator commits. See README.md of tests/bench.
//
// CPU time is that of the committing thread, and is what counts on a machine that does other things
// too; wall time has the disk's flushes in it.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/hash.h"
#include "server/core/records.h"
#include "server/core/state.h"
#include "server/store/sqlite_store.h"

namespace retort::store {
namespace {

using namespace core;

// A store in a folder that goes away, with one sweep and one worker.
class Bench {
 public:
  Bench() {
    std::string folder = absl::StrCat(Parent(), "/retort-bench-XXXXXX");
    folder_ = mkdtemp(folder.data());
    Open();
  }
  ~Bench() {
    store_.reset();
    std::filesystem::remove_all(folder_);
  }

  static std::string Parent() {
    const char* parent = getenv("RETORT_BENCH_FOLDER");
    return parent == nullptr ? "/tmp" : parent;
  }
  void Open() {
    store_.reset();
    store_ = *OpenSqliteStore(folder_);
  }
  Store& store() { return *store_; }

  void Commit(const std::vector<Record>& records) {
    std::vector<const Record*> pointers;
    pointers.reserve(records.size());
    for (const Record& record : records) pointers.push_back(&record);
    const CommitResult result = store_->Commit(pointers);
    if (!result.status.ok()) {
      fprintf(stderr, "commit: %s\n", result.status.ToString().c_str());
      abort();
    }
    store_->TidyUp();
  }

  // Sweep 1 with jobs 1..count, in chunks as the expander sends them, and worker 1.
  void Fill(int64_t count) {
    auto spec = std::make_shared<v1::SweepSpec>();
    sweep_.state = SweepState::kActive;
    std::vector<Record> records = {SweepCreated{{1}, {"s", 0, count, 1, {}}, sweep_, spec},
                                   WorkerCreated{{1}, Worker()}};
    v1::TrainingSpec training;
    training.mutable_dataset()->set_sha256(std::string(64, 'a'));
    training.set_teacher_job(std::string(64, 'b'));
    training.mutable_train()->set_epochs(10);
    for (int64_t i = 1; i <= count; ++i) {
      auto details = std::make_shared<NewJob>();
      training.set_seed(i);
      details->spec = training.SerializeAsString();
      details->model = "resnet1d-32/8";
      details->method = "scratch";
      details->seed = i;
      details->epochs = 10;
      JobCreated job;
      job.key = {i};
      job.id = JobId(Sha256Of(std::to_string(i)));
      job.expected_cost = 1e9;
      job.create_ms = kNow;
      job.row = Queued();
      job.details = details;
      records.emplace_back(std::move(job));
      records.push_back(MemberAdded{{1}, {i}, i - 1});
      if (i % 5000 == 0 || i == count) {
        Commit(records);
        records.clear();
      }
    }
  }

  static WorkerRow Worker() {
    WorkerRow row;
    row.name = "worker-1";
    row.host = "host";
    row.version = "0.1.0";
    for (int32_t i = 0; i < 16; ++i) row.slots.push_back({i, "cpu", int64_t{1} << 30});
    return row;
  }
  static JobRow Queued() {
    JobRow row;
    row.state = JobState::kQueued;
    return row;
  }

  // A worker was given these jobs.
  void Lease(int64_t first, int64_t count, std::vector<Record>& out) {
    for (int64_t key = first; key < first + count; ++key) {
      out.push_back(JobChanged{{key}, Queued(), Leased()});
    }
    Counts(out);
  }
  // It did them.
  void Finish(int64_t first, int64_t count, std::vector<Record>& out) {
    static const auto result = Result();
    for (int64_t key = first; key < first + count; ++key) {
      JobRow row = Leased();
      row.state = JobState::kSucceeded;
      row.start_ms = row.end_ms = kNow;
      out.push_back(JobChanged{{key}, Leased(), row});
      AttemptEnded attempt;
      attempt.job = {key};
      attempt.number = 1;
      attempt.worker = {1};
      attempt.lease_ms = attempt.start_ms = attempt.end_ms = kNow;
      attempt.device_s = 1;
      out.push_back(attempt);
      out.push_back(ResultAccepted{{key}, {ArtifactHash(Sha256Of("weights")), 7}, 1, result});
    }
    Counts(out);
  }

 private:
  static constexpr int64_t kNow = 1'700'000'000'000;

  static JobRow Leased() {
    JobRow row;
    row.state = JobState::kLeased;
    row.attempt = 1;
    row.worker = {1};
    row.lease_ms = kNow;
    return row;
  }
  static std::shared_ptr<const v1::JobResult> Result() {
    auto result = std::make_shared<v1::JobResult>();
    auto& overall = *result->add_evaluations()->mutable_overall();
    overall.set_mae_bpm(4.5);
    overall.set_rmse_bpm(6);
    result->mutable_cost()->set_params(1668);
    result->mutable_cost()->set_macs(100'000);
    result->set_epochs(10);
    result->set_train_s(1);
    result->set_numeric_fingerprint("cpu-openblas-1-1.13");
    return result;
  }
  void Counts(std::vector<Record>& out) {
    ++sweep_.counts[0];
    out.push_back(SweepChanged{{1}, sweep_, sweep_});
    out.push_back(WorkerChanged{{1}, Worker(), Worker()});
  }

  std::string folder_;
  std::unique_ptr<Store> store_;
  SweepRow sweep_;
};

// Jobs from lease to result; range(0) Syncs in a commit, each of 16 results and 16 leases.
void Jobs(benchmark::State& state) {
  const int64_t per_commit = 16 * state.range(0);
  const int64_t all = state.range(1);
  Bench bench;
  bench.Fill(all);
  int64_t next = 1, jobs = 0;
  for (auto _ : state) {
    if (next + 2 * per_commit > all) {
      state.SkipWithError("out of jobs");
      break;
    }
    std::vector<Record> records;
    for (int64_t i = 0; i < state.range(0); ++i) {
      if (next > per_commit) bench.Finish(next - per_commit + 16 * i, 16, records);
      bench.Lease(next + 16 * i, 16, records);
    }
    bench.Commit(records);
    next += per_commit;
    jobs += per_commit;
  }
  state.SetItemsProcessed(jobs);
}
BENCHMARK(Jobs)->Args({1, 100'000})->Iterations(1000)->Unit(benchmark::kMicrosecond);
BENCHMARK(Jobs)->Args({16, 100'000})->Iterations(300)->Unit(benchmark::kMicrosecond);
BENCHMARK(Jobs)->Args({64, 100'000})->Iterations(90)->Unit(benchmark::kMicrosecond);

// Metric points: range(0) batches of 1000 points in a commit, of 5 series each, of 8 jobs in turn.
void Points(benchmark::State& state) {
  Bench bench;
  bench.Fill(1000);
  constexpr int kBatch = 1000, kJobs = 8, kSeries = 5;
  int64_t points = 0;
  std::vector<int64_t> steps(kJobs);
  for (auto _ : state) {
    state.PauseTiming();
    std::vector<Record> records;
    for (int64_t b = 0; b < state.range(0); ++b) {
      const auto job = static_cast<size_t>(b % kJobs);
      auto batch = std::make_shared<v1::MetricBatch>();
      for (int i = 0; i < kBatch; ++i) {
        auto* point = batch->add_points();
        point->set_series(absl::StrCat("train.series_", i % kSeries));
        point->set_step(steps[job] + i / kSeries);
        point->set_value(0.1 * i);
        point->set_unix_ms(1'700'000'000'000 + i);
      }
      steps[job] += kBatch / kSeries;
      records.push_back(PointsAdded{{static_cast<int64_t>(job) + 1}, batch, 0});
      points += kBatch;
    }
    state.ResumeTiming();
    bench.Commit(records);
  }
  state.SetItemsProcessed(points);
}
BENCHMARK(Points)->Arg(1)->Arg(8)->Arg(32)->Unit(benchmark::kMillisecond)->MinTime(1);

// A sweep's jobs written in chunks, and loaded again.
void Load(benchmark::State& state) {
  Bench bench;
  bench.Fill(state.range(0));
  for (auto _ : state) {
    bench.Open();
    State loaded;
    if (!bench.store().Load([&](const Record& record) { loaded.Load(record); }).ok()) abort();
    Now now;
    loaded.Recover(now);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(Load)->Arg(100'000)->Arg(1'000'000)->Iterations(1)->Unit(benchmark::kMillisecond);

void Fill(benchmark::State& state) {
  for (auto _ : state) {
    Bench bench;
    bench.Fill(state.range(0));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(Fill)->Arg(100'000)->Iterations(1)->Unit(benchmark::kMillisecond);

// The first page of a list, with the counts of its sweep.
void FirstPage(benchmark::State& state) {
  Bench bench;
  bench.Fill(state.range(0));
  for (auto _ : state) {
    JobFilter filter;
    filter.sweep = "s";
    if (state.range(1) != 0) filter.states = {JobState::kFailed};
    if (!bench.store().reader().Jobs(filter, {}, 100).ok()) abort();
    if (!bench.store().reader().Sweeps({}, 100).ok()) abort();
  }
}
BENCHMARK(FirstPage)->Args({1'000'000, 0})->Args({1'000'000, 1})->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace retort::store

BENCHMARK_MAIN();
