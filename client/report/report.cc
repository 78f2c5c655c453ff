#include "client/report/report.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/report/plots.h"

namespace retort::report {
namespace {

std::string Number(const Json& value, int digits) {
  return value.is_number() ? absl::StrFormat("%.*f", digits, value.get<double>()) : "-";
}

std::string Text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "-";
  return value.dump();
}

// `0.42 [0.10, 0.75]`.
std::string WithInterval(const Json& value, const Json& low, const Json& high, int digits) {
  if (!low.is_number() || !high.is_number()) return Number(value, digits);
  return absl::StrCat(Number(value, digits), " [", Number(low, digits), ", ", Number(high, digits),
                      "]");
}

Table ClaimsTable(const std::vector<Json>& claims) {
  Table table{
      {{"claim"}, {"of"}, {"students"}, {"compared with"}, {"effect [95 %]", true}, {"answer"}},
      {}};
  for (const Json& claim : claims) {
    for (const Json& part : claim.at("parts")) {
      table.rows.push_back(
          {"C" + Text(claim.at("claim")), Text(part.at("of")), Text(part.at("scope")),
           Text(part.at("compared_with")),
           absl::StrCat(WithInterval(part.at("effect"), part.at("low"), part.at("high"), 2), " ",
                        part.at("effect").is_number() ? Text(part.at("unit")) : ""),
           Text(part.at("answer"))});
    }
  }
  return table;
}

Table NetworksTable(const std::vector<Json>& networks) {
  Table table{{{"kind"},
               {"model"},
               {"method"},
               {"teacher"},
               {"jobs", true},
               {"MAE, BPM", true},
               {"arg max", true},
               {"all channels", true},
               {"within 5 BPM", true},
               {"parameters", true},
               {"operations", true},
               {"latency, ms", true}},
              {}};
  for (const Json& row : networks) {
    const Json& within = row.at("within_5_bpm");
    table.rows.push_back(
        {Text(row.at("kind")), Text(row.at("student")),
         row.at("train").is_null() ? Text(row.at("method"))
                                   : absl::StrCat(Text(row.at("method")), ", ", Text(row["train"])),
         Text(row.at("teacher")), Text(row.at("jobs")), Number(row.at("mae_bpm"), 2),
         Number(row.at("mae_argmax_bpm"), 2), Number(row.at("mae_all_channels_bpm"), 2),
         within.is_number() ? absl::StrFormat("%.0f %%", 100 * within.get<double>()) : "-",
         Text(row.at("params")), Text(row.at("macs")), Number(row.at("latency_ms"), 3)});
  }
  return table;
}

Table MethodsTable(const std::vector<Json>& methods) {
  Table table{{{"method"},
               {"beside"},
               {"pairs", true},
               {"scratch, BPM", true},
               {"method, BPM", true},
               {"gain [95 %], BPM", true},
               {"verdict"}},
              {}};
  for (const Json& row : methods) {
    const bool reference = row.at("reference").get<bool>();
    table.rows.push_back(
        {Text(row.at("method")), Text(row.at("arm")) + (reference ? " *" : ""),
         Text(row.at("pairs")), Number(row.at("scratch_bpm"), 2), Number(row.at("method_bpm"), 2),
         WithInterval(row.at("gain_bpm"), row.at("gain_low_bpm"), row.at("gain_high_bpm"), 2),
         Text(row.at("verdict"))});
  }
  return table;
}

Table LawsTable(const std::vector<Json>& laws) {
  Table table{{{"family"}, {"method"}, {"teacher"}, {"by"}, {"law"}, {"R²", true}}, {}};
  for (const Json& row : laws) {
    std::string parameters;
    for (const Json& parameter : row.at("parameters")) {
      const double value = parameter.at("value").is_number() ? parameter["value"].get<double>() : 0;
      const int digits = std::abs(value) >= 100 ? 0 : std::abs(value) >= 1 ? 2 : 3;
      absl::StrAppend(
          &parameters, parameters.empty() ? "" : "; ", Text(parameter.at("name")), " ",
          WithInterval(parameter.at("value"), parameter.at("low"), parameter.at("high"), digits));
    }
    table.rows.push_back({Text(row.at("family")), Text(row.at("method")), Text(row.at("teacher")),
                          Text(row.at("size")), parameters.empty() ? "-" : parameters,
                          Number(row.at("r_squared"), 3)});
  }
  return table;
}

// Each sentence once.
std::vector<std::string> Warnings(const std::vector<Json>& rows, const char* key) {
  std::vector<std::string> out;
  std::set<std::string> said;
  const auto say = [&](const Json& text) {
    if (text.is_string() && said.insert(text.get<std::string>()).second) {
      out.push_back(text.get<std::string>());
    }
  };
  for (const Json& row : rows) {
    const Json& value = row.at(key);
    if (value.is_array()) {
      for (const Json& text : value) say(text);
    } else {
      say(value);
    }
  }
  return out;
}

std::string Summary(const Input& input) {
  const Network best = BestStudent(input.rows);
  if (best.model.empty()) return "No student has a result yet.";
  for (const Json& row : input.networks) {
    Network of = NetworkOf(row);
    if (of != best) continue;
    return absl::StrCat("Best student on validation: ", best.Label(), ", with ",
                        Number(row.at("mae_bpm"), 2), " BPM on test, ", Text(row.at("params")),
                        " parameters and ", Number(row.at("latency_ms"), 3),
                        " ms a window on one CPU thread.");
  }
  return absl::StrCat("Best student on validation: ", best.Label(), ".");
}

Section Claims(const Input& input) {
  Section section{.title = "Claims"};
  if (!input.claims_problem.empty()) section.paragraphs.push_back(input.claims_problem);
  if (input.claims.empty()) return section;
  for (const Json& claim : input.claims) {
    section.paragraphs.push_back(absl::StrCat("C", Text(claim.at("claim")), ", ",
                                              Text(claim.at("answer")), ": ",
                                              Text(claim.at("statement"))));
  }
  section.table = ClaimsTable(input.claims);
  section.notes = {
      "Yes: the interval's lower bound is above 0. No: its upper bound is below the margin. "
      "Otherwise, and where the answer changes with the decoding, not resolved."};
  std::vector<Json> parts;
  for (const Json& claim : input.claims) {
    for (const Json& part : claim.at("parts")) parts.push_back(part);
  }
  for (const std::string& reason : Warnings(parts, "reason")) section.notes.push_back(reason);
  for (const std::string& text : Warnings(input.claims, "warnings")) section.notes.push_back(text);
  return section;
}

Section Methods(const Input& input) {
  Section section{.title = "Methods beside their scratch twins"};
  section.paragraphs = {
      "Gain: BPM saved in pairs of one student, fold, seed and subject. * marks the scratch arm "
      "that is better on validation."};
  section.table = MethodsTable(input.methods);
  section.notes = Warnings(input.methods, "reason");
  return section;
}

Section Laws(const Input& input) {
  Section section{.title = "Error against size"};
  section.caption =
      "Points: one seed, mean over all subjects; the mean over seeds where each was tested on some "
      "subjects alone. Lines: the fitted law with its 95 % band. A click on a name hides it.";
  section.charts = SizeCharts(input);
  if (!input.laws.empty()) {
    std::vector<Json> rows = input.laws;
    rows.insert(rows.end(), input.laws_by_macs.begin(), input.laws_by_macs.end());
    section.table = LawsTable(rows);
    section.notes = Warnings(rows, "warnings");
  }
  return section;
}

std::string OriginText(const Input& input) {
  std::string out;
  for (const auto& [label, value] : input.origin) absl::StrAppend(&out, label, ": ", value, "\n");
  return absl::StrCat(out, "\n", input.reproduce);
}

}  // namespace

