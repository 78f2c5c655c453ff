-- A database of schema version 6 with content: that of schema_v5.sql as Retort of version 6 took it over (2026-11).
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE attempt_rows (
  job INTEGER NOT NULL REFERENCES job_rows, number INTEGER NOT NULL, worker INTEGER NOT NULL REFERENCES worker_rows,
  lease_ms INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, device_s REAL NOT NULL,
  cause INTEGER NOT NULL, message TEXT NOT NULL,
  PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
INSERT INTO attempt_rows VALUES(1,1,1,1700000000000,1700000000000,1700000000000,3.0,0,'');
INSERT INTO attempt_rows VALUES(4,1,2,1700000000000,0,1700000000000,0.0,8,'no such "layer"');
CREATE TABLE cause_words (cause INTEGER PRIMARY KEY, word TEXT NOT NULL) STRICT;
INSERT INTO cause_words VALUES(1,'LOST');
INSERT INTO cause_words VALUES(2,'PREEMPTED');
INSERT INTO cause_words VALUES(3,'CRASHED');
INSERT INTO cause_words VALUES(4,'OUT_OF_MEMORY');
INSERT INTO cause_words VALUES(5,'ARTIFACT');
INSERT INTO cause_words VALUES(6,'NUMERIC');
INSERT INTO cause_words VALUES(7,'TIMEOUT');
INSERT INTO cause_words VALUES(8,'INVALID');
CREATE TABLE job_checkpoints (
  job INTEGER PRIMARY KEY REFERENCES job_rows, file BLOB NOT NULL, size INTEGER NOT NULL,
  epochs_done INTEGER NOT NULL, steps_done INTEGER NOT NULL
) STRICT;
INSERT INTO job_checkpoints VALUES(2,X'ABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABABAB',4,6,60);
CREATE TABLE "job_rows" (
  key INTEGER PRIMARY KEY, id BLOB NOT NULL, teacher INTEGER REFERENCES job_rows, kind INTEGER NOT NULL,
  cost REAL NOT NULL, create_ms INTEGER NOT NULL,
  state INTEGER NOT NULL, cause INTEGER NOT NULL, lost INTEGER NOT NULL, crashed INTEGER NOT NULL,
  artifact INTEGER NOT NULL, attempt INTEGER NOT NULL, worker INTEGER REFERENCES worker_rows,
  lost_on_1 INTEGER NOT NULL, lost_on_2 INTEGER NOT NULL, lost_on_3 INTEGER NOT NULL,
  points INTEGER NOT NULL, lease_ms INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
  memory_bytes INTEGER NOT NULL DEFAULT 0, memory_hinted INTEGER NOT NULL DEFAULT 0, slot INTEGER NOT NULL DEFAULT -1
) STRICT;
INSERT INTO job_rows VALUES(1,X'E3B98A4DA31A127D4BDE6E43033F66BA274CAB0EB7EB1C70EC41402BF6273DD8',NULL,1,5.0,1700000000000,5,0,0,0,0,1,1,0,0,0,3,1700000000000,1700000000000,1700000000000,0,0,-1);
INSERT INTO job_rows VALUES(2,X'CA978112CA1BBDCAFAC231B39A23DC4DA786EFF8147C4E72B9807785AFEE48BB',1,2,5.0,1700000000000,4,0,0,0,0,1,1,0,0,0,5,1700000000000,1700000000000,0,0,0,-1);
INSERT INTO job_rows VALUES(3,X'3E23E8160039594A33894F6564E1B1348BBD7A0088D42C4ACB73EEAED59C009D',1,2,5.0,1700000000000,2,0,0,0,0,0,NULL,0,0,0,0,0,0,0,0,0,-1);
INSERT INTO job_rows VALUES(4,X'0BFE935E70C321C7CA3AFC75CE0D0CA2F98B5422E008BB31C00C6D7F1F1C0AD6',NULL,1,7.0,1700000000000,6,8,0,0,0,1,2,0,0,0,0,1700000000000,0,1700000000000,0,0,-1);
INSERT INTO job_rows VALUES(5,X'2E7D2C03A9507AE265ECF5B5356885A53393A2029D241394997265A1A25AEFC6',4,2,7.0,1700000000000,7,0,0,0,0,0,NULL,0,0,0,0,0,0,1700000000000,0,0,-1);
INSERT INTO job_rows VALUES(6,X'18AC3E7343F016890C510E93F935261169D9E3F565436429830FAF0934F4F8E4',NULL,1,7.0,1700000000000,8,0,0,0,0,0,NULL,0,0,0,0,0,0,1700000000000,0,0,-1);
INSERT INTO job_rows VALUES(7,X'3F79BB7B435B05321651DAEFD374CDC681DC06FAA65E374E38337B88CA046DEA',NULL,1,7.0,1700000000000,3,0,0,0,0,1,2,0,0,0,0,1700000000000,0,0,0,0,-1);
INSERT INTO job_rows VALUES(8,X'252F10C83610EBCA1A059C0BAE8255EBA2F95BE4D1D7BCFA89D7248A82D9F111',7,2,7.0,1700000000000,1,0,0,0,0,0,NULL,0,0,0,0,0,0,0,0,0,-1);
CREATE TABLE job_specs (
  key INTEGER PRIMARY KEY REFERENCES job_rows, spec BLOB NOT NULL, model TEXT NOT NULL, method TEXT NOT NULL,
  teacher TEXT NOT NULL, seed INTEGER NOT NULL, fold INTEGER NOT NULL, epochs INTEGER NOT NULL
, dataset TEXT NOT NULL DEFAULT '', batch INTEGER NOT NULL DEFAULT 0, peak_lr REAL NOT NULL DEFAULT 0) STRICT;
INSERT INTO job_specs VALUES(1,X'12420A4065666566656665666566656665666566656665666566656665666566656665666566656665666566656665666566656665666566656665666566656665666566520C108001217B14AE47E17A843F5874','resnet1d-4/4','scratch','',116,0,10,'efefefefefefefefefefefefefefefefefefefefefefefefefefefefefefefef',128,0.01);
INSERT INTO job_specs VALUES(2,X'5861','resnet1d-4/4','soft','',97,0,10,'',0,0.0);
INSERT INTO job_specs VALUES(3,X'5862','resnet1d-4/4','soft','',98,0,10,'',0,0.0);
INSERT INTO job_specs VALUES(4,X'5875','resnet1d-8/4','scratch','',117,0,10,'',0,0.0);
INSERT INTO job_specs VALUES(5,X'5863','resnet1d-8/4','soft','',99,0,10,'',0,0.0);
INSERT INTO job_specs VALUES(6,X'5864','resnet1d-8/4','scratch','',100,0,10,'',0,0.0);
INSERT INTO job_specs VALUES(7,X'5865','resnet1d-8/4','scratch','',101,0,10,'',0,0.0);
INSERT INTO job_specs VALUES(8,X'5866','resnet1d-8/4','soft','',102,0,10,'',0,0.0);
CREATE TABLE job_state_words (state INTEGER PRIMARY KEY, word TEXT NOT NULL) STRICT;
INSERT INTO job_state_words VALUES(1,'blocked');
INSERT INTO job_state_words VALUES(2,'queued');
INSERT INTO job_state_words VALUES(3,'leased');
INSERT INTO job_state_words VALUES(4,'running');
INSERT INTO job_state_words VALUES(5,'succeeded');
INSERT INTO job_state_words VALUES(6,'failed');
INSERT INTO job_state_words VALUES(7,'skipped');
INSERT INTO job_state_words VALUES(8,'cancelled');
CREATE TABLE latest_points (
  job INTEGER NOT NULL REFERENCES job_rows, series INTEGER NOT NULL REFERENCES series_names,
  step INTEGER NOT NULL, value REAL, unix_ms INTEGER NOT NULL,
  PRIMARY KEY (job, series)
) STRICT, WITHOUT ROWID;
INSERT INTO latest_points VALUES(1,1,2,2.0,1002);
INSERT INTO latest_points VALUES(1,2,1,1.0,1001);
INSERT INTO latest_points VALUES(2,1,4,NULL,1004);
INSERT INTO latest_points VALUES(2,2,3,3.0,1003);
CREATE TABLE members (
  sweep INTEGER NOT NULL REFERENCES sweep_rows, position INTEGER NOT NULL, job INTEGER NOT NULL REFERENCES job_rows,
  PRIMARY KEY (sweep, position)
) STRICT, WITHOUT ROWID;
INSERT INTO members VALUES(1,0,1);
INSERT INTO members VALUES(1,1,2);
INSERT INTO members VALUES(1,2,3);
INSERT INTO members VALUES(2,0,4);
INSERT INTO members VALUES(2,1,5);
INSERT INTO members VALUES(3,0,6);
INSERT INTO members VALUES(4,0,7);
INSERT INTO members VALUES(4,1,8);
CREATE TABLE point_rows (
  job INTEGER NOT NULL REFERENCES job_rows, series INTEGER NOT NULL REFERENCES series_names,
  step INTEGER NOT NULL, value REAL, unix_ms INTEGER NOT NULL,
  PRIMARY KEY (job, series, step)
) STRICT, WITHOUT ROWID;
INSERT INTO point_rows VALUES(1,1,0,0.0,1000);
INSERT INTO point_rows VALUES(1,1,2,2.0,1002);
INSERT INTO point_rows VALUES(1,2,1,1.0,1001);
INSERT INTO point_rows VALUES(2,1,0,0.0,1000);
INSERT INTO point_rows VALUES(2,1,2,2.0,1002);
INSERT INTO point_rows VALUES(2,1,4,NULL,1004);
INSERT INTO point_rows VALUES(2,2,1,1.0,1001);
INSERT INTO point_rows VALUES(2,2,3,3.0,1003);
CREATE TABLE requests (
  id TEXT PRIMARY KEY, method TEXT NOT NULL, sweep INTEGER NOT NULL, worker INTEGER NOT NULL,
  changed INTEGER NOT NULL, time_ms INTEGER NOT NULL
, next INTEGER NOT NULL DEFAULT -1, states INTEGER NOT NULL DEFAULT 0, causes INTEGER NOT NULL DEFAULT 0, arguments TEXT NOT NULL DEFAULT '', answer BLOB NOT NULL DEFAULT x'') STRICT, WITHOUT ROWID;
INSERT INTO requests VALUES('request','CreateSweep',1,0,0,1700000000000,-1,0,0,'',X'');
INSERT INTO requests VALUES('request-cancel','CancelSweep',3,0,0,1700000000000,-1,0,0,'',X'');
INSERT INTO requests VALUES('request-drain','DrainWorker',0,2,0,1700000000000,-1,0,0,'',X'');
INSERT INTO requests VALUES('request-fails','CreateSweep',2,0,0,1700000000000,-1,0,0,'',X'');
INSERT INTO requests VALUES('request-pause','PauseSweep',4,0,0,1700000000000,-1,0,0,'',X'');
INSERT INTO requests VALUES('request-stopped','CreateSweep',3,0,0,1700000000000,-1,0,0,'',X'');
INSERT INTO requests VALUES('request-waits','CreateSweep',4,0,0,1700000000000,-1,0,0,'',X'');
CREATE TABLE result_messages (job INTEGER PRIMARY KEY REFERENCES job_rows, result BLOB NOT NULL) STRICT;
INSERT INTO result_messages VALUES(1,X'0A161214087811000000000000124069000000000000F87F1A0308840D58016040');
CREATE TABLE result_rows (
  job INTEGER PRIMARY KEY REFERENCES job_rows, attempt INTEGER NOT NULL, weights BLOB NOT NULL,
  weights_size INTEGER NOT NULL, mae_bpm REAL, mae_argmax_bpm REAL, mae_expectation_bpm REAL, mae_all_channels_bpm REAL, rmse_bpm REAL,
  bias_bpm REAL, loa_low_bpm REAL, loa_high_bpm REAL, p90_bpm REAL, within_5_bpm REAL, within_10_bpm REAL,
  pearson_r REAL, cross_entropy REAL, calibration_error REAL, floor_mean_bpm REAL, floor_fft_bpm REAL,
  worst_subject_mae_bpm REAL, val_mae_bpm REAL, params INTEGER, params_body INTEGER, macs INTEGER,
  size_bytes INTEGER, peak_activation_bytes INTEGER, latency_ms REAL, latency_p95_ms REAL, latency_machine TEXT,
  epochs INTEGER, kept_epoch INTEGER, train_s REAL, samples_per_s REAL, numeric_fingerprint TEXT
, mixed INTEGER NOT NULL DEFAULT 0, windows INTEGER, microbatch INTEGER) STRICT;
INSERT INTO result_rows VALUES(1,1,X'9A129038D9A00AED0CF6A7EA059CA50A813449061AB87848CF1A13EAFDF33B2C',77,4.5,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,0.0,NULL,0.0,0.0,0.0,0.0,0.0,NULL,1668,0,0,0,0,0.0,0.0,'',0,0,0.0,0.0,'',1,120,64);
CREATE TABLE series_names (series INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO series_names VALUES(1,'train.loss');
INSERT INTO series_names VALUES(2,'val.mae_bpm');
CREATE TABLE sweep_rows (
  key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, priority INTEGER NOT NULL, jobs INTEGER NOT NULL,
  create_ms INTEGER NOT NULL, budget_device_s REAL NOT NULL, budget_wall_ms INTEGER NOT NULL,
  budget_cancel INTEGER NOT NULL,
  state INTEGER NOT NULL, reason TEXT NOT NULL, end_ms INTEGER NOT NULL,
  blocked INTEGER NOT NULL, queued INTEGER NOT NULL, leased INTEGER NOT NULL, running INTEGER NOT NULL,
  succeeded INTEGER NOT NULL, failed INTEGER NOT NULL, skipped INTEGER NOT NULL, cancelled INTEGER NOT NULL,
  known INTEGER NOT NULL, cost_open REAL NOT NULL, cost_done REAL NOT NULL, done_s REAL NOT NULL,
  device_s REAL NOT NULL, budget_spent INTEGER NOT NULL
, checkpoint_every_s REAL NOT NULL DEFAULT 0, wall_limit_s REAL NOT NULL DEFAULT 0) STRICT;
INSERT INTO sweep_rows VALUES(1,'s',0,3,1700000000000,0.0,0,0,2,'',0,0,1,0,1,1,0,0,0,0,10.0,5.0,3.0,3.0,0,0.0,0.0);
INSERT INTO sweep_rows VALUES(2,'fails',2,2,1700000000000,0.0,0,0,4,'',1700000000000,0,0,0,0,0,1,1,0,0,0.0,0.0,0.0,0.0,0,0.0,0.0);
INSERT INTO sweep_rows VALUES(3,'stopped',3,1,1700000000000,0.0,0,0,5,'cancelled on request',1700000000000,0,0,0,0,0,0,0,1,0,0.0,0.0,0.0,0.0,0,0.0,0.0);
INSERT INTO sweep_rows VALUES(4,'waits',4,2,1700000000000,0.0,0,0,3,'paused on request',0,1,0,1,0,0,0,0,0,0,14.0,0.0,0.0,0.0,0,0.0,0.0);
CREATE TABLE sweep_specs (key INTEGER PRIMARY KEY REFERENCES sweep_rows, spec BLOB NOT NULL) STRICT;
INSERT INTO sweep_specs VALUES(1,X'0A0173120A6B6570742077686F6C65');
INSERT INTO sweep_specs VALUES(2,X'0A056661696C731802224612440A406232373766643632333637366135323563323962396562313535616663386339303130363831383134636561666232643736323766343762396132333235373610079A01020809');
INSERT INTO sweep_specs VALUES(3,X'0A0773746F707065641803224612440A406232373766643632333637366135323563323962396562313535616663386339303130363831383134636561666232643736323766343762396132333235373610079A01020809');
INSERT INTO sweep_specs VALUES(4,X'0A0577616974731804224612440A406232373766643632333637366135323563323962396562313535616663386339303130363831383134636561666232643736323766343762396132333235373610079A01020809');
CREATE TABLE worker_rows (
  key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, host TEXT NOT NULL, version TEXT NOT NULL,
  slots BLOB NOT NULL, slot_count INTEGER NOT NULL, incarnation INTEGER NOT NULL, state INTEGER NOT NULL,
  reason TEXT NOT NULL, away INTEGER NOT NULL, seen_ms INTEGER NOT NULL, succeeded INTEGER NOT NULL,
  failed INTEGER NOT NULL, streak TEXT NOT NULL, streak_ms INTEGER NOT NULL, last_success_ms INTEGER NOT NULL
) STRICT;
INSERT INTO worker_rows VALUES(1,'w','here','',X'2A0B1203637075188080808004',1,1,1,'',0,1700000000000,1,0,'',0,1700000000000);
INSERT INTO worker_rows VALUES(2,'x','there','',X'2A0E1206637564613A301880808080202A0708011203637075',2,5,2,'drained on request',0,1700000000000,0,1,'',0,0);
CREATE VIEW sweeps AS SELECT name AS sweep,
  CASE state WHEN 1 THEN 'expanding' WHEN 2 THEN 'active' WHEN 3 THEN 'paused' WHEN 4 THEN 'done'
    ELSE 'cancelled' END AS state,
  reason, priority, jobs, blocked, queued, leased, running, succeeded, failed, skipped, cancelled, known AS known_jobs,
  device_s, create_ms, nullif(end_ms, 0) AS end_ms FROM sweep_rows;
CREATE VIEW workers AS SELECT name AS worker, CASE WHEN away THEN 'away' WHEN state = 2 THEN 'draining'
  WHEN state = 3 THEN 'quarantined' ELSE 'active' END AS state,
  reason, host, version, slot_count AS slots, succeeded, failed, seen_ms FROM worker_rows;
CREATE INDEX members_of_job ON members(job);
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
CREATE VIEW attempts AS SELECT lower(hex(j.id)) AS job, a.number AS attempt, k.name AS worker, a.lease_ms,
  nullif(a.start_ms, 0) AS start_ms, a.end_ms, a.device_s, c.word AS failure, a.message
  FROM attempt_rows a JOIN job_rows j ON j.key = a.job JOIN worker_rows k ON k.key = a.worker
  LEFT JOIN cause_words c ON c.cause = a.cause
  UNION ALL SELECT lower(hex(j.id)), j.attempt, k.name, j.lease_ms, nullif(j.start_ms, 0), NULL, 0.0, NULL, ''
  FROM job_rows j JOIN worker_rows k ON k.key = j.worker WHERE j.state IN (3, 4);
CREATE INDEX job_ids ON job_rows(substr(id, 1, 4));
COMMIT;
PRAGMA user_version=6;
