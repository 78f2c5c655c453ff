#include "server/store/sqlite_store.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status.h"
#include "server/store/folder.h"
#include "server/store/schema.h"
#include "server/store/sqlite.h"
#include "server/store/sqlite_reader.h"
#include "server/store/sqlite_writer.h"

namespace retort::store {
namespace {

absl::Status Migrate(const Connection& db, const std::string& path) {
  RETORT_ASSIGN_OR_RETURN(const int64_t version, db.QueryInt("PRAGMA user_version"));
  const auto& migrations = Migrations();
  const auto newest = static_cast<int64_t>(migrations.size());
  if (version > newest) {
    return absl::FailedPreconditionError(absl::StrCat(path, " has schema version ", version,
                                                      ", this program knows up to ", newest,
                                                      "; use a newer Retort, or restore a backup"));
  }
  for (int64_t v = version; v < newest; ++v) {
    const std::string_view sql = migrations[static_cast<size_t>(v)];
    RETORT_RETURN_IF_ERROR(
        db.Execute(absl::StrCat("BEGIN IMMEDIATE; ", absl::string_view(sql.data(), sql.size()),
                                "; PRAGMA user_version=", v + 1, "; COMMIT;")));
  }
  return absl::OkStatus();
}

absl::StatusOr<Connection> OpenWriter(const std::string& path, const SqliteOptions& options) {
  RETORT_ASSIGN_OR_RETURN(Connection db,
                          Connection::Open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
                                           options.vfs.empty() ? nullptr : options.vfs.c_str()));
  RETORT_RETURN_IF_ERROR(db.Execute(absl::StrCat(
      "PRAGMA busy_timeout=5000; PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON; ",
      "PRAGMA cache_size=-65536; PRAGMA synchronous=", options.synchronous ? "FULL" : "OFF")));
  return db;
}

// Damage named by its file, with what helps.
absl::Status NameDamage(const absl::Status& status, const std::string& path) {
  if (!absl::IsDataLoss(status)) return status;
  return absl::DataLossError(
      absl::StrCat(path, " is damaged; restore a backup (", MessageOf(status), ")"));
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
        reader_(path_) {}

  CommitResult Commit(const std::vector<const core::Record*>& records) override;
  absl::Status Load(const std::function<void(const core::Record&)>& sink) override {
    const absl::Status status = LoadRecords(db_, sink);
    return status.ok() ? status : Annotate(status, path_);
  }
  absl::Status Reopen() override;
  const Reader& reader() const override { return reader_; }

 private:
  // After a failure before COMMIT: nothing was written.
  CommitResult RollBack(const absl::Status& why);

  const std::string path_;
  const SqliteOptions options_;
  const UniqueFd lock_;
  Connection db_;
  std::unique_ptr<SqliteWriter> writer_;  // on db_
  SqliteReader reader_;
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

absl::Status SqliteStore::Reopen() {
  writer_.reset();
  db_ = Connection();
  RETORT_ASSIGN_OR_RETURN(db_, OpenWriter(path_, options_));
  writer_ = std::make_unique<SqliteWriter>(db_);
  return CheckReadable(db_);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& folder,
                                                       const SqliteOptions& options) {
  RETORT_RETURN_IF_ERROR(MakeFolders(folder));
  RETORT_RETURN_IF_ERROR(RefuseNetworkFilesystem(folder, options.filesystem_magic));
  RETORT_ASSIGN_OR_RETURN(UniqueFd lock, LockFolder(folder));
  const std::string path = folder + "/retort.db";
  auto opened = OpenWriter(path, options);
  if (!opened.ok()) return NameDamage(opened.status(), path);
  Connection db = *std::move(opened);
  RETORT_RETURN_IF_ERROR(NameDamage(CheckReadable(db), path));
  RETORT_RETURN_IF_ERROR(NameDamage(Migrate(db, path), path));
  RETORT_RETURN_IF_ERROR(SyncFolder(folder));
  return std::unique_ptr<Store>(new SqliteStore(path, options, std::move(lock), std::move(db)));
}

}  // namespace retort::store