std::string Network::Label() const {
  std::string out = absl::StrCat(model, ", ", kind == "teacher" ? "teacher" : method);
  if (!teacher.empty()) absl::StrAppend(&out, " of ", teacher);
  if (!train.empty()) absl::StrAppend(&out, ", ", train);
  return out;
}

Network NetworkOf(const Json& row) {
  const auto text = [&](const char* key) {
    return row.at(key).is_string() ? row[key].get<std::string>() : std::string();
  };
  return {text("kind"), text("student"), text("method"), text("teacher"), text("train")};
}

Network BestStudent(const std::vector<Json>& rows) {
  std::map<Network, std::pair<double, int>> sums;
  const bool validated = std::any_of(
      rows.begin(), rows.end(), [](const Json& row) { return row.at("val_mae_bpm").is_number(); });
  for (const Json& row : rows) {
    const Json& error = row.at(validated ? "val_mae_bpm" : "mae_bpm");
    if (row.at("kind") != "student" || !row.at("selected").get<bool>() || !error.is_number()) {
      continue;
    }
    auto& [sum, count] = sums[NetworkOf(row)];
    sum += error.get<double>();
    ++count;
  }
  Network best;
  double least = std::numeric_limits<double>::infinity();
  for (const auto& [network, sum] : sums) {
    if (sum.first / sum.second >= least) continue;
    least = sum.first / sum.second;
    best = network;
  }
  return best;
}

