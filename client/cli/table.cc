#include "client/cli/table.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"

namespace retort {
namespace {

constexpr size_t kNarrowest = 8;  // texts are not cut below this
constexpr size_t kGap = 2;        // spaces between columns

std::string CellText(const Json& row, const Column& column) {
  if (column.text) return column.text(row);
  const Json value = row.contains(column.key) ? row.at(column.key) : Json(nullptr);
  if (value.is_null()) return "-";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return Fixed(value.get<double>(), column.digits);
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  return value.dump();
}

bool IsNumeric(const std::vector<Json>& rows, const Column& column) {
  bool any = false;
  for (const Json& row : rows) {
    if (!row.contains(column.key) || row.at(column.key).is_null()) continue;
    if (!row.at(column.key).is_number()) return false;
    any = true;
  }
  return any;
}

// One column with its cells as texts.
struct Strip {
  const Column* column;
  bool numeric;
  size_t width;
  std::vector<std::string> cells;

  // True if no row can be told from another by it.
  bool SaysLittle() const {
    if (column->room == Room::kNeeded) return false;
    std::string value = "-";
    for (const std::string& cell : cells) {
      if (cell == "-" || cell == value) continue;
      if (value != "-") return false;
      value = cell;
    }
    return cells.size() > 1;
  }
};

size_t LineWidth(const std::vector<Strip>& strips) {
  size_t total = 0;
  for (const Strip& strip : strips) total += strip.width + kGap;
  return total == 0 ? 0 : total - kGap;
}

// Leaves out, from the right, the columns that `tells_little` says so of, until a line fits.
template <typename Predicate>
void LeaveOut(std::vector<Strip>& strips, size_t fit, Predicate tells_little) {
  for (size_t i = strips.size(); i-- > 0 && LineWidth(strips) > fit;) {
    if (strips.size() > 1 && tells_little(strips[i])) {
      strips.erase(strips.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

// Takes from the widest text column, one character at a time, until a line fits.
void Shrink(std::vector<Strip>& strips, size_t fit) {
  while (LineWidth(strips) > fit) {
    Strip* widest = nullptr;
    for (Strip& strip : strips) {
      if (strip.numeric || strip.width <= kNarrowest) continue;
      if (widest == nullptr || strip.width > widest->width) widest = &strip;
    }
    if (widest == nullptr) return;
    --widest->width;
  }
}

// A line for each value that is not nested: `result.subjects[0].mae_bpm`.
void Flatten(const std::string& path, const Json& value,
             std::vector<std::pair<std::string, std::string>>& lines) {
  if (value.is_object()) {
    for (const auto& item : value.items()) {
      Flatten(path.empty() ? item.key() : absl::StrCat(path, ".", item.key()), item.value(), lines);
    }
  } else if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) {
      Flatten(absl::StrCat(path, "[", i, "]"), value[i], lines);
    }
  } else {
    lines.emplace_back(path, value.is_null()     ? "-"
                             : value.is_string() ? value.get<std::string>()
                                                 : value.dump());
  }
}

// What a row is called: the value that stands first.
std::string NameOf(const Json& row) {
  if (row.empty()) return "";
  const Json& name = row.begin().value();
  return name.is_string() ? Escaped(name.get<std::string>()) : name.dump();
}

std::string CsvField(const Json& value) {
  if (value.is_null()) return "";
  const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

}  // namespace

size_t ShownWidth(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string Cut(const std::string& text, size_t width) {
  if (ShownWidth(text) <= width) return text;
  if (width == 0) return "";
  std::string out;
  size_t shown = 0;
  for (const char c : text) {
    const bool begins = (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    if (begins && shown + 1 == width) break;
    shown += begins;
    out += c;
  }
  return out + "…";
}

std::string TableText(const std::vector<Json>& rows, const std::vector<Column>& columns,
                      const Terminal& terminal) {
  std::vector<Strip> strips;
  for (const Column& column : columns) {
    Strip strip{&column, IsNumeric(rows, column), ShownWidth(column.header), {}};
    for (const Json& row : rows) {
      strip.cells.push_back(Escaped(CellText(row, column)));
      strip.width = std::max(strip.width, ShownWidth(strip.cells.back()));
    }
    strips.push_back(std::move(strip));
  }
  if (terminal.out_is_terminal) {
    const auto fit = static_cast<size_t>(terminal.width);
    LeaveOut(strips, fit, [](const Strip& strip) { return strip.column->room == Room::kSpare; });
    LeaveOut(strips, fit, [](const Strip& strip) { return strip.SaysLittle(); });
    Shrink(strips, fit);
  }

  const auto line = [&](const auto& text_of) {
    std::string out;
    for (const Strip& strip : strips) {
      const std::string text = Cut(text_of(strip), strip.width);
      const std::string pad(strip.width - ShownWidth(text), ' ');
      absl::StrAppend(&out, out.empty() ? "" : "  ", strip.numeric ? pad : "", text,
                      strip.numeric ? "" : pad);
    }
    return out.substr(0, out.find_last_not_of(' ') + 1);
  };
  std::string head = line([](const Strip& strip) { return strip.column->header; });
  if (terminal.colour) head = "\x1b[1m" + head + "\x1b[0m";
  std::string out = head + "\n";
  for (size_t row = 0; row < rows.size(); ++row) {
    absl::StrAppend(&out, line([&](const Strip& strip) { return strip.cells[row]; }), "\n");
  }
  return out;
}

std::string CsvText(const std::vector<Json>& rows, const std::vector<std::string>& keys) {
  std::vector<std::string> columns = keys;
  if (!rows.empty()) {
    columns.clear();
    for (const auto& item : rows[0].items()) columns.push_back(item.key());
  }
  std::string out;
  const auto line = [&](const auto& field_of) {
    for (size_t c = 0; c < columns.size(); ++c) {
      absl::StrAppend(&out, c == 0 ? "" : ",", CsvField(field_of(columns[c])));
    }
    out += "\r\n";
  };
  line([](const std::string& key) { return Json(key); });
  for (const Json& row : rows) {
    line([&](const std::string& key) { return row.contains(key) ? row.at(key) : Json(nullptr); });
  }
  return out;
}

std::string WideText(const std::vector<Json>& rows, const std::vector<Column>& columns,
                     const Terminal& terminal) {
  std::vector<Column> all;
  if (rows.empty()) return TableText(rows, columns, terminal);
  for (const auto& item : rows[0].items()) {
    if (item.value().is_structured()) continue;
    const std::string& key = item.key();
    const auto known = std::find_if(columns.begin(), columns.end(),
                                    [&key](const Column& column) { return column.key == key; });
    // Whole, and under the name that data has it under.
    all.push_back({key, key, known == columns.end() ? 3 : known->digits, {}});
  }
  Terminal unbounded = terminal;
  unbounded.out_is_terminal = false;
  return TableText(rows, all, unbounded);
}

void EmitTable(Context& context, const std::vector<Json>& rows,
               const std::vector<Column>& columns) {
  context.terminal.out << (context.wide ? WideText(rows, columns, context.terminal)
                                        : TableText(rows, columns, context.terminal));
}

void EmitRows(Context& context, const std::vector<Json>& rows, const std::vector<Column>& columns) {
  std::ostream& out = context.terminal.out;
  switch (context.format) {
    case Format::kTable:
      EmitTable(context, rows, columns);
      break;
    case Format::kJson:
      out << Json(rows).dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
      break;
    case Format::kJsonl:
      for (const Json& row : rows) {
        out << row.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
      }
      break;
    case Format::kCsv: {
      std::vector<std::string> keys;
      for (const Column& column : columns) keys.push_back(column.key);
      out << CsvText(rows, keys);
      break;
    }
    case Format::kName:
      for (const Json& row : rows) out << NameOf(row) << "\n";
      break;
  }
  out.flush();
}

void EmitObject(Context& context, const Json& object) {
  std::ostream& out = context.terminal.out;
  if (context.format == Format::kName) {
    out << NameOf(object) << "\n";
  } else if (context.format == Format::kCsv) {
    out << CsvText({object}, {});
  } else if (context.format != Format::kTable) {
    const int indent = context.format == Format::kJson ? 2 : -1;
    out << object.dump(indent, ' ', false, Json::error_handler_t::replace) << "\n";
  } else {
    std::vector<std::pair<std::string, std::string>> lines;
    Flatten("", object, lines);
    size_t widest = 0;
    for (const auto& [key, text] : lines) widest = std::max(widest, key.size());
    for (const auto& [key, text] : lines) {
      out << key << std::string(widest - key.size(), ' ') << "  " << Escaped(text) << "\n";
    }
  }
  out.flush();
}

}  // namespace retort
