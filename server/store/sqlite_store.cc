#include "server/store/sqlite_store.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"
#include "server/store/backfill.h"
#include "server/store/folder.h"
#include "server/store/gathered_writes.h"
#include "server/store/maintenance.h"
#include "server/store/schema.h"
#include "server/store/sqlite.h"
#include "server/store/sqlite_reader.h"
#include "server/store/sqlite_writer.h"

namespace retort::store {
namespace {

// An error with the database's path, and with what to do if it is damaged.
absl::Status Named(const absl::Status& status, const std::string& path) {
  if (!absl::IsDataLoss(status)) return Annotate(status, path);
  return absl::DataLossError(
      absl::StrCat(path, ": ", MessageOf(status),
                   "; the database is damaged: keep this folder aside, and restore ",
                   "a backup (retort-server restore --from BACKUP --folder NEW); `retort-server "
                   "check` says more"));
}

// A database up to this size is copied before it is brought up to date.
constexpr int64_t kMostCopiedBytes = int64_t{1} << 30;

// Keeps what an older version can still read as `retort.db.v<version>`, unless it is there.
absl::Status KeepOld(const Connection& db, const std::string& path, int64_t version) {
  const std::string kept = absl::StrCat(path, ".v", version);
  RETORT_ASSIGN_OR_RETURN(const int64_t bytes,
                          db.QueryInt("SELECT page_count * page_size FROM pragma_page_count, "
                                      "pragma_page_size"));
  if (bytes > kMostCopiedBytes || access(kept.c_str(), F_OK) == 0) return absl::OkStatus();
  const std::string partial = kept + ".partial";
  unlink(partial.c_str());
  RETORT_RETURN_IF_ERROR(CopyDatabase(path, partial, nullptr, nullptr));
  if (rename(partial.c_str(), kept.c_str()) != 0)
    return ErrnoStatus(errno, kept, "cannot be renamed into place");
  return absl::OkStatus();
}

// Each step is one transaction: whoever is killed in the middle leaves the older version whole.
absl::Status Migrate(const Connection& db, const std::string& path) {
  RETORT_ASSIGN_OR_RETURN(const int64_t version, db.QueryInt("PRAGMA user_version"));
  const auto& migrations = Migrations();
  const auto newest = static_cast<int64_t>(migrations.size());
  if (version > newest) {
    return absl::FailedPreconditionError(
        absl::StrCat("has schema version ", version, ", this program knows up to ", newest,
                     "; use the newer Retort that wrote it, or restore a backup that is older"));
  }
  if (version > 0 && version < newest) RETORT_RETURN_IF_ERROR(KeepOld(db, path, version));
  RETORT_RETURN_IF_ERROR(AddMessageValue(db));
  for (int64_t v = version; v < newest; ++v) {
    const std::string_view sql = migrations[static_cast<size_t>(v)];
    RETORT_RETURN_IF_ERROR(
        db.Execute(absl::StrCat("BEGIN IMMEDIATE; ", absl::string_view(sql.data(), sql.size()),
                                "; PRAGMA user_version=", v + 1, "; COMMIT;")));
  }
  return absl::OkStatus();
}

constexpr int kBusyMs = 5000;
// How long a checkpoint may wait for readers, while nothing is committed: those that look something
// up are soon done; the other is for a log that has become long.
constexpr int kCheckpointBusyMs = 5;
constexpr int kLongLogBusyMs = 100;
// Of new databases; others keep what they were made with. Most of what is written goes to the ends
// of tables, where larger pages are fewer.
constexpr int kPageBytes = 8192;
// Bytes that the write-ahead log's file keeps at most when it begins again.
constexpr int64_t kMostWalBytes = int64_t{64} << 20;
constexpr int kMostWalPages = kMostWalBytes / kPageBytes;

// Without references: while tables are brought up to date, one that is replaced goes before the new
// one has its name.
absl::StatusOr<Connection> OpenWriter(const std::string& path, const SqliteOptions& options) {
  const std::string vfs = options.synchronous ? GatheringVfsOver(options.vfs) : options.vfs;
  RETORT_ASSIGN_OR_RETURN(Connection db,
                          Connection::Open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                           vfs.empty() ? nullptr : vfs.c_str()));
  RETORT_RETURN_IF_ERROR(db.Execute(absl::StrCat(
      "PRAGMA busy_timeout=", kBusyMs, "; PRAGMA page_size=", kPageBytes,
      "; PRAGMA journal_mode=WAL; PRAGMA cache_size=-65536; ",
      "PRAGMA journal_size_limit=", kMostWalBytes,
      // Debian's default overwrites what is deleted. Nothing here is secret
      // (architecture, section 6).
      "; PRAGMA secure_delete=OFF; PRAGMA foreign_keys=OFF; ",
      // Else what a statement of many rows may have to undo goes to a file in /var/tmp:
      // one more disk that may be full.
      "PRAGMA temp_store=MEMORY; PRAGMA synchronous=", options.synchronous ? "FULL" : "OFF")));
  return db;
}

absl::Status CheckReferences(const Connection& db, const SqliteOptions& options) {
  if (!options.check_references) return absl::OkStatus();
  return db.Execute("PRAGMA foreign_keys=ON");
}

// The first sign of damage: SQLite reads the schema, and every table's first page.
absl::Status CheckReadable(const Connection& db) {
  return db.QueryInt("SELECT count(*) FROM sqlite_schema").status();
}

class SqliteStore : public Store {
 public:
  SqliteStore(std::string path, SqliteOptions options, UniqueFd lock, Connection db)
      : path_(std::move(path)),
        options_(options),
        lock_(std::move(lock)),
        db_(std::move(db)),
        writer_(std::make_unique<SqliteWriter>(db_)),
        reader_(path_) {
    WatchWal();
  }

