#include "server/store/maintenance.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/spec/given_teacher.h"
#include "common/status.h"
#include "retort/v1/result.pb.h"
#include "retort/v1/spec.pb.h"
#include "server/core/state.h"
#include "server/store/schema.h"
#include "server/store/sqlite_writer.h"

namespace retort::store {
namespace {

constexpr int kStepsBetweenAsking = 100'000;  // virtual machine steps
Finding Damaged(const std::string& subject, const std::string& what) {
  return {
      FindingCode::kDatabaseDamaged, true, subject,
      absl::StrCat(what, "; restore a backup (retort-server restore), and keep this folder aside")};
}

Finding Inconsistent(const std::string& subject, const std::string& what) {
  return {FindingCode::kRowsInconsistent, true, subject,
          absl::StrCat(what,
                       "; please report it with the output of this check, and restore a backup "
                       "if sweeps behave oddly")};
}

int AskCancelled(void* context) {
  return (*static_cast<std::function<bool()>*>(context))() ? 1 : 0;
}

// Calls `sink` for each row.
template <typename Sink>
absl::Status EachRow(const Connection& db, std::string_view sql, Sink sink) {
  RETORT_ASSIGN_OR_RETURN(Statement rows, db.Prepare(sql));
  while (true) {
    RETORT_ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) return absl::OkStatus();
    sink(rows);
  }
}

bool IsHexDigit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

// Runs of exactly 64 hexadecimal digits in serialised messages: text fields that name a SHA-256.
// The byte before such a field is its length, 64, which is '@' and no digit.
template <typename Sink>
void EachHash(std::string_view bytes, Sink sink) {
  constexpr size_t kDigits = 64;
  for (size_t at = 0; at + kDigits <= bytes.size();) {
    if (!IsHexDigit(bytes[at])) {
      ++at;
      continue;
    }
    size_t end = at;
    while (end < bytes.size() && IsHexDigit(bytes[end])) ++end;
    // A digit that follows may be the tag of the next field.
    for (size_t first = at; first + kDigits <= end; ++first) {
      if (first > 0 && bytes[first - 1] != static_cast<char>(kDigits)) continue;
      if (auto hash = ArtifactHash::FromHex(bytes.substr(first, kDigits)); hash.ok()) sink(*hash);
    }
    at = end;
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Snapshot>> Snapshot::Open(const std::string& path,
                                                         std::function<bool()> cancelled) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return ErrnoStatus(errno, path, "no database");
  std::unique_ptr<Snapshot> snapshot(new Snapshot(path));
  snapshot->cancelled_ = std::move(cancelled);
  RETORT_ASSIGN_OR_RETURN(snapshot->db_, Connection::Open(path, SQLITE_OPEN_READONLY));
  const Connection& db = snapshot->db_;
  if (snapshot->cancelled_) {
    sqlite3_progress_handler(db.get(), kStepsBetweenAsking, AskCancelled, &snapshot->cancelled_);
  }
  RETORT_RETURN_IF_ERROR(
      db.Execute("PRAGMA busy_timeout=5000; PRAGMA query_only=1; PRAGMA cache_size=-16384; BEGIN"));
  auto version = db.QueryInt("PRAGMA user_version");
  // Only a read of content makes the transaction see one moment.
  if (version.ok())
    version = db.QueryInt(
        "SELECT count(*) + (SELECT * FROM pragma_user_version) - "
        "count(*) FROM sqlite_schema");
  if (!version.ok()) return Annotate(snapshot->Named(version.status()), path);
  const auto known = static_cast<int64_t>(Migrations().size());
  if (*version != known) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, " has schema version ", *version, ", this program works on ", known,
        *version < known ? "; start a coordinator on it once, which brings it up to date"
                         : "; use the newer Retort that wrote it"));
  }
  return snapshot;
}

absl::Status Snapshot::Named(const absl::Status& status) const {
  if (cancelled_ && cancelled_()) return absl::CancelledError("cancelled");
  return status;
}

absl::StatusOr<DatabaseFacts> Snapshot::Facts() {
  DatabaseFacts facts;
  facts.schema_version = static_cast<int64_t>(Migrations().size());
  for (auto [sql, count] : {std::pair{"SELECT count(*) FROM sweep_rows", &facts.sweeps},
                            {"SELECT count(*) FROM job_rows", &facts.jobs},
                            {"SELECT count(*) FROM result_rows", &facts.results}}) {
    auto counted = db_.QueryInt(sql);
    if (!counted.ok()) return Annotate(Named(counted.status()), path_);
    *count = *counted;
  }
  return facts;
}

