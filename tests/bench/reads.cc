#include <sqlite3.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/status.h"
#include "tests/bench/benchmarks.h"
#include "tests/bench/client.h"
#include "tests/bench/fleet.h"
#include "tests/bench/probe.h"
#include "tests/bench/report.h"
#include "tests/bench/server_process.h"

namespace retort::bench {
namespace {

constexpr absl::Duration kLimit = absl::Minutes(5);
constexpr absl::Duration kBeside = absl::Seconds(4);  // of Syncs alone, and beside reads
constexpr int kRepetitions = 20;

constexpr char kAggregate[] =
    "SELECT count(*), avg(mae_bpm), min(mae_bpm), max(mae), sum(n) FROM results JOIN (SELECT "
    "student "
    "AS s, avg(mae_bpm) AS mae, count(*) AS n FROM results GROUP BY student, method) ON s = "
    "student";
constexpr char kAllResults[] =
    "SELECT student, method, count(*), avg(mae_bpm), min(val_mae_bpm), avg(latency_ms) FROM "
    "results "
    "GROUP BY student, method ORDER BY 4";

double Ms(absl::Duration duration) { return absl::ToDoubleMilliseconds(duration); }

// The database of a coordinator that does not run, written as fast as can be.
class Filler {
 public:
  explicit Filler(const std::string& path) { sqlite3_open(path.c_str(), &db_); }
  ~Filler() { sqlite3_close(db_); }

  absl::Status Do(const std::string& sql, const std::string& blob = "") {
    sqlite3_stmt* statement = nullptr;
    int code = sqlite3_prepare_v2(db_, sql.c_str(), -1, &statement, nullptr);
    if (code == SQLITE_OK && !blob.empty()) {
      sqlite3_bind_blob(statement, 1, blob.data(), static_cast<int>(blob.size()), SQLITE_STATIC);
    }
    while (code == SQLITE_OK || code == SQLITE_ROW) code = sqlite3_step(statement);
    sqlite3_finalize(statement);
    if (code == SQLITE_DONE) return absl::OkStatus();
    return absl::InternalError(absl::StrCat(sqlite3_errmsg(db_), ": ", sql));
  }

 private:
  sqlite3* db_ = nullptr;
};

v1::JobResult ResultOf(int subjects) {
  v1::JobResult result;
  v1::Evaluation& evaluation = *result.add_evaluations();
  const auto fill = [](v1::HeartRateMetrics& metrics) {
    metrics.set_windows(150);
    double value = 3;
    for (int field = 2; field <= 17; ++field) {
      const auto* descriptor = metrics.GetDescriptor()->FindFieldByNumber(field);
      metrics.GetReflection()->SetDouble(&metrics, descriptor, value += 0.37);
    }
  };
  fill(*evaluation.mutable_overall());
  for (int i = 0; i < subjects; ++i) {
    evaluation.add_subjects()->set_subject(absl::StrCat("subject-", i));
    fill(*evaluation.mutable_subjects(i)->mutable_metrics());
  }
  fill(*result.mutable_validation());
  result.mutable_cost()->set_params(1668);
  result.mutable_cost()->set_latency_ms(0.3);
  result.set_epochs(40);
  return result;
}

class Reads {
 public:
  Reads(const ReadsOptions& options, const std::string& parent)
      : options_(options), folder_(parent), server_(folder_.path()) {}

  absl::Status Run() {
    RETORT_RETURN_IF_ERROR(server_.Start());
    RETORT_RETURN_IF_ERROR(Jobs());
    RETORT_RETURN_IF_ERROR(server_.Stop());
    RETORT_RETURN_IF_ERROR(Fill());
    RETORT_RETURN_IF_ERROR(server_.Start());
    RETORT_RETURN_IF_ERROR(Alone());
    RETORT_RETURN_IF_ERROR(BesideSyncs());
    return server_.Stop();
  }

 private:
  std::string SweepOf(int i) const { return absl::StrCat("sweep-", i); }
  int64_t AllJobs() const { return int64_t{options_.sweeps} * options_.jobs; }
  int64_t AllPoints() const {
    return AllJobs() * options_.series * options_.steps + options_.long_series;
  }

