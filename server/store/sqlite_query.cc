// People's own SELECTs, on a connection that can do nothing else.
#include <algorithm>
#include <chrono>
#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "server/store/schema.h"
#include "server/store/sqlite_reader.h"

namespace retort::store {
namespace {

constexpr size_t kLongestSql = 64 * 1024;
constexpr int kStepsBetweenChecks = 10'000;  // virtual machine steps

// Functions without side effects and without much memory.
constexpr const char* kFunctions[] = {
    "abs",          "acos",         "asin",       "atan",      "atan2",       "avg",
    "ceil",         "coalesce",     "cos",        "count",     "cume_dist",   "date",
    "datetime",     "dense_rank",   "degrees",    "exp",       "first_value", "floor",
    "glob",         "group_concat", "hex",        "ifnull",    "iif",         "instr",
    "julianday",    "lag",          "last_value", "lead",      "length",      "like",
    "ln",           "log",          "log10",      "log2",      "lower",       "ltrim",
    "max",          "min",          "mod",        "nth_value", "ntile",       "nullif",
    "percent_rank", "pi",           "pow",        "power",     "radians",     "rank",
    "replace",      "round",        "row_number", "rtrim",     "sign",        "sin",
    "sqrt",         "strftime",     "substr",     "substring", "sum",         "tan",
    "time",         "total",        "trim",       "trunc",     "typeof",      "unixepoch",
    "upper"};

// What the authoriser knows and finds out.
struct Guard {
  std::set<std::string> schema;  // names of all tables and views
  std::string refused;           // what it refused last
};

// True for a table of the statement's own (a common table expression), of which SQLite tells only
// that it is used.
bool IsOwn(const Guard& guard, const std::string& name) {
  return !guard.schema.contains(name) && name.rfind("sqlite_", 0) != 0 &&
         name.rfind("pragma_", 0) != 0;
}

// Allows reading of the allowed tables only, whatever view or common table expression the read came
// through.
int Authorize(void* context, int action, const char* first, const char* second, const char*,
              const char*) {
  Guard& guard = *static_cast<Guard*>(context);
  const auto allowed = [&guard](bool ok, const char* what) {
    if (!ok) guard.refused = what == nullptr ? "" : what;
    return ok ? SQLITE_OK : SQLITE_DENY;
  };
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
      return SQLITE_OK;
    case SQLITE_READ: {
      // Parts of the statement itself (subqueries, count(*)) come without a name of a table.
      if (first == nullptr || *first == '\0') return SQLITE_OK;
      if ((second == nullptr || *second == '\0') && IsOwn(guard, absl::AsciiStrToLower(first)))
        return SQLITE_OK;
      const auto& tables = QueryableTables();
      return allowed(std::find(tables.begin(), tables.end(), first) != tables.end(), first);
    }
    case SQLITE_FUNCTION: {
      const std::string name = absl::AsciiStrToLower(second == nullptr ? "" : second);
      return allowed(std::any_of(std::begin(kFunctions), std::end(kFunctions),
                                 [&name](const char* f) { return name == f; }),
                     second);
    }
    default:
      return allowed(false, first);
  }
}

using TimePoint = std::chrono::steady_clock::time_point;

// When a query has to end.
class Limit {
 public:
  explicit Limit(const QueryLimits& limits)
      : limits_(limits),
        deadline_(std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(limits.time)) {}

  // Why it has to end now; OK while it may go on.
  absl::Status Check() const {
    if (limits_.stopped && limits_.stopped()) {
      return absl::CancelledError("sql: nobody waits for the rows any more");
    }
    if (std::chrono::steady_clock::now() <= deadline_) return absl::OkStatus();
    return absl::DeadlineExceededError(
        absl::StrCat("sql: took longer than ", absl::FormatDuration(limits_.time)));
  }

  // SQLite's progress handler: asked while no row comes.
  static int Ask(void* limit) {
    Limit& self = *static_cast<Limit*>(limit);
    self.reached_ = self.Check();
    return self.reached_.ok() ? 0 : 1;
  }
  // Why Ask ended the statement.
  const absl::Status& reached() const { return reached_; }

