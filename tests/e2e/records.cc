#include "tests/e2e/records.h"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/hash.h"

namespace retort::e2e {
namespace {

using Row = std::vector<std::string>;

// Read without any code of the coordinator, which would share its mistakes.
std::vector<Row> Select(const std::string& server_folder, const std::string& sql) {
  sqlite3* raw = nullptr;
  const std::string path = server_folder + "/retort.db";
  const int opened = sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE, nullptr);
  const std::unique_ptr<sqlite3, decltype(&sqlite3_close)> db(raw, &sqlite3_close);
  std::vector<Row> rows;
  if (opened != SQLITE_OK) {
    ADD_FAILURE() << path << ": " << sqlite3_errstr(opened);
    return rows;
  }
  const auto add = [](void* out, int count, char** values, char**) {
    Row row;
    for (int i = 0; i < count; ++i) row.emplace_back(values[i] == nullptr ? "null" : values[i]);
    static_cast<std::vector<Row>*>(out)->push_back(std::move(row));
    return 0;
  };
  char* error = nullptr;
  if (sqlite3_exec(db.get(), sql.c_str(), add, &rows, &error) != SQLITE_OK) {
    ADD_FAILURE() << sql << ": " << error;
    sqlite3_free(error);
  }
  return rows;
}

std::string Join(const Row& row, size_t first) {
  std::string text;
  for (size_t i = first; i < row.size(); ++i) absl::StrAppend(&text, row[i], " ");
  return text;
}

void AddContradictions(const std::string& folder, const std::string& what, const std::string& sql,
                       std::vector<std::string>& lines) {
  for (const Row& row : Select(folder, sql)) lines.push_back(what + ": " + Join(row, 0));
}

void CheckWeights(const std::string& folder, std::vector<std::string>& lines) {
  for (const Row& row : Select(folder, "SELECT DISTINCT weights FROM results")) {
    const std::string path = absl::StrCat(folder, "/artifacts/", row[0].substr(0, 2), "/", row[0]);
    const auto hash = HashFile(path);
    if (!hash.ok()) {
      lines.push_back(absl::StrCat("weights: ", hash.status().message()));
    } else if (hash->hex() != row[0]) {
      lines.push_back(absl::StrCat("weights: ", path, " has hash ", hash->hex()));
    }
  }
}

}  // namespace

Records ReadRecords(const std::string& server_folder) {
  Records records;
  for (const Row& row : Select(server_folder, "SELECT DISTINCT job, state FROM jobs")) {
    records.jobs[row[0]] = row[1];
  }
  for (const Row& row :
       Select(server_folder,
              "SELECT DISTINCT job, kind, method, teacher, student, seed, fold, mae_bpm, "
              "mae_argmax_bpm, mae_expectation_bpm, mae_all_channels_bpm, rmse_bpm, bias_bpm, "
              "loa_low_bpm, loa_high_bpm, p90_bpm, within_5_bpm, within_10_bpm, pearson_r, "
              "cross_entropy, calibration_error, floor_mean_bpm, floor_fft_bpm, "
              "worst_subject_mae_bpm, val_mae_bpm, params, params_body, macs, size_bytes, "
              "peak_activation_bytes, latency_ms, latency_p95_ms, epochs, kept_epoch, train_s, "
              "numeric_fingerprint, weights FROM results")) {
    records.results[row[0]] = Join(row, 1);
  }
  for (const Row& row :
       Select(server_folder, "SELECT job, series, step, value FROM metrics ORDER BY 1, 2, 3")) {
    const std::string key = row[0] + " " + row[1];
    absl::StrAppend(&records.series[key], row[2], "=", row[3], " ");
    records.latest[key] = row[2] + "=" + row[3];
  }
  return records;
}

std::vector<std::string> FindContradictions(const std::string& folder) {
  std::vector<std::string> lines;
  for (const Row& row : Select(folder, "PRAGMA integrity_check")) {
    if (row[0] != "ok") lines.push_back("integrity: " + row[0]);
  }
  AddContradictions(folder, "foreign key", "PRAGMA foreign_key_check", lines);
  AddContradictions(folder, "job has not succeeded",
                    "SELECT job, state, failure FROM jobs WHERE state != 'succeeded'", lines);
  AddContradictions(folder, "attempts are not numbered 1 to the job's latest",
                    "SELECT job, attempt FROM (SELECT DISTINCT job, attempt FROM jobs) j WHERE "
                    "attempt != (SELECT count(*) FROM attempts a WHERE a.job = j.job) OR "
                    "attempt != (SELECT max(attempt) FROM attempts a WHERE a.job = j.job)",
                    lines);
  AddContradictions(folder, "attempt has no end",
                    "SELECT job, attempt, worker FROM attempts WHERE end_ms IS NULL", lines);
  AddContradictions(folder, "not one attempt succeeded",
                    "SELECT job, count(*) FROM attempts WHERE failure IS NULL GROUP BY job "
                    "HAVING count(*) != 1",
                    lines);
  AddContradictions(folder, "result is not of the attempt that succeeded",
                    "SELECT r.job, r.attempt, a.attempt FROM results r JOIN attempts a ON "
                    "a.job = r.job AND a.failure IS NULL WHERE r.attempt != a.attempt",
                    lines);
  // Those counted are of the last attempt; the points of the epochs that it went on from are kept
  // too.
  AddContradictions(folder, "more points counted than kept",
                    "SELECT lower(hex(id)), points, n FROM (SELECT id, points, (SELECT count(*) "
                    "FROM point_rows p WHERE p.job = key) AS n FROM job_rows JOIN job_states "
                    "ON job = key) WHERE points > n",
                    lines);
  AddContradictions(folder, "latest value is not the last",
                    "SELECT l.job, l.series, l.step, l.value FROM latest_points l JOIN point_rows "
                    "p ON p.job = l.job AND p.series = l.series AND p.step = (SELECT max(step) "
                    "FROM point_rows q WHERE q.job = l.job AND q.series = l.series) WHERE "
                    "p.step != l.step OR p.value IS NOT l.value",
                    lines);
  CheckWeights(folder, lines);
  return lines;
}

std::map<std::string, int64_t> CountAttempts(const std::string& server_folder) {
  std::map<std::string, int64_t> counts;
  for (const Row& row : Select(server_folder,
                               "SELECT coalesce(failure, 'succeeded'), count(*) FROM attempts "
                               "GROUP BY 1")) {
    counts[row[0]] = std::stoll(row[1]);
  }
  return counts;
}

}  // namespace retort::e2e
