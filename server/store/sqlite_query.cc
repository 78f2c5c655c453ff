// People's own SELECTs, on a connection that can do nothing else.
#include <google/protobuf/stubs/common.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/status.h"
#include "server/store/schema.h"
#include "server/store/sqlite_reader.h"

namespace retort::store {
namespace {

constexpr size_t kLongestSql = 64 * 1024;
constexpr int kStepsBetweenChecks = 1000;  // virtual machine steps
// Of a text or row. What works on two texts (instr, replace, like) takes the product of their
// lengths, and nothing ends it meanwhile: with this, a second or two at most.
constexpr int kLongestValue = 256 * 1024;

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
  std::string refused;           // why it refused something last; empty if it did not
};

bool IsOneOf(const std::vector<std::string_view>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string Lower(const char* name) { return name == nullptr ? "" : absl::AsciiStrToLower(name); }

// True for a table of the statement's own (a common table expression), of which SQLite tells only
// that it is used.
bool IsOwn(const Guard& guard, const std::string& name) {
  return !guard.schema.contains(name) && name.rfind("sqlite_", 0) != 0 &&
         name.rfind("pragma_", 0) != 0;
}

std::string WhatIsReadable() {
  std::string text = "must be one SELECT over the views";
  for (const std::string_view view : Views()) {
    absl::StrAppend(&text, view == Views().front() ? " " : ", ", std::string(view));
  }
  return text;
}

// Why a read is refused; empty if it may be. `view` is what SQLite calls the source of the read: a
// view, or a common table expression of any name, which ClaimsAName keeps from being a view's. Even
// so, only base tables that the views read are ever read.
std::string Refusal(const Guard& guard, const char* table, const char* column, const char* view) {
  const std::string name = Lower(table);
  // Parts of the statement itself (subqueries, count(*)) come without a name of a table.
  if (name.empty() || IsOneOf(Views(), name)) return "";
  const bool counted = column == nullptr || *column == '\0';
  if (counted && IsOwn(guard, name)) return "";
  // What no column is read of comes under the name of no view where SQLite unfolded that.
  if (IsOneOf(QueryableTables(), name) && (counted || IsOneOf(Views(), Lower(view)))) return "";
  return absl::StrCat("'", name, "' is not readable; ", WhatIsReadable());
}

// Allows reading of the views, and of what they read.
int Authorize(void* context, int action, const char* first, const char* second, const char*,
              const char* view) {
  Guard& guard = *static_cast<Guard*>(context);
  std::string why;
  switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
      break;
    case SQLITE_READ:
      why = Refusal(guard, first, second, view);
      break;
    case SQLITE_FUNCTION: {
      const std::string name = Lower(second);
      if (std::any_of(std::begin(kFunctions), std::end(kFunctions),
                      [&name](const char* f) { return name == f; })) {
        break;
      }
      why = absl::StrCat("the function ", name,
                         " is not allowed; server/store/views.md lists those ", "that are");
      break;
    }
    default:
      why = absl::StrCat("it does more than read; ", WhatIsReadable());
  }
  if (why.empty()) return SQLITE_OK;
  guard.refused = std::move(why);
  return SQLITE_DENY;
}

// A word, a quoted name without its quotes, or a single other character; texts and comments are
// left out.
struct Token {
  std::string text;  // words in lower case
  bool is_name = false;
};

std::vector<Token> TokensOf(std::string_view sql) {
  std::vector<Token> tokens;
  const auto is_word = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' || (c & 0x80);
  };
  for (size_t i = 0; i < sql.size();) {
    const char c = sql[i];
    if (sql.substr(i, 2) == "--") {
      i = std::min(sql.find('\n', i), sql.size());
    } else if (sql.substr(i, 2) == "/*") {
      const size_t end = sql.find("*/", i + 2);
      i = end == std::string_view::npos ? sql.size() : end + 2;
    } else if (c == '\'' || c == '"' || c == '`' || c == '[') {
      const char close = c == '[' ? ']' : c;
      std::string text;
      for (++i; i < sql.size(); ++i) {
        // A quote is written as two.
        if (sql[i] == close && (c == '[' || sql.substr(i, 2) != std::string(2, close))) break;
        if (sql[i] == close) ++i;
        text += sql[i];
      }
      ++i;
      // A text can stand for a name, too.
      tokens.push_back({absl::AsciiStrToLower(text), true});
    } else if (is_word(c)) {
      const size_t begin = i;
      while (i < sql.size() && is_word(sql[i])) ++i;
      const absl::string_view word(sql.data() + begin, i - begin);
      tokens.push_back({absl::AsciiStrToLower(word), true});
    } else {
      if (std::isspace(static_cast<unsigned char>(c)) == 0) tokens.push_back({std::string(1, c)});
      ++i;
    }
  }
  return tokens;
}

