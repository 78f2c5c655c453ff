#include "client/report/document.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace retort::report {
namespace {

// Text that Markdown shows as it is, in a cell too.
std::string Cell(const std::string& text) {
  return absl::StrReplaceAll(text, {{"\\", "\\\\"},
                                    {"|", "\\|"},
                                    {"*", "\\*"},
                                    {"_", "\\_"},
                                    {"<", "&lt;"},
                                    {"`", "\\`"},
                                    {"\n", " "}});
}

std::string Row(const std::vector<std::string>& cells) {
  return absl::StrCat("| ", absl::StrJoin(cells, " | "), " |\n");
}

std::string TableMarkdown(const Table& table) {
  std::vector<std::string> names, rules;
  for (const Table::Column& column : table.columns) {
    names.push_back(Cell(column.header));
    rules.push_back(column.number ? "---:" : "---");
  }
  std::string out = Row(names) + Row(rules);
  for (const auto& row : table.rows) {
    std::vector<std::string> cells;
    for (const std::string& cell : row) cells.push_back(Cell(cell));
    out += Row(cells);
  }
  return out + "\n";
}

// A fence longer than any run of backticks inside.
std::string Fenced(const std::string& code) {
  std::string fence = "```";
  while (code.find(fence) != std::string::npos) fence += '`';
  return absl::StrCat(fence, "\n", code, code.ends_with('\n') ? "" : "\n", fence, "\n\n");
}

}  // namespace

std::string Markdown(const Document& document) {
  std::string out =
      absl::StrCat("# ", Cell(document.title), "\n\n", Cell(document.subtitle), "\n\n");
  for (const Section& section : document.sections) {
    if (section.paragraphs.empty() && !section.table && section.code.empty()) continue;  // plots
    absl::StrAppend(&out, "## ", Cell(section.title), "\n\n");
    for (const std::string& text : section.paragraphs) absl::StrAppend(&out, Cell(text), "\n\n");
    if (section.table) out += TableMarkdown(*section.table);
    for (const std::string& note : section.notes) absl::StrAppend(&out, "- ", Cell(note), "\n");
    if (!section.notes.empty()) out += "\n";
    if (section.code.empty()) continue;
    if (section.folded) out += "<details><summary>Show</summary>\n\n";
    out += Fenced(section.code);
    if (section.folded) out += "</details>\n\n";
  }
  return out;
}

}  // namespace retort::report