absl::Status Snapshot::References(
    const std::function<void(const core::Artifact&, bool certain)>& sink) {
  absl::Status broken;
  absl::Status status =
      EachRow(db_, "SELECT weights, weights_size, job FROM result_rows", [&](const Statement& row) {
        auto hash = ArtifactHash::FromRaw(row.Blob(0));
        if (hash.ok()) return sink({*hash, row.Int(1)}, true);
        broken = absl::DataLossError(
            absl::StrCat(path_, ": the result of job ", row.Int(2), " names no artifact"));
      });
  if (status.ok()) {
    status = EachRow(db_, "SELECT file, size, job FROM job_checkpoints", [&](const Statement& row) {
      auto hash = ArtifactHash::FromRaw(row.Blob(0));
      if (hash.ok()) return sink({*hash, row.Int(1)}, true);
      broken = absl::DataLossError(
          absl::StrCat(path_, ": the checkpoint of job ", row.Int(2), " names no artifact"));
    });
  }
  if (status.ok()) {
    status = EachRow(db_, "SELECT spec, key FROM sweep_specs", [&](const Statement& row) {
      const std::string_view bytes = row.Blob(0);
      v1::SweepSpec spec;
      if (!spec.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        broken = absl::DataLossError(
            absl::StrCat(path_, ": the spec of sweep ", row.Int(1), " is not readable"));
        return;
      }
      for (const auto& dataset : spec.datasets()) {
        const auto hash = ArtifactHash::FromHex(dataset.info().sha256());
        if (hash.ok()) sink({*hash, dataset.info().size_bytes()}, true);
      }
      for (const auto& teacher : spec.teachers()) {
        const auto hash = ArtifactHash::FromHex(HashOf(teacher.given()));
        if (hash.ok()) sink({*hash, teacher.given_size_bytes()}, true);
      }
    });
  }
  for (const char* sql : {"SELECT spec FROM sweep_specs", "SELECT spec FROM job_specs"}) {
    if (!status.ok()) break;
    status = EachRow(db_, sql, [&sink](const Statement& row) {
      EachHash(row.Blob(0), [&sink](const ArtifactHash& hash) { sink({hash, -1}, false); });
    });
  }
  if (!status.ok()) return Annotate(Named(status), path_);
  return broken;
}

// ------------------------------------------------------------------------------------------- check

absl::Status Snapshot::Check(bool quick, const FindingSink& sink) {
  bool sound = true;
  RETORT_RETURN_IF_ERROR(CheckSqlite(sink, sound));
  // What follows reads rows as if they could be trusted.
  if (sound) RETORT_RETURN_IF_ERROR(CheckKeys(sink, sound));
  if (!sound) return absl::OkStatus();
  RETORT_RETURN_IF_ERROR(CheckRows(sink));
  RETORT_RETURN_IF_ERROR(CheckState(sink));
  return CheckPoints(sink, quick);
}

absl::Status Snapshot::CheckSqlite(const FindingSink& sink, bool& sound) {
  absl::Status status = EachRow(db_, "PRAGMA integrity_check(20)", [&](const Statement& row) {
    if (row.Text(0) == "ok") return;
    sound = false;
    sink(Damaged("retort.db", absl::StrCat("the database is damaged: ", std::string(row.Text(0)))));
  });
  if (status.ok() && sound) {
    status = EachRow(db_, "PRAGMA foreign_key_check", [&](const Statement& row) {
      sound = false;
      sink(Damaged(std::string(row.Text(0)),
                   absl::StrCat("row ", row.Int(1), " refers to a row of ",
                                std::string(row.Text(2)), " that is not there")));
    });
  }
  if (!absl::IsDataLoss(status)) return Named(status);
  sound = false;
  sink(Damaged("retort.db", MessageOf(status)));
  return absl::OkStatus();
}

