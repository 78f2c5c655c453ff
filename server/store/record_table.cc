#include "server/store/record_table.h"

#include <new>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace retort::store {
namespace {

struct Table : sqlite3_vtab {
  const RowSource* source;
};

struct Cursor : sqlite3_vtab_cursor {
  size_t row;
};

// What a module is registered with.
struct Declared {
  const RowSource* source;
  std::string sql;
};

const RowSource& SourceOf(const sqlite3_vtab_cursor* cursor) {
  return *static_cast<const Table*>(cursor->pVtab)->source;
}

int Connect(sqlite3* db, void* aux, int, const char* const*, sqlite3_vtab** out, char**) {
  const auto* declared = static_cast<const Declared*>(aux);
  const int code = sqlite3_declare_vtab(db, declared->sql.c_str());
  if (code != SQLITE_OK) return code;
  auto* table = new (std::nothrow) Table();
  if (table == nullptr) return SQLITE_NOMEM;
  table->source = declared->source;
  *out = table;
  return SQLITE_OK;
}

int Disconnect(sqlite3_vtab* table) {
  delete static_cast<Table*>(table);
  return SQLITE_OK;
}

// There is one way: all rows in their order.
int BestIndex(sqlite3_vtab*, sqlite3_index_info*) { return SQLITE_OK; }

int Open(sqlite3_vtab*, sqlite3_vtab_cursor** out) {
  *out = new (std::nothrow) Cursor();
  return *out == nullptr ? SQLITE_NOMEM : SQLITE_OK;
}

int Close(sqlite3_vtab_cursor* cursor) {
  delete static_cast<Cursor*>(cursor);
  return SQLITE_OK;
}

int Filter(sqlite3_vtab_cursor* cursor, int, const char*, int, sqlite3_value**) {
  static_cast<Cursor*>(cursor)->row = 0;
  return SQLITE_OK;
}

int Next(sqlite3_vtab_cursor* cursor) {
  ++static_cast<Cursor*>(cursor)->row;
  return SQLITE_OK;
}

int Eof(sqlite3_vtab_cursor* cursor) {
  return static_cast<Cursor*>(cursor)->row >= SourceOf(cursor).rows();
}

int ColumnOf(sqlite3_vtab_cursor* cursor, sqlite3_context* context, int column) {
  SourceOf(cursor).Value(static_cast<Cursor*>(cursor)->row, static_cast<size_t>(column),
                         Out(context));
  return SQLITE_OK;
}

int RowId(sqlite3_vtab_cursor* cursor, sqlite3_int64* out) {
  *out = static_cast<sqlite3_int64>(static_cast<Cursor*>(cursor)->row);
  return SQLITE_OK;
}

// Without xCreate a table is there by its name alone, on its connection.
constexpr sqlite3_module kModule = {
    .iVersion = 0,
    .xCreate = nullptr,
    .xConnect = Connect,
    .xBestIndex = BestIndex,
    .xDisconnect = Disconnect,
    .xDestroy = Disconnect,
    .xOpen = Open,
    .xClose = Close,
    .xFilter = Filter,
    .xNext = Next,
    .xEof = Eof,
    .xColumn = ColumnOf,
    .xRowid = RowId,
    .xUpdate = nullptr,
    .xBegin = nullptr,
    .xSync = nullptr,
    .xCommit = nullptr,
    .xRollback = nullptr,
    .xFindFunction = nullptr,
    .xRename = nullptr,
    .xSavepoint = nullptr,
    .xRelease = nullptr,
    .xRollbackTo = nullptr,
    .xShadowName = nullptr,
};

}  // namespace

absl::StatusOr<Statement> RowSource::CopyInto(const Connection& db, const std::string& insert,
                                              const std::string& name,
                                              const std::vector<std::string>& columns,
                                              const std::string& conflict) {
  const std::string list = absl::StrJoin(columns, ", ");
  const int code =
      sqlite3_create_module_v2(db.get(), name.c_str(), &kModule,
                               new Declared{this, absl::StrCat("CREATE TABLE records(", list, ")")},
                               [](void* declared) { delete static_cast<Declared*>(declared); });
  if (code != SQLITE_OK) return SqliteStatus(db.get(), code, name);
  // SQLite's grammar wants a WHERE before ON CONFLICT.
  return db.Prepare(absl::StrCat(insert, " (", list, ") SELECT ", list, " FROM ", name,
                                 " WHERE true ", conflict));
}

}  // namespace retort::store
