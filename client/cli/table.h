// Rows of data as a table for people, or as JSON or CSV for programs.
#ifndef RETORT_CLIENT_CLI_TABLE_H_
#define RETORT_CLIENT_CLI_TABLE_H_

#include <functional>
#include <string>
#include <vector>

#include "client/cli/context.h"

namespace retort {

// What becomes of a column where a terminal is too narrow.
enum class Room {
  kUsual,   // left out if it says the same in every row
  kSpare,   // left out first
  kNeeded,  // never left out
};

// A column of a table, of the value at `key` of each row.
struct Column {
  std::string key;
  std::string header;
  int digits = 0;  // behind the point of a number
  // Other text, made of the whole row; without it numbers, strings and null (`-`) are written as
  // they are.
  std::function<std::string(const Json& row)> text;
  Room room = Room::kUsual;
};

// The rows (objects) as a table: columns as wide as needed, numbers to the right. On a terminal
// that is too narrow, columns that tell least are left out (Room), and then the widest texts are
// cut with `…` until a line fits; elsewhere nothing is left out or cut.
std::string TableText(const std::vector<Json>& rows, const std::vector<Column>& columns,
                      const Terminal& terminal);

// The rows with a column for each value that is not nested, named by its key; nothing is left out
// or cut.
std::string WideText(const std::vector<Json>& rows, const std::vector<Column>& columns,
                     const Terminal& terminal);

// Writes the rows as a table, or as a wide one where the context asks for it.
void EmitTable(Context& context, const std::vector<Json>& rows, const std::vector<Column>& columns);

// The rows as CSV (RFC 4180): one column per key of the first row; what is nested is JSON in a
// field, null is empty. `keys` names the columns where there may be no row.
std::string CsvText(const std::vector<Json>& rows, const std::vector<std::string>& keys);

// Writes rows in the context's format: a table, a JSON array, JSON lines, CSV, or the first value
// of each.
void EmitRows(Context& context, const std::vector<Json>& rows, const std::vector<Column>& columns);

// Writes one object: JSON, CSV, lines `key  value`, or its first value.
void EmitObject(Context& context, const Json& object);

// Number of characters that a terminal shows for UTF-8 text (code points; wide ones are not used).
size_t ShownWidth(const std::string& text);

// The text within `width` characters, its end as `…` if it was longer.
std::string Cut(const std::string& text, size_t width);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_TABLE_H_