 private:
  const QueryLimits& limits_;
  const TimePoint deadline_;
  absl::Status reached_;
};

Cell CellOf(const Statement& row, int column) {
  switch (sqlite3_column_type(row.get(), column)) {
    case SQLITE_INTEGER:
      return row.Int(column);
    case SQLITE_FLOAT:
      return row.Real(column);
    case SQLITE_NULL:
      return std::monostate();
    default:
      return std::string(row.Text(column));
  }
}

void LimitMemory(sqlite3* db) {
  sqlite3_limit(db, SQLITE_LIMIT_LENGTH, 8 << 20);
  sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, static_cast<int>(kLongestSql));
  sqlite3_limit(db, SQLITE_LIMIT_EXPR_DEPTH, 200);
  sqlite3_limit(db, SQLITE_LIMIT_COMPOUND_SELECT, 50);
  sqlite3_limit(db, SQLITE_LIMIT_VDBE_OP, 100'000);
  sqlite3_limit(db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000);
  sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
}

absl::StatusOr<Guard> GuardOf(const Connection& db) {
  Guard guard;
  RETORT_ASSIGN_OR_RETURN(Statement names, db.Prepare("SELECT lower(name) FROM sqlite_schema"));
  while (true) {
    RETORT_ASSIGN_OR_RETURN(const bool row, names.Step());
    if (!row) return guard;
    guard.schema.emplace(names.Text(0));
  }
}

absl::Status BadSql(sqlite3* db, int code, const std::string& refused) {
  if ((code & 0xff) == SQLITE_AUTH) {
    return absl::InvalidArgumentError(absl::StrCat(
        "sql: '", refused, "' is not allowed; must be one SELECT over the views sweeps, jobs, ",
        "attempts, results, metrics and workers"));
  }
  return absl::InvalidArgumentError(absl::StrCat("sql: ", sqlite3_errmsg(db)));
}

absl::StatusOr<Statement> PrepareOne(const Connection& db, std::string_view sql,
                                     const std::string& refused) {
  sqlite3_stmt* raw = nullptr;
  const char* tail = nullptr;
  const int code =
      sqlite3_prepare_v2(db.get(), sql.data(), static_cast<int>(sql.size()), &raw, &tail);
  if (code != SQLITE_OK) return BadSql(db.get(), code, refused);
  Statement statement(db.get(), raw);
  // Whatever follows must not be another statement; a comment compiles to none.
  sqlite3_stmt* second = nullptr;
  const std::string_view rest = sql.substr(static_cast<size_t>(tail - sql.data()));
  const int rest_code =
      sqlite3_prepare_v2(db.get(), rest.data(), static_cast<int>(rest.size()), &second, nullptr);
  const bool more = second != nullptr || rest_code != SQLITE_OK;
  sqlite3_finalize(second);
  if (raw == nullptr || more) {
    return absl::InvalidArgumentError("sql: must be exactly one SELECT statement");
  }
  if (sqlite3_stmt_isexplain(raw) != 0 || sqlite3_bind_parameter_count(raw) != 0) {
    return absl::InvalidArgumentError("sql: must be a SELECT without EXPLAIN or parameters");
  }
  return statement;
}

}  // namespace

absl::StatusOr<QueryResult> RunQuery(
    const std::string& path, std::string_view sql, const QueryLimits& limits,
    const std::function<void(const std::vector<std::string>&)>& columns,
    const std::function<bool(const std::vector<Cell>&)>& row) {
  if (sql.size() > kLongestSql) {
    return absl::InvalidArgumentError(
        absl::StrCat("sql: has ", sql.size(), " bytes; must be at most ", kLongestSql));
  }
  RETORT_ASSIGN_OR_RETURN(Connection db, Connection::Open(path, SQLITE_OPEN_READONLY));
  RETORT_RETURN_IF_ERROR(
      db.Execute("PRAGMA query_only=1; PRAGMA busy_timeout=5000; PRAGMA temp_store=MEMORY; "
                 "PRAGMA cache_size=-16384; PRAGMA trusted_schema=0;"));
  LimitMemory(db.get());
  Limit limit(limits);
  sqlite3_progress_handler(db.get(), kStepsBetweenChecks, Limit::Ask, &limit);
  RETORT_ASSIGN_OR_RETURN(Guard guard, GuardOf(db));
  sqlite3_set_authorizer(db.get(), Authorize, &guard);
  RETORT_ASSIGN_OR_RETURN(Statement statement, PrepareOne(db, sql, guard.refused));

  const int width = sqlite3_column_count(statement.get());
  std::vector<std::string> names;
  for (int i = 0; i < width; ++i) names.emplace_back(sqlite3_column_name(statement.get(), i));
  columns(names);
  QueryResult result;
  std::vector<Cell> cells(static_cast<size_t>(width));
  while (true) {
    // A slow receiver holds the snapshot open just as a slow query does.
    RETORT_RETURN_IF_ERROR(limit.Check());
    const auto more = statement.Step();
    RETORT_RETURN_IF_ERROR(limit.reached());
    if (!more.ok()) return absl::InvalidArgumentError(MessageOf(more.status()));
    if (!*more) return result;
    if (result.rows == limits.rows) {
      result.truncated = true;
      return result;
    }
    for (int i = 0; i < width; ++i) cells[static_cast<size_t>(i)] = CellOf(statement, i);
    ++result.rows;
    if (!row(cells)) return result;
  }
}

}  // namespace retort::store
