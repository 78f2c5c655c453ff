// A report as data: sections of text, tables and plots, and how it is written as one HTML file or
// as Markdown. Pure.
#ifndef RETORT_CLIENT_REPORT_DOCUMENT_H_
#define RETORT_CLIENT_REPORT_DOCUMENT_H_

#include <optional>
#include <string>
#include <vector>

namespace retort::report {

// Points, a line or a band of one plot. In the legend, series of one label are one entry.
struct Series {
  enum class Kind {
    kPoints,
    kLine,
    kBand,  // between low and high
  };
  struct Point {
    double x = 0;
    double y = 0;
    double low = 0, high = 0;  // of a band
    std::string text = {};     // what is told of a point under the pointer
  };
  std::string label = {};
  Kind kind = Kind::kPoints;
  // Series of one key have one colour, in all plots of a report.
  std::string colour = {};
  std::vector<Point> points = {};
  bool dashed = false;
};

struct Chart {
  std::string title = {};
  std::string x_label = {}, y_label = {};
  bool log_x = false;
  // Names at x = 0, 1, ...; empty for a numeric axis.
  std::vector<std::string> x_names = {};
  std::vector<Series> series = {};
};

struct Table {
  struct Column {
    std::string header;
    bool number = false;  // to the right
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;
};

struct Section {
  std::string title = {};
  std::vector<std::string> paragraphs = {};
  std::vector<Chart> charts = {};
  std::string caption = {};  // how to read the plots; in HTML alone
  std::optional<Table> table = {};
  // Under the table, for what qualifies it.
  std::vector<std::string> notes = {};
  // To be typed, or the text of a file.
  std::string code = {};
  bool folded = false;  // the code is long: shown when asked for
};

struct Document {
  std::string title;
  std::string subtitle;
  std::vector<Section> sections;
};

// One file that opens offline: styles, plots (Chart.js) and data are in it. All text is escaped.
std::string Html(const Document& document);

// For a pull request: the text and the tables; plots are in the HTML alone.
std::string Markdown(const Document& document);

}  // namespace retort::report

#endif  // RETORT_CLIENT_REPORT_DOCUMENT_H_