  // The jobs, done by workers that only say so.
  absl::Status Jobs() {
    Client client(server_.address());
    RETORT_ASSIGN_OR_RETURN(weights_, client.Upload("weights"));
    RETORT_RETURN_IF_ERROR(client.UploadDataset());
    for (int i = 0; i < options_.sweeps; ++i) {
      RETORT_RETURN_IF_ERROR(
          client.Submit(SweepOf(i), options_.jobs, 1 + int64_t{i} * options_.jobs));
    }
    Fleet fleet({.address = server_.address(),
                 .workers = 16,
                 .slots = 16,
                 .connections = 8,
                 .weights_sha256 = weights_});
    return RunJobs(fleet, 16, AllJobs(), kLimit, [](int64_t) {});
  }

  // What training would have left: long results, points of every series.
  absl::Status Fill() {
    Filler filler(folder_.path() + "/data/retort.db");
    for (const char* setting : {"PRAGMA journal_mode=DELETE", "PRAGMA synchronous=OFF",
                                "PRAGMA cache_size=-262144", "BEGIN"}) {
      RETORT_RETURN_IF_ERROR(filler.Do(setting));
    }
    RETORT_RETURN_IF_ERROR(filler.Do("UPDATE result_messages SET result = ?1",
                                     ResultOf(options_.subjects).SerializeAsString()));
    RETORT_RETURN_IF_ERROR(
        filler.Do("UPDATE result_rows SET mae_bpm = 3 + (job * 7919 % 1000) / 250.0, val_mae_bpm = "
                  "3 + (job * 104729 % 1000) / 250.0, latency_ms = 0.1 + job % 7"));
    RETORT_RETURN_IF_ERROR(filler.Do("DELETE FROM series_names"));
    RETORT_RETURN_IF_ERROR(filler.Do(absl::StrCat(
        "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < ",
        options_.series, ") INSERT INTO series_names SELECT i, 'series.' || i FROM s")));
    const std::string points = absl::StrCat(
        "WITH RECURSIVE t(step) AS (SELECT 0 UNION ALL SELECT step + 1 FROM t WHERE step < ",
        options_.steps - 1, ") ");
    RETORT_RETURN_IF_ERROR(filler.Do(absl::StrCat(
        points,
        "INSERT INTO point_rows SELECT j.key, n.series, t.step, 1.0 / (t.step + n.series), ",
        "1700000000000 + t.step FROM job_rows j CROSS JOIN series_names n CROSS JOIN t")));
    RETORT_RETURN_IF_ERROR(filler.Do(absl::StrCat(
        "INSERT INTO latest_points SELECT job, series, step, value, unix_ms FROM point_rows WHERE "
        "step = ",
        options_.steps - 1)));
    RETORT_RETURN_IF_ERROR(filler.Do("INSERT INTO series_names VALUES (1000, 'series.long')"));
    RETORT_RETURN_IF_ERROR(filler.Do(absl::StrCat(
        "WITH RECURSIVE t(step) AS (SELECT 0 UNION ALL SELECT step + 1 FROM t WHERE step < ",
        options_.long_series - 1,
        ") INSERT INTO point_rows SELECT 1, 1000, step, 1.0 / (step + 1), 1700000000000 + step "
        "FROM "
        "t")));
    RETORT_RETURN_IF_ERROR(
        filler.Do(absl::StrCat("INSERT INTO latest_points VALUES (1, 1000, ",
                               options_.long_series - 1, ", 0.5, 1700000000000)")));
    RETORT_RETURN_IF_ERROR(filler.Do("COMMIT"));
    return filler.Do("PRAGMA journal_mode=WAL");
  }

  // Each read alone, several times.
  absl::Status Alone() {
    Client client(server_.address());
    RETORT_ASSIGN_OR_RETURN(const v1::ListJobsResponse page, client.Jobs(SweepOf(0)));
    const std::string first = page.jobs(0).name();
    RETORT_ASSIGN_OR_RETURN(const v1::ListJobsResponse other, client.Jobs(SweepOf(1)));
    const std::string second = other.jobs(0).name();
    RETORT_RETURN_IF_ERROR(Measure("reads_results_of_a_sweep", 200, options_.jobs, [&](int i) {
      return client.Results(SweepOf(i % options_.sweeps));
    }));
    RETORT_RETURN_IF_ERROR(Measure("reads_metrics_of_a_job", 50,
                                   int64_t{options_.series} * options_.steps,
                                   [&](int) { return client.Points(second, "", 1000); }));
    RETORT_RETURN_IF_ERROR(Measure("reads_long_series_thinned", 50, 1000,
                                   [&](int) { return client.Points(first, "series.long", 1000); }));
    RETORT_RETURN_IF_ERROR(Measure("reads_query_over_all_results", 1000, -1,
                                   [&](int) { return Count(client, kAllResults); }));
    return Measure("reads_query_of_a_jobs_metrics", 0, -1, [&](int) {
      return Count(client, absl::StrCat("SELECT count(*) FROM metrics WHERE job = '",
                                        second.substr(5), "'"));
    });
  }

