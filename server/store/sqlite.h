// A thin wrapper of SQLite's C interface: handles that close themselves, errors as absl::Status.
#ifndef RETORT_SERVER_STORE_SQLITE_H_
#define RETORT_SERVER_STORE_SQLITE_H_

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace retort::store {

// A result code as a status with SQLite's message and what was tried. Full: RESOURCE_EXHAUSTED.
// Busy, read-only: UNAVAILABLE. Corrupt, not a database: DATA_LOSS. I/O error: ABORTED, as what was
// written is not known. Auth: PERMISSION_DENIED. Interrupted: DEADLINE_EXCEEDED. Others: INTERNAL.
absl::Status SqliteStatus(sqlite3* db, int code, std::string_view what);

// Bytes that SQLite has for what this thread does: allocated on it and not freed on it. Means
// something as a difference, over work that stays on one thread.
int64_t HeldMemory();

// A prepared statement. Parameters are numbered from 1, columns from 0. Errors of Bind come out of
// Step.
class Statement {
 public:
  Statement() = default;
  Statement(sqlite3* db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}

  Statement& Bind(int index, int64_t value);
  Statement& Bind(int index, double value);  // NaN becomes null
  Statement& Bind(int index, std::string_view text);
  Statement& BindBlob(int index, std::string_view bytes);
  // The same without a copy: the bytes stay where they are until the statement is reset.
  Statement& BindKept(int index, std::string_view text);
  Statement& BindKeptBlob(int index, std::string_view bytes);
  Statement& BindNull(int index);

  // True: a row is there. False: done.
  absl::StatusOr<bool> Step();
  // Runs a statement that gives no rows, and resets it.
  absl::Status Run();
  void Reset();

  int64_t Int(int column) const { return sqlite3_column_int64(statement_.get(), column); }
  double Real(int column) const { return sqlite3_column_double(statement_.get(), column); }
  // Valid until the next Step.
  std::string_view Text(int column) const;
  std::string_view Blob(int column) const;
  bool IsNull(int column) const {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
  }
  sqlite3_stmt* get() const { return statement_.get(); }

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  void Note(int code) {
    if (code != SQLITE_OK && bind_error_ == SQLITE_OK) bind_error_ = code;
  }

  sqlite3* db_ = nullptr;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int bind_error_ = SQLITE_OK;
};

// A connection. Threads: one at a time.
class Connection {
 public:
  // `flags` and `vfs` as of sqlite3_open_v2.
  static absl::StatusOr<Connection> Open(const std::string& path, int flags,
                                         const char* vfs = nullptr);

  absl::StatusOr<Statement> Prepare(std::string_view sql) const;
  // Statements without rows or parameters.
  absl::Status Execute(const std::string& sql) const;
  // The first column of the first row; NOT_FOUND without one.
  absl::StatusOr<int64_t> QueryInt(std::string_view sql) const;
  sqlite3* get() const { return db_.get(); }

 private:
  struct Close {
    void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  };

  std::unique_ptr<sqlite3, Close> db_;
};

}  // namespace retort::store

#endif  // RETORT_SERVER_STORE_SQLITE_H_