absl::Status Snapshot::CheckKeys(const FindingSink& sink, bool& sound) {
  for (const char* table : {"job_rows", "sweep_rows", "worker_rows"}) {
    RETORT_ASSIGN_OR_RETURN(const int64_t gaps,
                            db_.QueryInt(absl::StrCat("SELECT coalesce(max(key), 0) - count(*) + "
                                                      "coalesce(min(key) < 1, 0) FROM ",
                                                      table)));
    if (gaps == 0) continue;
    sound = false;
    sink(Damaged(table, absl::StrCat(gaps, " rows are missing")));
  }
  RETORT_ASSIGN_OR_RETURN(
      const int64_t stateless,
      db_.QueryInt("SELECT count(*) FROM job_rows LEFT JOIN job_states ON job=key WHERE "
                   "job IS NULL"));
  if (stateless > 0) {
    sound = false;
    sink(Damaged("job_states", absl::StrCat(stateless, " rows are missing")));
  }
  constexpr const char* kRanges[][2] = {
      {"job_rows", "length(id) <> 32 OR kind NOT BETWEEN 1 AND 3 OR teacher >= key"},
      {"job_states",
       "state NOT BETWEEN 1 AND 8 OR cause NOT BETWEEN 0 AND 8 OR attempt < 0 OR points < 0 OR "
       "(state IN (3, 4) AND (worker IS NULL OR attempt = 0))"},
      {"sweep_rows", "state NOT BETWEEN 1 AND 5"},
      {"worker_rows", "state NOT BETWEEN 1 AND 3"},
      {"result_rows", "length(weights) <> 32 OR weights_size < 0"}};
  for (const auto& [table, wrong] : kRanges) {
    RETORT_ASSIGN_OR_RETURN(
        const int64_t rows,
        db_.QueryInt(absl::StrCat("SELECT count(*) FROM ", table, " WHERE ", wrong)));
    if (rows == 0) continue;
    sound = false;
    sink(Damaged(table, absl::StrCat(rows, " rows hold values that mean nothing")));
  }
  return absl::OkStatus();
}

// Rows that belong together, and are not read by the core.
absl::Status Snapshot::CheckRows(const FindingSink& sink) {
  constexpr struct {
    const char* table;
    const char* what;
    const char* sql;
  } kPairs[] = {
      {"sweep_rows", "sweeps have no spec",
       "SELECT count(*) FROM sweep_rows s LEFT JOIN sweep_specs d USING (key) WHERE d.key IS NULL"},
      {"job_rows", "jobs have the id of another",
       "SELECT count(*) - count(DISTINCT id) FROM job_rows"},
      {"job_rows", "jobs have no spec",
       "SELECT count(*) FROM job_rows j LEFT JOIN job_specs d USING (key) WHERE d.key IS NULL"},
      {"attempt_rows", "attempts are newer than the latest of their job",
       "SELECT count(*) FROM attempt_rows a JOIN job_states now USING (job) WHERE "
       "a.number>now.attempt"},
      {"attempt_rows", "attempts have not ended",
       "SELECT count(*) FROM attempt_rows WHERE end_ms=0"},
      {"attempt_rows", "attempts have ended whose job is leased",
       "SELECT count(*) FROM job_states now JOIN attempt_rows a ON a.job=now.job AND "
       "a.number=now.attempt WHERE now.state IN (3, 4)"},
      {"result_rows", "results lack their message, or messages their result",
       "SELECT (SELECT count(*) FROM result_rows r LEFT JOIN result_messages m USING (job) WHERE "
       "m.job IS NULL) + (SELECT count(*) FROM result_messages m LEFT JOIN result_rows r USING "
       "(job) WHERE r.job IS NULL)"},
      {"result_rows", "results are of an attempt that is not there",
       "SELECT count(*) FROM result_rows r LEFT JOIN attempt_rows a ON a.job=r.job AND "
       "a.number=r.attempt WHERE a.job IS NULL"},
      {"result_rows", "results are of an attempt that did not succeed",
       "SELECT count(*) FROM result_rows r JOIN attempt_rows a ON a.job=r.job AND "
       "a.number=r.attempt WHERE a.cause<>0"}};
  for (const auto& [table, what, sql] : kPairs) {
    const auto rows = db_.QueryInt(sql);
    if (!rows.ok()) return Annotate(Named(rows.status()), path_);
    if (*rows > 0) sink(Inconsistent(table, absl::StrCat(*rows, " ", what)));
  }
  return absl::OkStatus();
}

absl::Status Snapshot::CheckState(const FindingSink& sink) {
  core::State state;
  const absl::Status loaded =
      LoadRecords(db_, [&state](const core::Record& record) { state.Load(record); });
  if (absl::IsDataLoss(loaded)) {
    sink(Damaged("retort.db", MessageOf(loaded)));
    return absl::OkStatus();
  }
  if (!loaded.ok()) return Annotate(Named(loaded), path_);
  state.Recover(Now{absl::ZeroDuration(), absl::UnixEpoch()});
  if (const absl::Status broken = state.CheckInvariants(); !broken.ok()) {
    sink(Inconsistent("retort.db", MessageOf(broken)));
  }
  return absl::OkStatus();
}