  static absl::StatusOr<int64_t> Count(Client& client, const std::string& sql) {
    RETORT_ASSIGN_OR_RETURN(const std::vector<double> row, client.Numbers(sql));
    return static_cast<int64_t>(row.size());
  }

  // `read` (number of the repetition -> count); the count must be `expected` unless that is -1.
  template <typename Read>
  absl::Status Measure(const std::string& name, double target_ms, int64_t expected,
                       const Read& read) {
    std::vector<double> times;
    double first = 0;
    for (int i = 0; i < kRepetitions; ++i) {
      const absl::Time start = absl::Now();
      RETORT_ASSIGN_OR_RETURN(const int64_t count, read(i));
      times.push_back(Ms(absl::Now() - start));
      if (i == 0) first = times[0];
      if (expected >= 0 && count != expected) {
        return absl::InternalError(absl::StrCat(name, ": ", count, " instead of ", expected));
      }
    }
    Row row{name, Percentile(times, 0.5), "ms", std::nullopt, Better::kLess};
    if (target_ms > 0) row.target = target_ms;
    row.settings = {{"jobs", AllJobs()},
                    {"points", AllPoints()},
                    {"repetitions", times.size()},
                    {"first_ms", first},
                    {"max_ms", Percentile(times, 1)},
                    {"memory_mib", server_.Memory() >> 20}};
    Print(row, folder_.path());
    return absl::OkStatus();
  }

  // Syncs that are answered at once, without reads and beside them.
  absl::Status BesideSyncs() {
    std::vector<double> alone, beside;
    for (const bool busy : {false, true}) {
      std::atomic<bool> stop = false;
      std::vector<std::thread> readers;
      std::atomic<int> reads = 0;
      std::vector<absl::Status> ended(3);
      for (int i = 0; busy && i < 3; ++i) {
        readers.emplace_back([&, i] {
          // Clients are on other machines: what they do with rows must not look like the
          // coordinator's doing.
          setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 10);
          Client client(server_.address());
          while (!stop && ended[i].ok()) {
            ended[i] = i == 0   ? client.Results(SweepOf(0)).status()
                       : i == 1 ? client.Numbers(kAllResults).status()
                                : client.Numbers(kAggregate).status();
            ++reads;
          }
        });
      }
      Probe probe(server_.address(), weights_, busy ? "beside" : "alone");
      absl::SleepFor(kBeside);
      const absl::Status probed = probe.Stop();
      stop = true;
      for (std::thread& reader : readers) reader.join();
      RETORT_RETURN_IF_ERROR(probed);
      for (const absl::Status& status : ended) RETORT_RETURN_IF_ERROR(status);
      (busy ? beside : alone) = probe.times_ms();
      if (busy) reads_ = reads;
    }
    Row row{"reads_sync_beside_them_p99", Percentile(beside, 0.99), "ms", std::nullopt,
            Better::kLess};
    row.settings = {{"alone_p99_ms", Percentile(alone, 0.99)},
                    {"alone_p50_ms", Percentile(alone, 0.5)},
                    {"p50_ms", Percentile(beside, 0.5)},
                    {"max_ms", Percentile(beside, 1)},
                    {"reads", reads_},
                    {"readers", 3}};
    Print(row, folder_.path());
    return absl::OkStatus();
  }

  const ReadsOptions options_;
  const TemporaryFolder folder_;
  ServerProcess server_;
  std::string weights_;
  int reads_ = 0;
};

}  // namespace

absl::Status MeasureReads(const ReadsOptions& options, const std::string& parent) {
  return Reads(options, parent).Run();
}

}  // namespace retort::bench
