#include "server/store/schema.h"

namespace retort::store {
namespace {

// Inside, jobs, sweeps and workers have small integer keys; a job's 32-byte id stands in one unique
// index. What changes often lies apart from what is large and never changes. Times are milliseconds
// since 1970; 0 is never.
constexpr std::string_view kVersion1 = R"sql(
CREATE TABLE sweep_rows (
  key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, priority INTEGER NOT NULL, jobs INTEGER NOT NULL,
  create_ms INTEGER NOT NULL, budget_device_s REAL NOT NULL, budget_wall_ms INTEGER NOT NULL,
  budget_cancel INTEGER NOT NULL,
  state INTEGER NOT NULL, reason TEXT NOT NULL, end_ms INTEGER NOT NULL,
  blocked INTEGER NOT NULL, queued INTEGER NOT NULL, leased INTEGER NOT NULL, running INTEGER NOT NULL,
  succeeded INTEGER NOT NULL, failed INTEGER NOT NULL, skipped INTEGER NOT NULL, cancelled INTEGER NOT NULL,
  known INTEGER NOT NULL, cost_open REAL NOT NULL, cost_done REAL NOT NULL, done_s REAL NOT NULL,
  device_s REAL NOT NULL, budget_spent INTEGER NOT NULL
) STRICT;
CREATE TABLE sweep_specs (key INTEGER PRIMARY KEY REFERENCES sweep_rows, spec BLOB NOT NULL) STRICT;
CREATE TABLE worker_rows (
  key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, host TEXT NOT NULL, version TEXT NOT NULL,
  slots BLOB NOT NULL, slot_count INTEGER NOT NULL, incarnation INTEGER NOT NULL, state INTEGER NOT NULL,
  reason TEXT NOT NULL, away INTEGER NOT NULL, seen_ms INTEGER NOT NULL, succeeded INTEGER NOT NULL,
  failed INTEGER NOT NULL, streak TEXT NOT NULL, streak_ms INTEGER NOT NULL, last_success_ms INTEGER NOT NULL
) STRICT;
CREATE TABLE job_rows (
  key INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, teacher INTEGER REFERENCES job_rows, kind INTEGER NOT NULL,
  cost REAL NOT NULL, create_ms INTEGER NOT NULL,
  state INTEGER NOT NULL, cause INTEGER NOT NULL, lost INTEGER NOT NULL, crashed INTEGER NOT NULL,
  artifact INTEGER NOT NULL, attempt INTEGER NOT NULL, worker INTEGER REFERENCES worker_rows,
  lost_on_1 INTEGER NOT NULL, lost_on_2 INTEGER NOT NULL, lost_on_3 INTEGER NOT NULL,
  points INTEGER NOT NULL, lease_ms INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX live_jobs ON job_rows(worker) WHERE state IN (3, 4);
CREATE TABLE job_specs (
  key INTEGER PRIMARY KEY REFERENCES job_rows, spec BLOB NOT NULL, model TEXT NOT NULL, method TEXT NOT NULL,
  teacher TEXT NOT NULL, seed INTEGER NOT NULL, fold INTEGER NOT NULL, epochs INTEGER NOT NULL
) STRICT;
CREATE TABLE members (
  sweep INTEGER NOT NULL REFERENCES sweep_rows, position INTEGER NOT NULL, job INTEGER NOT NULL REFERENCES job_rows,
  PRIMARY KEY (sweep, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE attempt_rows (
  job INTEGER NOT NULL REFERENCES job_rows, number INTEGER NOT NULL, worker INTEGER NOT NULL REFERENCES worker_rows,
  lease_ms INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, device_s REAL NOT NULL,
  cause INTEGER NOT NULL, message TEXT NOT NULL,
  PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE result_rows (
  job INTEGER PRIMARY KEY REFERENCES job_rows, attempt INTEGER NOT NULL, weights BLOB NOT NULL,
  weights_size INTEGER NOT NULL, result BLOB NOT NULL,
  mae_bpm REAL, mae_argmax_bpm REAL, mae_expectation_bpm REAL, mae_all_channels_bpm REAL, rmse_bpm REAL,
  bias_bpm REAL, loa_low_bpm REAL, loa_high_bpm REAL, p90_bpm REAL, within_5_bpm REAL, within_10_bpm REAL,
  pearson_r REAL, cross_entropy REAL, calibration_error REAL, floor_mean_bpm REAL, floor_fft_bpm REAL,
  worst_subject_mae_bpm REAL, val_mae_bpm REAL, params INTEGER, params_body INTEGER, macs INTEGER,
  size_bytes INTEGER, peak_activation_bytes INTEGER, latency_ms REAL, latency_p95_ms REAL, latency_machine TEXT,
  epochs INTEGER, kept_epoch INTEGER, train_s REAL, samples_per_s REAL, numeric_fingerprint TEXT
) STRICT;
CREATE TABLE series_names (series INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
-- A value that is null is NaN.
CREATE TABLE point_rows (
  job INTEGER NOT NULL REFERENCES job_rows, series INTEGER NOT NULL REFERENCES series_names,
  step INTEGER NOT NULL, value REAL, unix_ms INTEGER NOT NULL,
  PRIMARY KEY (job, series, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE latest_points (
  job INTEGER NOT NULL REFERENCES job_rows, series INTEGER NOT NULL REFERENCES series_names,
  step INTEGER NOT NULL, value REAL, unix_ms INTEGER NOT NULL,
  PRIMARY KEY (job, series)
) STRICT, WITHOUT ROWID;
CREATE TABLE requests (
  id TEXT PRIMARY KEY, method TEXT NOT NULL, sweep INTEGER NOT NULL, worker INTEGER NOT NULL,
  changed INTEGER NOT NULL, time_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE job_state_words (state INTEGER PRIMARY KEY, word TEXT NOT NULL) STRICT;
INSERT INTO job_state_words VALUES (1, 'blocked'), (2, 'queued'), (3, 'leased'), (4, 'running'), (5, 'succeeded'),
  (6, 'failed'), (7, 'skipped'), (8, 'cancelled');
CREATE TABLE cause_words (cause INTEGER PRIMARY KEY, word TEXT NOT NULL) STRICT;
INSERT INTO cause_words VALUES (1, 'LOST'), (2, 'PREEMPTED'), (3, 'CRASHED'), (4, 'OUT_OF_MEMORY'), (5, 'ARTIFACT'),
  (6, 'NUMERIC'), (7, 'TIMEOUT'), (8, 'INVALID');

CREATE VIEW sweeps AS SELECT name AS sweep,
  CASE state WHEN 1 THEN 'expanding' WHEN 2 THEN 'active' WHEN 3 THEN 'paused' WHEN 4 THEN 'done'
    ELSE 'cancelled' END AS state,
  reason, priority, jobs, blocked, queued, leased, running, succeeded, failed, skipped, cancelled, known AS known_jobs,
  device_s, create_ms, nullif(end_ms, 0) AS end_ms FROM sweep_rows;
CREATE VIEW jobs AS SELECT s.name AS sweep, m.position, lower(hex(j.id)) AS job, w.word AS state,
  CASE j.kind WHEN 1 THEN 'teacher' ELSE 'student' END AS kind, d.model, d.method, nullif(d.teacher, '') AS teacher,
  d.seed, d.fold, d.epochs, j.attempt, k.name AS worker, c.word AS failure, lower(hex(t.id)) AS teacher_job,
  j.cost AS expected_cost, j.create_ms, nullif(j.start_ms, 0) AS start_ms, nullif(j.end_ms, 0) AS end_ms
  FROM members m JOIN sweep_rows s ON s.key = m.sweep JOIN job_rows j ON j.key = m.job
  JOIN job_specs d ON d.key = j.key JOIN job_state_words w ON w.state = j.state
  LEFT JOIN worker_rows k ON k.key = j.worker LEFT JOIN cause_words c ON c.cause = j.cause
  LEFT JOIN job_rows t ON t.key = j.teacher;
CREATE VIEW attempts AS SELECT lower(hex(j.id)) AS job, a.number AS attempt, k.name AS worker, a.lease_ms,
  nullif(a.start_ms, 0) AS start_ms, nullif(a.end_ms, 0) AS end_ms, a.device_s, c.word AS failure, a.message
  FROM attempt_rows a JOIN job_rows j ON j.key = a.job JOIN worker_rows k ON k.key = a.worker
  LEFT JOIN cause_words c ON c.cause = a.cause;
CREATE VIEW results AS SELECT s.name AS sweep, lower(hex(j.id)) AS job, w.word AS state,
  CASE j.kind WHEN 1 THEN 'teacher' ELSE 'student' END AS kind, d.method, nullif(d.teacher, '') AS teacher,
  d.model AS student, d.seed, d.fold, r.mae_bpm, r.mae_argmax_bpm, r.mae_expectation_bpm, r.mae_all_channels_bpm,
  r.rmse_bpm, r.bias_bpm, r.loa_low_bpm, r.loa_high_bpm, r.p90_bpm, r.within_5_bpm, r.within_10_bpm, r.pearson_r,
  r.cross_entropy, r.calibration_error, r.floor_mean_bpm, r.floor_fft_bpm, r.worst_subject_mae_bpm, r.val_mae_bpm,
  r.params, r.params_body, r.macs, r.size_bytes, r.peak_activation_bytes, r.latency_ms, r.latency_p95_ms,
  r.latency_machine, r.epochs, r.kept_epoch, r.train_s, r.samples_per_s, r.numeric_fingerprint,
  lower(hex(r.weights)) AS weights, r.attempt
  FROM result_rows r JOIN job_rows j ON j.key = r.job JOIN job_specs d ON d.key = r.job
  JOIN job_state_words w ON w.state = j.state JOIN members m ON m.job = r.job JOIN sweep_rows s ON s.key = m.sweep;
CREATE VIEW metrics AS SELECT lower(hex(j.id)) AS job, n.name AS series, p.step, p.value, p.unix_ms
  FROM point_rows p JOIN job_rows j ON j.key = p.job JOIN series_names n ON n.series = p.series;
CREATE VIEW workers AS SELECT name AS worker, CASE WHEN away THEN 'away' WHEN state = 2 THEN 'draining'
  WHEN state = 3 THEN 'quarantined' ELSE 'active' END AS state,
  reason, host, version, slot_count AS slots, succeeded, failed, seen_ms FROM worker_rows;
CREATE INDEX members_of_job ON members(job);
)sql";

// What a job needs of a slot and which it has, what requests asked, and changes of jobs that go on
// over several commits. What version 1 did not know has a default that says so.
constexpr std::string_view kVersion2 = R"sql(
ALTER TABLE job_rows ADD COLUMN memory_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_rows ADD COLUMN memory_hinted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_rows ADD COLUMN slot INTEGER NOT NULL DEFAULT -1;
ALTER TABLE requests ADD COLUMN next INTEGER NOT NULL DEFAULT -1;
ALTER TABLE requests ADD COLUMN states INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN causes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN arguments TEXT NOT NULL DEFAULT '';
ALTER TABLE requests ADD COLUMN answer BLOB NOT NULL DEFAULT x'';
DROP VIEW jobs;
CREATE VIEW jobs AS SELECT s.name AS sweep, m.position, lower(hex(j.id)) AS job, w.word AS state,
  CASE j.kind WHEN 1 THEN 'teacher' ELSE 'student' END AS kind, d.model, d.method, nullif(d.teacher, '') AS teacher,
  d.seed, d.fold, d.epochs, j.attempt, k.name AS worker, nullif(j.slot, -1) AS slot, c.word AS failure,
  lower(hex(t.id)) AS teacher_job, j.cost AS expected_cost, nullif(j.memory_bytes, 0) AS memory_bytes, j.create_ms,
  nullif(j.start_ms, 0) AS start_ms, nullif(j.end_ms, 0) AS end_ms
  FROM members m JOIN sweep_rows s ON s.key = m.sweep JOIN job_rows j ON j.key = m.job
  JOIN job_specs d ON d.key = j.key JOIN job_state_words w ON w.state = j.state
  LEFT JOIN worker_rows k ON k.key = j.worker LEFT JOIN cause_words c ON c.cause = j.cause
  LEFT JOIN job_rows t ON t.key = j.teacher;
)sql";

// Where training can go on, how a sweep wants it done, and whether a result is of one numeric
// fingerprint. Sweeps of before had no checkpoints and no limit.
constexpr std::string_view kVersion3 = R"sql(
CREATE TABLE job_checkpoints (
  job INTEGER PRIMARY KEY REFERENCES job_rows, file BLOB NOT NULL, size INTEGER NOT NULL,
  epochs_done INTEGER NOT NULL, steps_done INTEGER NOT NULL
) STRICT;
ALTER TABLE sweep_rows ADD COLUMN checkpoint_every_s REAL NOT NULL DEFAULT 0;
ALTER TABLE sweep_rows ADD COLUMN wall_limit_s REAL NOT NULL DEFAULT 0;
ALTER TABLE result_rows ADD COLUMN mixed INTEGER NOT NULL DEFAULT 0;
DROP VIEW results;
CREATE VIEW results AS SELECT s.name AS sweep, lower(hex(j.id)) AS job, w.word AS state,
  CASE j.kind WHEN 1 THEN 'teacher' ELSE 'student' END AS kind, d.method, nullif(d.teacher, '') AS teacher,
  d.model AS student, d.seed, d.fold, r.mae_bpm, r.mae_argmax_bpm, r.mae_expectation_bpm, r.mae_all_channels_bpm,
  r.rmse_bpm, r.bias_bpm, r.loa_low_bpm, r.loa_high_bpm, r.p90_bpm, r.within_5_bpm, r.within_10_bpm, r.pearson_r,
  r.cross_entropy, r.calibration_error, r.floor_mean_bpm, r.floor_fft_bpm, r.worst_subject_mae_bpm, r.val_mae_bpm,
  r.params, r.params_body, r.macs, r.size_bytes, r.peak_activation_bytes, r.latency_ms, r.latency_p95_ms,
  r.latency_machine, r.epochs, r.kept_epoch, r.train_s, r.samples_per_s, r.numeric_fingerprint, r.mixed,
  lower(hex(r.weights)) AS weights, r.attempt
  FROM result_rows r JOIN job_rows j ON j.key = r.job JOIN job_specs d ON d.key = r.job
  JOIN job_state_words w ON w.state = j.state JOIN members m ON m.job = r.job JOIN sweep_rows s ON s.key = m.sweep;
)sql";

// What people ask results for and could not: the data and training values of a job, on how many
// windows it was tested. Serialised results, which few need and which are long, lie apart, so that
// a query over all results reads little.
constexpr std::string_view kVersion4 = R"sql(
DROP VIEW jobs;
DROP VIEW results;
DROP VIEW metrics;
ALTER TABLE job_specs ADD COLUMN dataset TEXT NOT NULL DEFAULT '';
ALTER TABLE job_specs ADD COLUMN batch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job_specs ADD COLUMN peak_lr REAL NOT NULL DEFAULT 0;
UPDATE job_specs SET dataset = ifnull(message_value('TrainingSpec', spec, 'dataset.sha256'), ''),
  batch = ifnull(message_value('TrainingSpec', spec, 'train.batch'), 0),
  peak_lr = ifnull(message_value('TrainingSpec', spec, 'train.peak_lr'), 0);
CREATE TABLE result_messages (job INTEGER PRIMARY KEY REFERENCES job_rows, result BLOB NOT NULL) STRICT;
INSERT INTO result_messages SELECT job, result FROM result_rows;
ALTER TABLE result_rows DROP COLUMN result;
ALTER TABLE result_rows ADD COLUMN windows INTEGER;
ALTER TABLE result_rows ADD COLUMN microbatch INTEGER;
UPDATE result_rows SET (windows, microbatch) =
  (SELECT message_value('JobResult', m.result, 'evaluations.overall.windows'),
     message_value('JobResult', m.result, 'microbatch') FROM result_messages m WHERE m.job = result_rows.job);
CREATE VIEW jobs AS SELECT s.name AS sweep, m.position, lower(hex(j.id)) AS job, w.word AS state,
  CASE j.kind WHEN 1 THEN 'teacher' ELSE 'student' END AS kind, d.model, d.method, nullif(d.teacher, '') AS teacher,
  d.seed, d.fold, d.epochs, nullif(d.batch, 0) AS batch, nullif(d.peak_lr, 0) AS peak_lr,
  nullif(d.dataset, '') AS dataset, j.attempt, k.name AS worker, nullif(j.slot, -1) AS slot, c.word AS failure,
  lower(hex(t.id)) AS teacher_job, j.cost AS expected_cost, nullif(j.memory_bytes, 0) AS memory_bytes, j.create_ms,
  nullif(j.start_ms, 0) AS start_ms, nullif(j.end_ms, 0) AS end_ms
  FROM members m JOIN sweep_rows s ON s.key = m.sweep JOIN job_rows j ON j.key = m.job
  JOIN job_specs d ON d.key = j.key JOIN job_state_words w ON w.state = j.state
  LEFT JOIN worker_rows k ON k.key = j.worker LEFT JOIN cause_words c ON c.cause = j.cause
  LEFT JOIN job_rows t ON t.key = j.teacher;
-- The jobs come first: who asks for one job's points must not go through all points.
CREATE VIEW metrics AS SELECT lower(hex(j.id)) AS job, n.name AS series, p.step, p.value, p.unix_ms
  FROM job_rows j CROSS JOIN point_rows p ON p.job = j.key JOIN series_names n ON n.series = p.series;
CREATE VIEW results AS SELECT s.name AS sweep, lower(hex(j.id)) AS job, w.word AS state,
  CASE j.kind WHEN 1 THEN 'teacher' ELSE 'student' END AS kind, d.method, nullif(d.teacher, '') AS teacher,
  d.model AS student, d.seed, d.fold, nullif(d.batch, 0) AS batch, nullif(d.peak_lr, 0) AS peak_lr,
  nullif(d.dataset, '') AS dataset, r.mae_bpm, r.mae_argmax_bpm, r.mae_expectation_bpm, r.mae_all_channels_bpm,
  r.rmse_bpm, r.bias_bpm, r.loa_low_bpm, r.loa_high_bpm, r.p90_bpm, r.within_5_bpm, r.within_10_bpm, r.pearson_r,
  r.cross_entropy, r.calibration_error, r.floor_mean_bpm, r.floor_fft_bpm, r.worst_subject_mae_bpm, r.windows,
  r.val_mae_bpm, r.params, r.params_body, r.macs, r.size_bytes, r.peak_activation_bytes, r.latency_ms,
  r.latency_p95_ms, r.latency_machine, r.epochs, r.kept_epoch, nullif(r.microbatch, 0) AS microbatch, r.train_s,
  r.samples_per_s, r.numeric_fingerprint, r.mixed, lower(hex(r.weights)) AS weights,
  r.weights_size AS weights_bytes, r.attempt
  FROM result_rows r JOIN job_rows j ON j.key = r.job JOIN job_specs d ON d.key = r.job
  JOIN job_state_words w ON w.state = j.state JOIN members m ON m.job = r.job JOIN sweep_rows s ON s.key = m.sweep;
)sql";

// An attempt is a row of its own when it is over. Until then its job says all there is, and one
// write less is half a lease.
constexpr std::string_view kVersion5 = R"sql(
DROP VIEW attempts;
DELETE FROM attempt_rows WHERE end_ms = 0;
CREATE VIEW attempts AS SELECT lower(hex(j.id)) AS job, a.number AS attempt, k.name AS worker, a.lease_ms,
  nullif(a.start_ms, 0) AS start_ms, a.end_ms, a.device_s, c.word AS failure, a.message
  FROM attempt_rows a JOIN job_rows j ON j.key = a.job JOIN worker_rows k ON k.key = a.worker
  LEFT JOIN cause_words c ON c.cause = a.cause
  UNION ALL SELECT lower(hex(j.id)), j.attempt, k.name, j.lease_ms, nullif(j.start_ms, 0), NULL, 0.0, NULL, ''
  FROM job_rows j JOIN worker_rows k ON k.key = j.worker WHERE j.state IN (3, 4);
)sql";

// Ids are random, so that each new job touches some page of their index: one of the first four
// bytes has far fewer pages, and who asks by id looks at the rest of it in the row. That no id
// comes twice is the core's to hold, and the check's to see. Which jobs a worker has is known in
// memory; an index of them was written at each lease and each end.
//
// Other tables and the views name job_rows; what they say stays as it is when one goes and another
// gets its name.
constexpr std::string_view kVersion6 = R"sql(
PRAGMA legacy_alter_table=ON;
CREATE TABLE new_job_rows (
  key INTEGER PRIMARY KEY, id BLOB NOT NULL, teacher INTEGER REFERENCES job_rows, kind INTEGER NOT NULL,
  cost REAL NOT NULL, create_ms INTEGER NOT NULL,
  state INTEGER NOT NULL, cause INTEGER NOT NULL, lost INTEGER NOT NULL, crashed INTEGER NOT NULL,
  artifact INTEGER NOT NULL, attempt INTEGER NOT NULL, worker INTEGER REFERENCES worker_rows,
  lost_on_1 INTEGER NOT NULL, lost_on_2 INTEGER NOT NULL, lost_on_3 INTEGER NOT NULL,
  points INTEGER NOT NULL, lease_ms INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
  memory_bytes INTEGER NOT NULL DEFAULT 0, memory_hinted INTEGER NOT NULL DEFAULT 0, slot INTEGER NOT NULL DEFAULT -1
) STRICT;
INSERT INTO new_job_rows SELECT key, id, teacher, kind, cost, create_ms, state, cause, lost, crashed, artifact, attempt,
  worker, lost_on_1, lost_on_2, lost_on_3, points, lease_ms, start_ms, end_ms, memory_bytes, memory_hinted, slot
  FROM job_rows;
DROP TABLE job_rows;
ALTER TABLE new_job_rows RENAME TO job_rows;
PRAGMA legacy_alter_table=OFF;
CREATE INDEX job_ids ON job_rows(substr(id, 1, 4));
)sql";

// What changes of a job lies apart from what never does, so that a change is a row written over
// another, without a look at what it was and at indices, and its pages are few.
constexpr std::string_view kVersion7 = R"sql(
DROP VIEW jobs;
DROP VIEW attempts;
DROP VIEW results;
PRAGMA legacy_alter_table=ON;
CREATE TABLE job_states (
  job INTEGER PRIMARY KEY REFERENCES job_rows, state INTEGER NOT NULL, cause INTEGER NOT NULL,
  lost INTEGER NOT NULL, crashed INTEGER NOT NULL, artifact INTEGER NOT NULL, attempt INTEGER NOT NULL,
  worker INTEGER REFERENCES worker_rows, lost_on_1 INTEGER NOT NULL, lost_on_2 INTEGER NOT NULL,
  lost_on_3 INTEGER NOT NULL, points INTEGER NOT NULL, lease_ms INTEGER NOT NULL, start_ms INTEGER NOT NULL,
  end_ms INTEGER NOT NULL, memory_bytes INTEGER NOT NULL, memory_hinted INTEGER NOT NULL, slot INTEGER NOT NULL
) STRICT;
INSERT INTO job_states SELECT key, state, cause, lost, crashed, artifact, attempt, worker, lost_on_1, lost_on_2,
  lost_on_3, points, lease_ms, start_ms, end_ms, memory_bytes, memory_hinted, slot FROM job_rows;
CREATE TABLE new_job_rows (
  key INTEGER PRIMARY KEY, id BLOB NOT NULL, teacher INTEGER REFERENCES job_rows, kind INTEGER NOT NULL,
  cost REAL NOT NULL, create_ms INTEGER NOT NULL
) STRICT;
INSERT INTO new_job_rows SELECT key, id, teacher, kind, cost, create_ms FROM job_rows;
DROP TABLE job_rows;
ALTER TABLE new_job_rows RENAME TO job_rows;
PRAGMA legacy_alter_table=OFF;
CREATE INDEX job_ids ON job_rows(substr(id, 1, 4));
CREATE VIEW jobs AS SELECT s.name AS sweep, m.position, lower(hex(j.id)) AS job, w.word AS state,
  CASE j.kind WHEN 1 THEN 'teacher' ELSE 'student' END AS kind, d.model, d.method, nullif(d.teacher, '') AS teacher,
  d.seed, d.fold, d.epochs, nullif(d.batch, 0) AS batch, nullif(d.peak_lr, 0) AS peak_lr,
  nullif(d.dataset, '') AS dataset, now.attempt, k.name AS worker, nullif(now.slot, -1) AS slot, c.word AS failure,
  lower(hex(t.id)) AS teacher_job, j.cost AS expected_cost, nullif(now.memory_bytes, 0) AS memory_bytes, j.create_ms,
  nullif(now.start_ms, 0) AS start_ms, nullif(now.end_ms, 0) AS end_ms
  FROM members m JOIN sweep_rows s ON s.key = m.sweep JOIN job_rows j ON j.key = m.job
  JOIN job_states now ON now.job = m.job JOIN job_specs d ON d.key = m.job JOIN job_state_words w ON w.state = now.state
  LEFT JOIN worker_rows k ON k.key = now.worker LEFT JOIN cause_words c ON c.cause = now.cause
  LEFT JOIN job_rows t ON t.key = j.teacher;
CREATE VIEW attempts AS SELECT lower(hex(j.id)) AS job, a.number AS attempt, k.name AS worker, a.lease_ms,
  nullif(a.start_ms, 0) AS start_ms, a.end_ms, a.device_s, c.word AS failure, a.message
  FROM attempt_rows a JOIN job_rows j ON j.key = a.job JOIN worker_rows k ON k.key = a.worker
  LEFT JOIN cause_words c ON c.cause = a.cause
  UNION ALL SELECT lower(hex(j.id)), now.attempt, k.name, now.lease_ms, nullif(now.start_ms, 0), NULL, 0.0, NULL, ''
  FROM job_states now JOIN job_rows j ON j.key = now.job JOIN worker_rows k ON k.key = now.worker WHERE now.state IN (3, 4);
CREATE VIEW results AS SELECT s.name AS sweep, lower(hex(j.id)) AS job, w.word AS state,
  CASE j.kind WHEN 1 THEN 'teacher' ELSE 'student' END AS kind, d.method, nullif(d.teacher, '') AS teacher,
  d.model AS student, d.seed, d.fold, nullif(d.batch, 0) AS batch, nullif(d.peak_lr, 0) AS peak_lr,
  nullif(d.dataset, '') AS dataset, r.mae_bpm, r.mae_argmax_bpm, r.mae_expectation_bpm, r.mae_all_channels_bpm,
  r.rmse_bpm, r.bias_bpm, r.loa_low_bpm, r.loa_high_bpm, r.p90_bpm, r.within_5_bpm, r.within_10_bpm, r.pearson_r,
  r.cross_entropy, r.calibration_error, r.floor_mean_bpm, r.floor_fft_bpm, r.worst_subject_mae_bpm, r.windows,
  r.val_mae_bpm, r.params, r.params_body, r.macs, r.size_bytes, r.peak_activation_bytes, r.latency_ms,
  r.latency_p95_ms, r.latency_machine, r.epochs, r.kept_epoch, nullif(r.microbatch, 0) AS microbatch, r.train_s,
  r.samples_per_s, r.numeric_fingerprint, r.mixed, lower(hex(r.weights)) AS weights,
  r.weights_size AS weights_bytes, r.attempt
  FROM result_rows r JOIN job_rows j ON j.key = r.job JOIN job_specs d ON d.key = r.job
  JOIN job_states now ON now.job = r.job JOIN job_state_words w ON w.state = now.state
  JOIN members m ON m.job = r.job JOIN sweep_rows s ON s.key = m.sweep;
)sql";

}  // namespace

const std::vector<std::string_view>& Migrations() {
  static const std::vector<std::string_view> kMigrations = {
      kVersion1, kVersion2, kVersion3, kVersion4, kVersion5, kVersion6, kVersion7};
  return kMigrations;
}

const std::vector<std::string_view>& Views() {
  static const std::vector<std::string_view> kViews = {"sweeps",  "jobs",    "attempts",
                                                       "results", "metrics", "workers"};
  return kViews;
}

const std::vector<std::string_view>& QueryableTables() {
  static const std::vector<std::string_view> kTables = {
      "sweep_rows",   "worker_rows", "job_rows",     "job_states",
      "job_specs",    "members",     "attempt_rows", "result_rows",
      "series_names", "point_rows",  "cause_words",  "job_state_words"};
  return kTables;
}

}  // namespace retort::store
