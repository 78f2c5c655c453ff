#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/report/assets.h"
#include "client/report/document.h"
#include "nlohmann/json.hpp"

namespace retort::report {
namespace {

using Json = nlohmann::ordered_json;

std::string Escaped(const std::string& text) {
  return absl::StrReplaceAll(
      text, {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}, {"'", "&#39;"}});
}

std::string Element(const char* name, const std::string& text) {
  return absl::StrCat("<", name, ">", Escaped(text), "</", name, ">\n");
}

std::string TableHtml(const Table& table) {
  std::string out = "<div class=\"wide\"><table><thead><tr>";
  const auto cell = [&](size_t i, const char* name, const std::string& text) {
    const bool number = i < table.columns.size() && table.columns[i].number;
    absl::StrAppend(&out, "<", name, number ? " class=\"number\">" : ">", Escaped(text), "</", name,
                    ">");
  };
  for (size_t i = 0; i < table.columns.size(); ++i) cell(i, "th", table.columns[i].header);
  out += "</tr></thead><tbody>\n";
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) cell(i, "td", row[i]);
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

const char* KindName(Series::Kind kind) {
  if (kind == Series::Kind::kLine) return "line";
  return kind == Series::Kind::kBand ? "band" : "points";
}

// As report.js reads it.
Json ChartJson(const Chart& chart) {
  Json series = Json::array();
  for (const Series& one : chart.series) {
    Json points = Json::array();
    for (const Series::Point& point : one.points) {
      Json json = {{"x", point.x}};
      if (one.kind == Series::Kind::kBand) {
        json["low"] = point.low;
        json["high"] = point.high;
      } else {
        json["y"] = point.y;
      }
      if (!point.text.empty()) json["text"] = point.text;
      points.push_back(std::move(json));
    }
    series.push_back({{"label", one.label},
                      {"kind", KindName(one.kind)},
                      {"colour", one.colour},
                      {"dashed", one.dashed},
                      {"points", std::move(points)}});
  }
  return {{"title", chart.title}, {"x_label", chart.x_label}, {"y_label", chart.y_label},
          {"log_x", chart.log_x}, {"x_names", chart.x_names}, {"series", std::move(series)}};
}

// JSON inside a script element: no text in it can end the element.
std::string ScriptJson(const Json& json) {
  return absl::StrReplaceAll(json.dump(-1, ' ', false, Json::error_handler_t::replace),
                             {{"<", "\\u003c"}});
}

}  // namespace

std::string Html(const Document& document) {
  Json charts = Json::array();
  std::string body = Element("h1", document.title);
  absl::StrAppend(&body, "<p class=\"subtitle\">", Escaped(document.subtitle), "</p>\n<nav>");
  for (size_t i = 0; i < document.sections.size(); ++i) {
    absl::StrAppend(&body, "<a href=\"#s", i, "\">", Escaped(document.sections[i].title), "</a> ");
  }
  body += "</nav>\n<noscript><p>The plots need JavaScript; the tables do not.</p></noscript>\n";
  for (size_t i = 0; i < document.sections.size(); ++i) {
    const Section& section = document.sections[i];
    absl::StrAppend(&body, "<section id=\"s", i, "\">\n", Element("h2", section.title));
    for (const std::string& text : section.paragraphs) body += Element("p", text);
    if (!section.charts.empty()) body += "<div class=\"charts\">\n";
    for (const Chart& chart : section.charts) {
      absl::StrAppend(&body, "<figure><figcaption>", Escaped(chart.title),
                      "</figcaption><div class=\"plot\"><canvas role=\"img\" aria-label=\"",
                      Escaped(chart.title), "\" data-chart=\"", charts.size(),
                      "\"></canvas></div></figure>\n");
      charts.push_back(ChartJson(chart));
    }
    if (!section.charts.empty()) body += "</div>\n";
    if (!section.caption.empty()) {
      absl::StrAppend(&body, "<p class=\"note\">", Escaped(section.caption), "</p>\n");
    }
    if (section.table) body += TableHtml(*section.table);
    for (const std::string& note : section.notes) {
      absl::StrAppend(&body, "<p class=\"note\">", Escaped(note), "</p>\n");
    }
    if (!section.code.empty()) {
      absl::StrAppend(&body, section.folded ? "<details><summary>Show</summary>" : "", "<pre>",
                      Escaped(section.code), "</pre>", section.folded ? "</details>\n" : "\n");
    }
    body += "</section>\n";
  }
  return absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n<title>",
      Escaped(document.title), "</title>\n<style>\n", kStyleCss,
      "</style>\n</head>\n<body>\n<main>\n", body,
      "</main>\n<script id=\"charts\" type=\"application/json\">", ScriptJson(charts),
      "</script>\n<script>\n", kChartJs, "\n</script>\n<script>\n", kReportJs,
      "</script>\n</body>\n</html>\n");
}

}  // namespace retort::report