  CommitResult Commit(const std::vector<const core::Record*>& records) override;
  // Copies a long log to the database, so that it can begin again.
  void TidyUp() override;
  absl::Status Load(const std::function<void(const core::Record&)>& sink) override {
    const absl::Status status = LoadRecords(db_, sink);
    return status.ok() ? status : Named(status, path_);
  }
  absl::Status Reopen() override;
  const Reader& reader() const override { return reader_; }

 private:
  // After a failure before COMMIT: nothing was written.
  CommitResult RollBack(const absl::Status& why);
  // Notes how long the write-ahead log is after each commit, instead of SQLite's own checkpoints.
  void WatchWal();

  const std::string path_;
  const SqliteOptions options_;
  const UniqueFd lock_;
  Connection db_;
  std::unique_ptr<SqliteWriter> writer_;  // on db_
  SqliteReader reader_;
  int wal_pages_ = 0;        // after the latest commit
  int last_wal_pages_ = 0;   // after the one before
  int next_checkpoint_ = 0;  // pages
};

CommitResult SqliteStore::RollBack(const absl::Status& why) {
  writer_->Forget();
  if (sqlite3_get_autocommit(db_.get()) == 0 && !db_.Execute("ROLLBACK").ok()) {
    return CommitResult::Unknown(why);
  }
  // The connection, or the file under it, cannot be trusted any more.
  if (absl::IsAborted(why) || absl::IsDataLoss(why)) return CommitResult::Unknown(why);
  return CommitResult::NotDone(why);
}

CommitResult SqliteStore::Commit(const std::vector<const core::Record*>& records) {
  if (db_.get() == nullptr) {
    return CommitResult::NotDone(absl::UnavailableError(path_ + ": the database is not open"));
  }
  absl::Status status = db_.Execute("BEGIN IMMEDIATE");
  if (!status.ok()) return RollBack(status);
  status = writer_->Write(records);
  if (!status.ok()) return RollBack(status);
  status = db_.Execute("COMMIT");
  if (status.ok()) return CommitResult::Done();
  if (absl::IsAborted(status) || absl::IsDataLoss(status)) {
    writer_->Forget();
    return CommitResult::Unknown(status);
  }
  return RollBack(status);
}

void SqliteStore::WatchWal() {
  wal_pages_ = last_wal_pages_ = 0;
  next_checkpoint_ = options_.checkpoint_pages;
  sqlite3_wal_hook(
      db_.get(),
      [](void* pages, sqlite3*, const char*, int now) {
        *static_cast<int*>(pages) = now;
        return SQLITE_OK;
      },
      &wal_pages_);
}

// It fails without harm: what was committed lies in the log, which only grows.
//
// The log begins again only where no reader is in it, and it should: written over, its pages are
// found in memory and its blocks on the disk. So a checkpoint waits a little for readers, while new
// ones stay out of the log. Readers that always overlap would let it grow for ever all the same;
// one that has become long is given more time, and its space back.
void SqliteStore::TidyUp() {
  if (db_.get() == nullptr) return;
  // It has begun again.
  if (wal_pages_ < last_wal_pages_) next_checkpoint_ = options_.checkpoint_pages;
  last_wal_pages_ = wal_pages_;
  if (wal_pages_ < next_checkpoint_) return;
  const bool is_long = wal_pages_ >= kMostWalPages;
  int all = 0, copied = 0;
  sqlite3_busy_timeout(db_.get(), is_long ? kLongLogBusyMs : kCheckpointBusyMs);
  sqlite3_wal_checkpoint_v2(db_.get(), nullptr,
                            is_long ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_RESTART, &all,
                            &copied);
  sqlite3_busy_timeout(db_.get(), kBusyMs);
  // Where readers hold it up, the next try is worth its while only when much has come.
  next_checkpoint_ = wal_pages_ + options_.checkpoint_pages;
}

absl::Status SqliteStore::Reopen() {
  writer_.reset();
  db_ = Connection();
  RETORT_ASSIGN_OR_RETURN(db_, OpenWriter(path_, options_));
  RETORT_RETURN_IF_ERROR(CheckReferences(db_, options_));
  writer_ = std::make_unique<SqliteWriter>(db_);
  WatchWal();
  return CheckReadable(db_);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& folder,
                                                       const SqliteOptions& options) {
  RETORT_RETURN_IF_ERROR(MakeFolders(folder));
  RETORT_RETURN_IF_ERROR(RefuseNetworkFilesystem(folder, options.filesystem_magic));
  RETORT_ASSIGN_OR_RETURN(UniqueFd lock, LockFolder(folder));
  const std::string path = folder + "/retort.db";
  auto db = OpenWriter(path, options);
  absl::Status status = db.status();
  if (status.ok()) status = CheckReadable(*db);
  if (status.ok()) status = Migrate(*db, path);
  if (status.ok()) status = CheckReferences(*db, options);
  if (!status.ok()) return Named(status, path);
  RETORT_RETURN_IF_ERROR(SyncFolder(folder));
  return std::unique_ptr<Store>(new SqliteStore(path, options, std::move(lock), *std::move(db)));
}

}  // namespace retort::store