// The name of a table or view that a common table expression, `NAME [(...)] AS [NOT] [MATERIALIZED]
// (`, takes for itself: what it reads would come to the authoriser as if the view read it. Nothing
// if there is none.
std::optional<std::string> ClaimedName(const Guard& guard, std::string_view sql) {
  const std::vector<Token> tokens = TokensOf(sql);
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!tokens[i].is_name || !guard.schema.contains(tokens[i].text)) continue;
    size_t at = i + 1;
    if (at < tokens.size() && tokens[at].text == "(") {
      while (at < tokens.size() && tokens[at].text != ")") ++at;
      ++at;
    }
    if (at >= tokens.size() || tokens[at].text != "as") continue;
    ++at;
    while (at < tokens.size() && (tokens[at].text == "not" || tokens[at].text == "materialized")) {
      ++at;
    }
    if (at < tokens.size() && tokens[at].text == "(") return tokens[i].text;
  }
  return std::nullopt;
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
    if (HeldMemory() - memory_before_ > limits_.memory_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("sql: sorting, grouping or recursion needs more than ",
                       limits_.memory_bytes >> 20, " MiB; narrow it with WHERE"));
    }
    if (std::chrono::steady_clock::now() <= deadline_) return absl::OkStatus();
    return absl::DeadlineExceededError(
        absl::StrCat("sql: took longer than ", absl::FormatDuration(limits_.time),
                     ", reading of the rows included; narrow it with WHERE"));
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
  const int64_t memory_before_ = HeldMemory();
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
    case SQLITE_BLOB:
      return Blob{std::string(row.Blob(column))};
    default: {
      std::string text(row.Text(column));
      if (google::protobuf::internal::IsStructurallyValidUTF8(text)) return text;
      return Blob{std::move(text)};
    }
  }
}

void LimitMemory(sqlite3* db) {
  sqlite3_limit(db, SQLITE_LIMIT_LENGTH, kLongestValue);
  sqlite3_limit(db, SQLITE_LIMIT_SQL_LENGTH, static_cast<int>(kLongestSql));
  sqlite3_limit(db, SQLITE_LIMIT_EXPR_DEPTH, 200);
  sqlite3_limit(db, SQLITE_LIMIT_COMPOUND_SELECT, 50);
  sqlite3_limit(db, SQLITE_LIMIT_VDBE_OP, 100'000);
  sqlite3_limit(db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 200);
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

absl::Status BadSql(const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("sql: ", why));
}

absl::StatusOr<Statement> PrepareOne(const Connection& db, std::string_view sql,
                                     const Guard& guard) {
  sqlite3_stmt* raw = nullptr;
  const char* tail = nullptr;
  const int code =
      sqlite3_prepare_v2(db.get(), sql.data(), static_cast<int>(sql.size()), &raw, &tail);
  if (code != SQLITE_OK) {
    return BadSql(guard.refused.empty() ? sqlite3_errmsg(db.get()) : guard.refused);
  }
  Statement statement(db.get(), raw);
  // Whatever follows must not be another statement; a comment compiles to none.
  sqlite3_stmt* second = nullptr;
  const std::string_view rest = sql.substr(static_cast<size_t>(tail - sql.data()));
  const int rest_code =
      sqlite3_prepare_v2(db.get(), rest.data(), static_cast<int>(rest.size()), &second, nullptr);
  const bool more = second != nullptr || rest_code != SQLITE_OK;
  sqlite3_finalize(second);
  if (raw == nullptr || more) return BadSql("must be exactly one SELECT statement");
  if (sqlite3_column_count(raw) == 0 || sqlite3_stmt_readonly(raw) == 0) {
    return BadSql(absl::StrCat("it does more than read; ", WhatIsReadable()));
  }
  if (sqlite3_stmt_isexplain(raw) != 0 || sqlite3_bind_parameter_count(raw) != 0) {
    return BadSql("must be a SELECT without EXPLAIN or parameters");
  }
  if (const auto claimed = ClaimedName(guard, sql)) {
    return BadSql(absl::StrCat("WITH names a table '", *claimed,
                               "', which is the name of a table or view that is there; must be "
                               "another name"));
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
  RETORT_ASSIGN_OR_RETURN(Statement statement, PrepareOne(db, sql, guard));

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
    // An arithmetic overflow, a value that is too long: the statement's fault.
    if (absl::IsInternal(more.status())) return BadSql(MessageOf(more.status()));
    RETORT_RETURN_IF_ERROR(more.status());
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
