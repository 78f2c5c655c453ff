#include "server/store/sqlite.h"

#include "absl/strings/str_cat.h"

namespace retort::store {
namespace {

// Bytes that this thread had from SQLite's allocator and has not given back.
thread_local int64_t held_bytes = 0;

// SQLite's own allocator, below the counting one. Written once, before SQLite is used.
sqlite3_mem_methods& Usual() {
  static sqlite3_mem_methods usual;
  return usual;
}

void* CountedMalloc(int bytes) {
  void* memory = Usual().xMalloc(bytes);
  if (memory != nullptr) held_bytes += Usual().xSize(memory);
  return memory;
}

void CountedFree(void* memory) {
  if (memory != nullptr) held_bytes -= Usual().xSize(memory);
  Usual().xFree(memory);
}

void* CountedRealloc(void* memory, int bytes) {
  const int before = memory == nullptr ? 0 : Usual().xSize(memory);
  void* moved = Usual().xRealloc(memory, bytes);
  if (moved != nullptr) held_bytes += Usual().xSize(moved) - before;
  return moved;
}

// Sets SQLite up before its first use: no statistics of memory, whose lock all threads share, but a
// count of each thread's own. False where SQLite was in use before; then it has its statistics.
bool CountsByThread() {
  static const bool counts = [] {
    if (sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) != SQLITE_OK) return false;
    if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &Usual()) != SQLITE_OK) return false;
    sqlite3_mem_methods counted = Usual();
    counted.xMalloc = CountedMalloc;
    counted.xFree = CountedFree;
    counted.xRealloc = CountedRealloc;
    return sqlite3_config(SQLITE_CONFIG_MALLOC, &counted) == SQLITE_OK;
  }();
  return counts;
}

}  // namespace

int64_t HeldMemory() { return CountsByThread() ? held_bytes : sqlite3_memory_used(); }

absl::Status SqliteStatus(sqlite3* db, int code, std::string_view what) {
  if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW) return absl::OkStatus();
  const std::string message =
      absl::StrCat("database: ", absl::string_view(what.data(), what.size()), ": ",
                   db == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db));
  switch (code & 0xff) {
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_READONLY:
    case SQLITE_NOMEM:
      return absl::UnavailableError(message);
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return absl::PermissionDeniedError(message);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(message);
    case SQLITE_IOERR:
      return absl::AbortedError(message);
    case SQLITE_INTERRUPT:
      return absl::DeadlineExceededError(message);
    default:
      return absl::InternalError(message);
  }
}

Statement& Statement::Bind(int index, int64_t value) {
  Note(sqlite3_bind_int64(statement_.get(), index, value));
  return *this;
}

Statement& Statement::Bind(int index, double value) {
  Note(sqlite3_bind_double(statement_.get(), index, value));
  return *this;
}

Statement& Statement::Bind(int index, std::string_view text) {
  Note(sqlite3_bind_text(statement_.get(), index, text.empty() ? "" : text.data(),
                         static_cast<int>(text.size()), SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::BindBlob(int index, std::string_view bytes) {
  Note(sqlite3_bind_blob(statement_.get(), index, bytes.empty() ? "" : bytes.data(),
                         static_cast<int>(bytes.size()), SQLITE_TRANSIENT));
  return *this;
}

Statement& Statement::BindKept(int index, std::string_view text) {
  Note(sqlite3_bind_text(statement_.get(), index, text.empty() ? "" : text.data(),
                         static_cast<int>(text.size()), SQLITE_STATIC));
  return *this;
}

Statement& Statement::BindKeptBlob(int index, std::string_view bytes) {
  Note(sqlite3_bind_blob(statement_.get(), index, bytes.empty() ? "" : bytes.data(),
                         static_cast<int>(bytes.size()), SQLITE_STATIC));
  return *this;
}

Statement& Statement::BindNull(int index) {
  Note(sqlite3_bind_null(statement_.get(), index));
  return *this;
}

absl::StatusOr<bool> Statement::Step() {
  const int code = bind_error_ != SQLITE_OK ? bind_error_ : sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  const char* sql = sqlite3_sql(statement_.get());
  return SqliteStatus(db_, code, sql == nullptr ? "" : std::string_view(sql).substr(0, 60));
}

absl::Status Statement::Run() {
  const auto row = Step();
  Reset();
  return row.status();
}

void Statement::Reset() {
  sqlite3_reset(statement_.get());
  bind_error_ = SQLITE_OK;
}

std::string_view Statement::Text(int column) const {
  const auto* text = sqlite3_column_text(statement_.get(), column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text),
          static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

std::string_view Statement::Blob(int column) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes),
          static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column))};
}

absl::StatusOr<Connection> Connection::Open(const std::string& path, int flags, const char* vfs) {
  // Before anything else of SQLite in this process: its statistics of memory take a lock at each
  // allocation.
  CountsByThread();
  sqlite3* raw = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags | SQLITE_OPEN_NOMUTEX, vfs);
  Connection connection;
  connection.db_.reset(raw);
  if (code != SQLITE_OK) return SqliteStatus(raw, code, path);
  sqlite3_extended_result_codes(raw, 1);
  return connection;
}

absl::StatusOr<Statement> Connection::Prepare(std::string_view sql) const {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()),
                                      SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (code != SQLITE_OK) return SqliteStatus(db_.get(), code, sql.substr(0, 60));
  return Statement(db_.get(), statement);
}

absl::Status Connection::Execute(const std::string& sql) const {
  const int code = sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  return SqliteStatus(db_.get(), code, std::string_view(sql).substr(0, 60));
}

absl::StatusOr<int64_t> Connection::QueryInt(std::string_view sql) const {
  auto statement = Prepare(sql);
  if (!statement.ok()) return statement.status();
  const auto row = statement->Step();
  if (!row.ok()) return row.status();
  if (!*row) return absl::NotFoundError("no row");
  return statement->Int(0);
}

}  // namespace retort::store