std::vector<size_t> ParetoFront(const std::vector<std::pair<double, double>>& points) {
  std::vector<size_t> order(points.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return points[a] < points[b]; });
  std::vector<size_t> front;
  for (const size_t i : order) {
    if (front.empty() || points[i].second < points[front.back()].second) front.push_back(i);
  }
  return front;
}

Document MakeReport(const Input& input) {
  Document document;
  document.title = input.sweep;
  document.subtitle = absl::StrCat("Report of a sweep, made ", input.made,
                                   input.description.empty() ? "" : ". ", input.description);
  auto& sections = document.sections;
  sections.push_back({.title = "Summary", .paragraphs = {Summary(input)}});
  for (const std::string& remark : input.remarks) sections[0].paragraphs.push_back(remark);
  sections.push_back(Claims(input));
  sections.push_back(Laws(input));
  sections.push_back({.title = "Error against cost",
                      .charts = CostCharts(input),
                      .caption = "The dashed line joins the networks that no other undercuts in "
                                 "both. Latency: one window, one CPU thread, nothing else running; "
                                 "comparable on one machine alone."});
  if (!input.methods.empty()) sections.push_back(Methods(input));
  if (auto charts = TeacherCharts(input); !charts.empty()) {
    sections.push_back({.title = "Teachers and students", .charts = std::move(charts)});
  }
  sections.push_back({.title = "Subjects", .charts = SubjectCharts(input)});
  Section agreement{.title = "Agreement of the best student"};
  if (input.agreement.points.empty()) {
    agreement.paragraphs = {input.agreement.problem};
  } else {
    agreement.paragraphs = {AgreementText(input.agreement)};
    agreement.charts = {AgreementChart(input.agreement)};
  }
  sections.push_back(std::move(agreement));
  if (!input.curves.empty()) {
    sections.push_back({.title = "Training curves", .charts = CurveCharts(input)});
  }
  sections.push_back({.title = "All networks", .table = NetworksTable(input.networks)});
  sections.push_back({.title = "How to reproduce it", .code = OriginText(input)});
  sections.push_back({.title = "The sweep as it was run", .code = input.spec, .folded = true});
  // A section without anything to show says nothing.
  std::erase_if(sections, [](const Section& section) {
    return section.paragraphs.empty() && section.charts.empty() && section.code.empty() &&
           !section.table;
  });
  return document;
}

}  // namespace retort::report