absl::Status Snapshot::CheckPoints(const FindingSink& sink, bool quick) {
  constexpr int64_t kMost = 20;
  int64_t few = 0;
  const std::string counted = quick ? "(SELECT points FROM job_states n WHERE n.job = r.job)"
                                    : "(SELECT count(*) FROM point_rows p WHERE p.job = r.job)";
  absl::Status status = EachRow(
      db_,
      absl::StrCat("SELECT r.result, ", counted,
                   ", lower(hex(j.id)) FROM result_messages r JOIN job_rows j ON j.key = r.job"),
      [&](const Statement& row) {
        v1::JobResult result;
        const std::string_view bytes = row.Blob(0);
        const std::string job(row.Text(2));
        if (!result.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
          if (++few <= kMost) sink(Damaged(job, "the result of the job is not readable"));
          return;
        }
        if (row.Int(1) >= result.metric_points() || ++few > kMost) return;
        sink({FindingCode::kRowsInconsistent, true, job,
              absl::StrCat("the job has ", row.Int(1), " metric points, and its result counts ",
                           result.metric_points(),
                           "; its curves have gaps, the result itself stands")});
      });
  if (status.ok() && !quick) {
    status =
        EachRow(db_,
                "SELECT lower(hex(j.id)), n.name FROM "
                "(SELECT job, series, max(step) AS step FROM point_rows GROUP BY job, series) p "
                "LEFT JOIN latest_points l ON l.job=p.job AND l.series=p.series AND l.step=p.step "
                "JOIN job_rows j ON j.key=p.job JOIN series_names n ON n.series=p.series "
                "WHERE l.job IS NULL LIMIT 20",
                [&sink](const Statement& row) {
                  sink(Inconsistent(std::string(row.Text(0)),
                                    absl::StrCat("the latest value of ", std::string(row.Text(1)),
                                                 " is not that of its last step")));
                });
  }
  return status.ok() ? status : Annotate(Named(status), path_);
}

// -------------------------------------------------------------------------------------------- copy

absl::Status CopyDatabase(const std::string& from, const std::string& to,
                          const std::function<void(int64_t, int64_t)>& progress,
                          const std::function<bool()>& cancelled) {
  RETORT_ASSIGN_OR_RETURN(Connection source, Connection::Open(from, SQLITE_OPEN_READONLY));
  RETORT_RETURN_IF_ERROR(source.Execute("PRAGMA busy_timeout=5000; BEGIN"));
  // Without a snapshot of its own the copy would begin again after each commit beside it, and never
  // end. With one, going in pieces is as good as one step, and can be watched and cancelled.
  RETORT_RETURN_IF_ERROR(source.QueryInt("SELECT count(*) FROM sqlite_schema").status());
  RETORT_ASSIGN_OR_RETURN(const int64_t page_bytes, source.QueryInt("PRAGMA page_size"));
  {
    RETORT_ASSIGN_OR_RETURN(Connection copy,
                            Connection::Open(to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE));
    RETORT_RETURN_IF_ERROR(copy.Execute("PRAGMA synchronous=OFF"));
    sqlite3_backup* backup = sqlite3_backup_init(copy.get(), "main", source.get(), "main");
    if (backup == nullptr) return SqliteStatus(copy.get(), sqlite3_errcode(copy.get()), to);
    constexpr int kPages = 2048;
    int code = SQLITE_OK;
    while (code == SQLITE_OK) {
      if (cancelled && cancelled()) break;
      code = sqlite3_backup_step(backup, kPages);
      const int64_t all = sqlite3_backup_pagecount(backup);
      if (progress)
        progress((all - sqlite3_backup_remaining(backup)) * page_bytes, all * page_bytes);
    }
    sqlite3_backup_finish(backup);
    if (code == SQLITE_OK) return absl::CancelledError("cancelled");
    if (code != SQLITE_DONE) return SqliteStatus(nullptr, code, to);
    // So that it can be read where nothing can be written.
    RETORT_RETURN_IF_ERROR(copy.Execute("PRAGMA journal_mode=DELETE"));
  }
  UniqueFd fd(open(to.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid() || fsync(fd.get()) != 0) return ErrnoStatus(errno, to, "cannot be flushed");
  return absl::OkStatus();
}

}  // namespace retort::store
