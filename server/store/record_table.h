// Many records of one kind as a table that SQLite reads, so that one statement writes all of them:
//
//   INSERT OR FAIL INTO members (sweep, position, job)
//     SELECT sweep, position, job FROM new_members
//
// A statement for each row binds, starts, opens its cursors and ends each time, which takes longer
// than writing the row. The tables are virtual (https://www.sqlite.org/vtab.html), of one
// connection, and have no rows but while their statement runs.
#ifndef RETORT_SERVER_STORE_RECORD_TABLE_H_
#define RETORT_SERVER_STORE_RECORD_TABLE_H_

#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/core/types.h"
#include "server/store/sqlite.h"

namespace retort::store {

// Where the value of one column of one record goes.
class Out {
 public:
  explicit Out(sqlite3_context* context) : context_(context) {}

  void Int(int64_t value) const { sqlite3_result_int64(context_, value); }
  void Real(double value) const { sqlite3_result_double(context_, value); }  // NaN becomes null
  void Null() const { sqlite3_result_null(context_); }
  // A reference to a row: null for the key 0.
  template <typename Tag>
  void Ref(core::Key<Tag> key) const {
    key ? Int(key.value) : Null();
  }
  // The bytes stay where they are until the statement has run.
  void Text(const std::string& kept) const {
    sqlite3_result_text(context_, kept.data(), static_cast<int>(kept.size()), SQLITE_STATIC);
  }
  void Blob(const void* kept, size_t size) const {
    sqlite3_result_blob64(context_, kept, size, SQLITE_STATIC);
  }
  void Blob(const std::string& kept) const { Blob(kept.data(), kept.size()); }
  // Bytes from sqlite3_malloc64, which SQLite frees.
  void OwnBlob(void* bytes, size_t size) const {
    sqlite3_result_blob64(context_, bytes, size, sqlite3_free);
  }
  void NoMemory() const { sqlite3_result_error_nomem(context_); }

 private:
  sqlite3_context* context_;
};

// What SQLite sees of a record table.
class RowSource {
 public:
  virtual ~RowSource() = default;

  virtual size_t rows() const = 0;
  virtual void Value(size_t row, size_t column, const Out& out) const = 0;

 protected:
  // Makes a table `name` with these columns, and the statement that copies its rows into the
  // columns of the same names: `insert` (`INSERT OR FAIL INTO members`), the SELECT, `conflict`.
  absl::StatusOr<Statement> CopyInto(const Connection& db, const std::string& insert,
                                     const std::string& name,
                                     const std::vector<std::string>& columns,
                                     const std::string& conflict);
};

template <typename Record>
struct Column {
  const char* name;
  void (*value)(const Record& record, const Out& out);
};

// Writes records of one kind to one table. The connection outlives it, and runs no other statement
// of it once it is gone. Threads: one.
template <typename Record>
class RecordTable final : public RowSource {
 public:
  // `insert`: `INSERT OR FAIL INTO members`; `name` of this table, which no other of the connection
  // has; `conflict`: an upsert clause. Nothing is copied.
  RecordTable(const char* insert, const char* name, std::span<const Column<Record>> columns,
              const char* conflict = "")
      : insert_(insert), name_(name), conflict_(conflict), columns_(columns) {}

  // Errors of SQLite. Afterwards it has no records.
  absl::Status Write(const Connection& db, const std::vector<const Record*>& records) {
    if (records.empty()) return absl::OkStatus();
    if (statement_.get() == nullptr) {
      std::vector<std::string> names;
      for (const auto& column : columns_) names.emplace_back(column.name);
      auto made = CopyInto(db, insert_, name_, names, conflict_);
      if (!made.ok()) return made.status();
      statement_ = *std::move(made);
    }
    records_ = records;
    const absl::Status status = statement_.Run();
    records_ = {};
    return status;
  }

 private:
  size_t rows() const override { return records_.size(); }
  void Value(size_t row, size_t column, const Out& out) const override {
    columns_[column].value(*records_[row], out);
  }

  const char* const insert_;
  const char* const name_;
  const char* const conflict_;
  const std::span<const Column<Record>> columns_;
  std::span<const Record* const> records_;
  Statement statement_;
};

}  // namespace retort::store

#endif  // RETORT_SERVER_STORE_RECORD_TABLE_H_
