#include "client/cli/fit_rows.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/scaling/forms.h"
#include "client/scaling/select.h"
#include "client/scaling/smallest.h"
#include "common/status.h"

namespace retort {
namespace {

Json OrNull(const std::optional<double>& value) { return value ? Number(*value) : Json(nullptr); }

Json LowOf(const std::optional<scaling::Interval>& interval) {
  return interval ? Number(interval->low) : Json(nullptr);
}

Json HighOf(const std::optional<scaling::Interval>& interval) {
  return interval ? Number(interval->high) : Json(nullptr);
}

const char* UncertaintyName(scaling::UncertaintyMethod method) {
  switch (method) {
    case scaling::UncertaintyMethod::kNone:
      return "none";
    case scaling::UncertaintyMethod::kJackknife:
      return "jackknife";
    case scaling::UncertaintyMethod::kBootstrap:
      break;
  }
  return "bootstrap";
}

void PutParameters(const scaling::Law& law, const scaling::Fit* fit, Json& row) {
  Json parameters = Json::array();
  for (const scaling::LawParameter& known : law.parameters) {
    const scaling::Parameter* parameter = fit == nullptr ? nullptr : fit->Find(known.name);
    if (parameter == nullptr) {
      for (const char* suffix : {"", "_low", "_high"}) row[known.name + suffix] = nullptr;
      row[known.name + "_at_bound"] = false;
      continue;
    }
    row[known.name] = Number(parameter->value);
    row[known.name + "_low"] = LowOf(parameter->interval);
    row[known.name + "_high"] = HighOf(parameter->interval);
    row[known.name + "_at_bound"] = parameter->at_bound;
    parameters.push_back({{"name", parameter->name},
                          {"value", Number(parameter->value)},
                          {"standard_error", OrNull(parameter->standard_error)},
                          {"low", LowOf(parameter->interval)},
                          {"high", HighOf(parameter->interval)},
                          {"at_bound", parameter->at_bound}});
  }
  row["parameters"] = parameters;
}

Json SizeJson(double size2) { return size2 == 0 ? Json(nullptr) : Number(size2); }

Json PointsJson(const scaling::Fit& fit) {
  Json points = Json::array();
  for (const scaling::SizePoint& point : fit.points) {
    points.push_back({{"size", Number(point.size)},
                      {"size2", SizeJson(point.size2)},
                      {"loss", Number(point.loss)},
                      {"fitted", Number(point.fitted)},
                      {"low", LowOf(point.interval)},
                      {"high", HighOf(point.interval)},
                      {"residual", Number(point.residual)}});
  }
  return points;
}

Json PredictionsJson(const scaling::Fit& fit) {
  Json predictions = Json::array();
  for (const scaling::CurvePoint& point : fit.curve) {
    predictions.push_back({{"size", Number(point.size)},
                           {"size2", SizeJson(point.size2)},
                           {"loss", Number(point.loss)},
                           {"low", LowOf(point.interval)},
                           {"high", HighOf(point.interval)},
                           {"beyond_data", point.size > fit.points.back().size ||
                                               point.size < fit.points.front().size}});
  }
  return predictions;
}

Json ConvergenceJson(const scaling::Convergence& report) {
  return {{"starts", report.starts},
          {"converged", report.converged},
          {"at_best", report.at_best},
          {"objective", Number(report.objective)},
          {"spread", Number(report.spread)},
          {"resamples", report.resamples},
          {"resamples_failed", report.resamples_failed}};
}

Json CandidatesJson(const scaling::Selection& selection) {
  Json candidates = Json::array();
  for (const scaling::Candidate& candidate : selection.candidates) {
    candidates.push_back(
        {{"form", scaling::FormName(candidate.form)},
         {"aicc", OrNull(candidate.aicc)},
         {"held_out_error", OrNull(candidate.held_out_error)},
         {"problem", candidate.problem.empty() ? Json(nullptr) : Json(candidate.problem)}});
  }
  return candidates;
}

Json SmallestJson(const std::vector<scaling::Observation>& observations, scaling::Form form,
                  const FitRequest& request) {
  scaling::FitOptions options = request.options;
  options.form = form;
  const double confidence = options.confidence;
  const auto smallest = scaling::SmallestSize(observations, options, *request.smallest, confidence);
  Json json = {{"loss", *request.smallest}, {"confidence", confidence}};
  json["size"] = smallest.ok() ? OrNull(smallest->size) : Json(nullptr);
  json["beyond_data"] = smallest.ok() && smallest->beyond_data;
  json["measured_size"] = smallest.ok() ? OrNull(smallest->measured_size) : Json(nullptr);
  json["without_confidence"] = smallest.ok() ? OrNull(smallest->without_confidence) : Json(nullptr);
  json["problem"] = smallest.ok() ? Json(nullptr) : Json(MessageOf(smallest.status()));
  return json;
}

// `14.2 [13.1, 15.0]` with so many significant digits.
std::string IntervalText(const Json& value, const Json& low, const Json& high) {
  const auto number = [](const Json& json) {
    return json.is_null() ? "-" : absl::StrFormat("%.4g", json.get<double>());
  };
  if (value.is_null()) return "-";
  if (low.is_null() || high.is_null()) return number(value);
  return absl::StrCat(number(value), " [", number(low), ", ", number(high), "]");
}

std::string PowerText(const Json& row, const std::string& name) {
  const Json& value = row.at(name);
  if (value.is_null()) return "-";
  std::string text = Fixed(value.get<double>(), 2);
  const Json& low = row.at(name + "_low");
  const Json& high = row.at(name + "_high");
  if (low.is_null() || high.is_null()) return text;
  return absl::StrCat(text, " [", Fixed(low.get<double>(), 2), ", ", Fixed(high.get<double>(), 2),
                      "]");
}

std::string ParametersText(const Json& row) {
  std::string text;
  for (const Json& parameter : row.at("parameters")) {
    absl::StrAppend(&text, text.empty() ? "" : "; ", parameter["name"].get<std::string>(), " ",
                    IntervalText(parameter["value"], parameter["low"], parameter["high"]));
  }
  return text.empty() ? "-" : text;
}

}  // namespace

Json FitRow(Json row, const std::string& size, const std::string& size2,
            const std::vector<scaling::Observation>& observations, const FitRequest& request) {
  scaling::FitOptions options = request.options;
  options.curve_sizes = request.predict;
  absl::Status problem;
  std::optional<scaling::Fit> fit;
  Json candidates = Json::array();
  options.form = request.form.value_or(scaling::Form::kPower);
  if (request.form) {
    auto made = scaling::FitLaw(observations, options);
    problem = made.status();
    if (made.ok()) fit = *std::move(made);
  } else {
    auto made = scaling::FitSelectedForm(observations, options);
    problem = made.status();
    if (made.ok()) {
      candidates = CandidatesJson(made->selection);
      options.form = made->selection.form;
      fit = std::move(made->fit);
    }
  }
  const scaling::Law& law = scaling::LawOf(options.form);
  row["form"] = law.name;
  row["formula"] = law.formula;
  row["same_law_as"] =
      law.same_as == law.form ? Json(nullptr) : Json(scaling::FormName(law.same_as));
  row["size"] = size;
  row["size2"] = size2.empty() ? Json(nullptr) : Json(size2);
  PutParameters(law, fit ? &*fit : nullptr, row);
  row["r_squared"] = fit ? Number(fit->r_squared) : Json(nullptr);
  row["aicc"] = fit ? OrNull(fit->aicc) : Json(nullptr);
  row["sizes"] = fit ? Json(fit->points.size()) : Json(nullptr);
  row["subjects"] = fit ? Json(fit->subjects) : Json(nullptr);
  row["seeds"] = fit ? Json(fit->seeds) : Json(nullptr);
  row["points_are"] = options.points_are == scaling::PointsAre::kRows ? "rows" : "means";
  row["intervals_by"] = UncertaintyName(options.uncertainty);
  row["confidence"] = options.confidence;
  row["huber_delta"] = fit ? Number(fit->huber_delta) : Json(nullptr);
  std::vector<std::string> warnings;
  if (fit) {
    for (const scaling::Warning& warning : fit->warnings) warnings.push_back(warning.message);
  } else {
    warnings.push_back(MessageOf(problem));
  }
  row["warnings"] = warnings;
  row["points"] = fit ? PointsJson(*fit) : Json::array();
  row["predictions"] = fit ? PredictionsJson(*fit) : Json::array();
  row["smallest"] =
      fit && request.smallest ? SmallestJson(observations, options.form, request) : Json(nullptr);
  row["convergence"] = fit ? ConvergenceJson(fit->convergence) : Json(nullptr);
  row["candidates"] = candidates;
  return row;
}

std::vector<Column> LawColumns(std::vector<Column> columns, const std::vector<Json>& rows) {
  columns.push_back({"sizes", "sizes", 0, {}});
  const bool power = std::all_of(rows.begin(), rows.end(),
                                 [](const Json& row) { return row.at("form") == "power"; });
  if (power) {
    columns.push_back({"E", "E", 0, [](const Json& row) { return PowerText(row, "E"); }});
    columns.push_back(
        {"alpha", "alpha", 0, [](const Json& row) { return PowerText(row, "alpha"); }});
  } else {
    columns.push_back({"form", "form", 0, {}});
    columns.push_back({"parameters", "parameters", 0, ParametersText});
  }
  columns.push_back({"r_squared", "R2", 3, {}});
  return columns;
}

std::vector<Json> PredictionRows(const std::vector<Json>& fits, const std::vector<Column>& labels) {
  std::vector<Json> rows;
  for (const Json& fit : fits) {
    for (const Json& prediction : fit.at("predictions")) {
      Json row = {{"by", fit.at("size")}};
      // Labels are columns of a user's table, of any name: what is predicted stays apart from them.
      for (const Column& label : labels) row[label.key] = fit.at(label.key);
      row["prediction"] = prediction;
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

std::vector<Column> PredictionColumns(std::vector<Column> columns) {
  const auto add = [&](const char* header, std::string (*text)(const Json& prediction)) {
    columns.push_back(
        {"prediction", header, 0, [text](const Json& row) { return text(row.at("prediction")); }});
  };
  columns.push_back({"by", "by", 0, {}});
  add("size", [](const Json& prediction) {
    std::string text = IntervalText(prediction.at("size"), nullptr, nullptr);
    if (prediction.at("size2").is_null()) return text;
    return absl::StrCat(text, ", ", IntervalText(prediction.at("size2"), nullptr, nullptr));
  });
  add("loss", [](const Json& prediction) {
    return IntervalText(prediction.at("loss"), prediction.at("low"), prediction.at("high"));
  });
  add("beyond the data", [](const Json& prediction) {
    return std::string(prediction.at("beyond_data").get<bool>() ? "yes" : "");
  });
  return columns;
}

std::vector<Column> SmallestColumns(std::vector<Column> columns) {
  const auto add = [&](const char* key, const char* header) {
    columns.push_back({"smallest", header, 0, [key](const Json& row) {
                         const Json& smallest = row.at("smallest");
                         if (smallest.is_null()) return std::string("-");
                         std::string text = IntervalText(smallest.at(key), nullptr, nullptr);
                         if (key == std::string("size") && smallest.at("beyond_data").get<bool>())
                           text += " (beyond the data)";
                         return text;
                       }});
  };
  columns.push_back({"size", "by", 0, {}});
  add("size", "sure from");
  add("measured_size", "measured");
  add("without_confidence", "law alone");
  return columns;
}

}  // namespace retort
