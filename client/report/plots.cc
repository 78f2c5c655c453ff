#include "client/report/plots.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace retort::report {
namespace {

using Kind = Series::Kind;

constexpr size_t kMostAgreementPoints = 4000;  // more than that is a blot
constexpr double kBytesPerParameter = 4;

std::string FamilyOf(const std::string& model) { return model.substr(0, model.find('-')); }

bool Counts(const Json& row) {
  return row.at("selected").get<bool>() && row.at("mae_bpm").is_number();
}

// The mean over subjects of each subject's mean over rows.
class SubjectErrors {
 public:
  void Add(const Json& row) {
    for (const Json& subject : row.at("subjects")) {
      if (!subject.at("mae_bpm").is_number()) continue;
      auto& [sum, count] = by_subject_[subject.at("subject").get<std::string>()];
      sum += subject["mae_bpm"].get<double>();
      ++count;
    }
  }
  double Mean() const {
    double sum = 0;
    for (const auto& [subject, entry] : by_subject_) sum += entry.first / entry.second;
    return sum / static_cast<double>(by_subject_.size());
  }
  bool empty() const { return by_subject_.empty(); }
  const std::map<std::string, std::pair<double, int>>& by_subject() const { return by_subject_; }

 private:
  std::map<std::string, std::pair<double, int>> by_subject_;
};

// Of all rows that count of each network.
std::map<Network, SubjectErrors> ErrorsByNetwork(const std::vector<Json>& rows) {
  std::map<Network, SubjectErrors> errors;
  for (const Json& row : rows) {
    if (Counts(row)) errors[NetworkOf(row)].Add(row);
  }
  return errors;
}

std::map<Network, std::map<int64_t, SubjectErrors>> ErrorsBySeed(const std::vector<Json>& rows) {
  std::map<Network, std::map<int64_t, SubjectErrors>> errors;
  for (const Json& row : rows) {
    if (Counts(row)) errors[NetworkOf(row)][row.at("seed").get<int64_t>()].Add(row);
  }
  return errors;
}

// The law from its smallest size to three times its largest.
void AddLaw(const Json& law, const std::string& label, Chart& chart) {
  const Json& sizes = law.at("points");  // ascending
  if (sizes.empty()) return;
  const double least = sizes.front().at("size").get<double>();
  const double most = 3 * sizes.back().at("size").get<double>();
  Series line{.label = label, .kind = Kind::kLine, .colour = label};
  Series band{.label = label, .kind = Kind::kBand, .colour = label};
  for (const Json& point : law.at("predictions")) {
    if (!point.at("loss").is_number()) continue;
    const double size = point.at("size").get<double>();
    if (size < least || size > most) continue;
    line.points.push_back({.x = size, .y = point["loss"].get<double>()});
    if (!point.at("low").is_number() || !point.at("high").is_number()) continue;
    band.points.push_back(
        {.x = size, .low = point["low"].get<double>(), .high = point["high"].get<double>()});
  }
  if (!band.points.empty()) chart.series.push_back(std::move(band));
  if (!line.points.empty()) chart.series.push_back(std::move(line));
}

Chart CostChart(const Input& input, const std::string& title, const std::string& label,
                const std::string& key, double factor) {
  Chart chart{.title = title, .x_label = label, .y_label = "MAE, BPM", .log_x = true};
  std::map<std::string, Series> series;
  std::vector<std::string> order;
  std::vector<std::pair<double, double>> all;
  for (const Json& row : input.networks) {
    if (!row.at(key).is_number() || !row.at("mae_bpm").is_number()) continue;
    const double cost = factor * row[key].get<double>();
    if (!(cost > 0)) continue;
    const Network network = NetworkOf(row);
    const std::string name = network.kind == "teacher" ? "teacher" : network.method;
    auto [at, is_new] = series.try_emplace(name, Series{.label = name, .colour = name});
    if (is_new) order.push_back(name);
    at->second.points.push_back(
        {.x = cost, .y = row["mae_bpm"].get<double>(), .text = network.Label()});
    all.emplace_back(cost, row["mae_bpm"].get<double>());
  }
  if (all.empty()) return chart;
  Series front{.label = "Pareto front", .kind = Kind::kLine, .dashed = true};
  for (const size_t i : ParetoFront(all)) {
    front.points.push_back({.x = all[i].first, .y = all[i].second});
  }
  chart.series.push_back(std::move(front));
  for (const std::string& name : order) chart.series.push_back(std::move(series[name]));
  return chart;
}

struct Limits {
  double bias, low, high;
};

// Bias -+ 1.96 standard deviations.
Limits LimitsOf(const Agreement& agreement) {
  const auto count = static_cast<double>(agreement.points.size());
  double sum = 0, squares = 0;
  for (const auto& point : agreement.points) sum += point.estimate_bpm - point.reference_bpm;
  const double bias = sum / count;
  for (const auto& point : agreement.points) {
    squares += std::pow(point.estimate_bpm - point.reference_bpm - bias, 2);
  }
  const double deviation = count > 1 ? std::sqrt(squares / (count - 1)) : 0;
  return {bias, bias - 1.96 * deviation, bias + 1.96 * deviation};
}

}  // namespace

std::vector<Chart> SizeCharts(const Input& input) {
  std::map<std::string, double> sizes;                     // by model
  std::vector<std::pair<std::string, std::string>> plots;  // family, teacher; in order
  std::map<Network, SubjectErrors> errors = ErrorsByNetwork(input.rows);
  for (const Json& row : input.rows) {
    if (!Counts(row) || row.at("kind") != "student") continue;
    const Network network = NetworkOf(row);
    sizes[network.model] = row.at("params_body").get<double>();
    const std::pair plot(FamilyOf(network.model), network.teacher);
    if (std::find(plots.begin(), plots.end(), plot) == plots.end()) plots.push_back(plot);
  }
  // Scratch stands in the plot of each teacher, and in one of its own where there is none.
  std::erase_if(plots, [&](const auto& plot) {
    return plot.second.empty() && std::any_of(plots.begin(), plots.end(), [&](const auto& other) {
             return other.first == plot.first && !other.second.empty();
           });
  });
  const auto seeds = ErrorsBySeed(input.rows);
  std::vector<Chart> charts;
  for (const auto& [family, teacher] : plots) {
    Chart chart{.title = absl::StrCat(family, teacher.empty() ? "" : ", teacher ", teacher),
                .x_label = "parameters of the body",
                .y_label = "MAE, BPM",
                .log_x = true};
    const auto belongs = [&](const std::string& of_family, const std::string& of_teacher) {
      return of_family == family && (of_teacher.empty() || of_teacher == teacher);
    };
    for (const Json& law : input.laws) {
      const std::string of = law.at("teacher").is_string() ? law["teacher"].get<std::string>() : "";
      if (!belongs(law.at("family").get<std::string>(), of)) continue;
      AddLaw(law, law.at("method").get<std::string>(), chart);
    }
    std::map<std::string, Series> points;
    for (const auto& [network, error] : errors) {
      if (network.kind != "student" || !belongs(FamilyOf(network.model), network.teacher)) continue;
      auto& series = points
                         .try_emplace(network.method,
                                      Series{.label = network.method, .colour = network.method})
                         .first->second;
      for (const auto& [seed, of_seed] : seeds.at(network)) {
        // A seed that was tested on some of the subjects alone would show their difficulty.
        if (of_seed.by_subject().size() != error.by_subject().size()) continue;
        series.points.push_back({.x = sizes[network.model],
                                 .y = of_seed.Mean(),
                                 .text = absl::StrCat(network.model, ", seed ", seed)});
      }
      if (!series.points.empty() && series.points.back().x == sizes[network.model]) continue;
      series.points.push_back(
          {.x = sizes[network.model], .y = error.Mean(), .text = network.model});
    }
    for (auto& [label, series] : points) chart.series.push_back(std::move(series));
    charts.push_back(std::move(chart));
  }
  return charts;
}

std::vector<Chart> CostCharts(const Input& input) {
  std::vector<Chart> charts;
  for (Chart chart :
       {CostChart(input, "Error against latency", "latency of one window, ms", "latency_ms", 1),
        CostChart(input, "Error against bytes", "bytes of 32-bit parameters", "params",
                  kBytesPerParameter)}) {
    if (!chart.series.empty()) charts.push_back(std::move(chart));
  }
  return charts;
}

std::vector<Chart> TeacherCharts(const Input& input) {
  const auto errors = ErrorsByNetwork(input.rows);
  std::map<std::string, double> teachers;  // by model
  for (const auto& [network, error] : errors) {
    if (network.kind == "teacher") teachers[network.model] = error.Mean();
  }
  Chart chart{.title = "Students against their teachers",
              .x_label = "MAE of the teacher, BPM",
              .y_label = "MAE of the student, BPM"};
  std::map<std::string, Series> series;
  double least = 0, most = 0;
  for (const auto& [network, error] : errors) {
    const auto teacher = teachers.find(network.teacher);
    if (network.kind != "student" || teacher == teachers.end()) continue;
    series.try_emplace(network.method, Series{.label = network.method, .colour = network.method})
        .first->second.points.push_back(
            {.x = teacher->second, .y = error.Mean(), .text = network.Label()});
    least = most == 0 ? teacher->second : std::min(least, teacher->second);
    most = std::max(most, teacher->second);
  }
  if (series.empty()) return {};
  const double margin = std::max(0.1, 0.1 * (most - least));
  chart.series.push_back({.label = "as good as the teacher",
                          .kind = Kind::kLine,
                          .points = {{.x = least - margin, .y = least - margin},
                                     {.x = most + margin, .y = most + margin}},
                          .dashed = true});
  for (auto& [label, points] : series) chart.series.push_back(std::move(points));
  return {std::move(chart)};
}

std::vector<Chart> SubjectCharts(const Input& input) {
  const Network best = BestStudent(input.rows);
  const auto errors = ErrorsByNetwork(input.rows);
  if (errors.count(best) == 0) return {};
  // By the best student's error, so that the hard subjects stand together.
  std::vector<std::pair<double, std::string>> subjects;
  for (const auto& [subject, entry] : errors.at(best).by_subject()) {
    subjects.emplace_back(entry.first / entry.second, subject);
  }
  std::sort(subjects.begin(), subjects.end());
  Chart chart{.title = absl::StrCat("Error of each subject: ", best.Label()),
              .x_label = "subject",
              .y_label = "MAE, BPM"};
  std::map<std::string, double> position;
  for (const auto& [error, subject] : subjects) {
    position.emplace(subject, static_cast<double>(chart.x_names.size()));
    chart.x_names.push_back(subject);
  }
  for (const auto& [network, error] : errors) {
    const bool teacher = network.kind == "teacher" && network.model == best.teacher;
    const bool scratch =
        network.model == best.model && network.kind == "student" && network.teacher.empty();
    if (network != best && !teacher && !scratch) continue;
    const std::string colour = network.kind == "teacher" ? "teacher" : network.method;
    Series series{.label = network.Label(), .colour = colour};
    for (const auto& [subject, entry] : error.by_subject()) {
      const auto at = position.find(subject);
      if (at == position.end()) continue;
      series.points.push_back({.x = at->second, .y = entry.first / entry.second});
    }
    chart.series.push_back(std::move(series));
  }
  return {std::move(chart)};
}

Chart AgreementChart(const Agreement& agreement) {
  const Limits limits = LimitsOf(agreement);
  Chart chart{.title = absl::StrCat("Bland-Altman plot: ", agreement.network.Label()),
              .x_label = "mean of estimate and reference, BPM",
              .y_label = "estimate - reference, BPM"};
  Series points{.label = "windows", .colour = agreement.network.method};
  const size_t every = (agreement.points.size() + kMostAgreementPoints - 1) / kMostAgreementPoints;
  double least = agreement.points.front().reference_bpm, most = least;
  for (size_t i = 0; i < agreement.points.size(); i += every) {
    const auto& point = agreement.points[i];
    const double mean = (point.estimate_bpm + point.reference_bpm) / 2;
    least = std::min(least, mean);
    most = std::max(most, mean);
    points.points.push_back({.x = mean, .y = point.estimate_bpm - point.reference_bpm});
  }
  const auto level = [&](const std::string& label, double y, bool dashed) {
    chart.series.push_back({.label = label,
                            .kind = Kind::kLine,
                            .points = {{.x = least, .y = y}, {.x = most, .y = y}},
                            .dashed = dashed});
  };
  chart.series.push_back(std::move(points));
  level("bias", limits.bias, false);
  level("95 % limits of agreement", limits.low, true);
  level("95 % limits of agreement", limits.high, true);
  return chart;
}

std::string AgreementText(const Agreement& agreement) {
  const Limits limits = LimitsOf(agreement);
  return absl::StrFormat(
      "Bias %.2f BPM, 95 %% limits of agreement %.1f to %.1f BPM, over %d estimates (windows and "
      "channels) of test subjects, median decoding.%s",
      limits.bias, limits.low, limits.high, agreement.points.size(),
      agreement.points.size() > kMostAgreementPoints ? " The plot shows an even part of them."
                                                     : "");
}

std::vector<Chart> CurveCharts(const Input& input) {
  std::vector<Chart> charts;
  std::map<std::string, size_t> index;
  for (const Curve& curve : input.curves) {
    const auto [at, is_new] = index.try_emplace(curve.network.model, charts.size());
    if (is_new) {
      charts.push_back({.title = absl::StrCat(curve.network.model, ", ", curve.job),
                        .x_label = "epoch",
                        .y_label = "MAE on validation, BPM"});
    }
    Series series{
        .label = curve.network.method, .kind = Kind::kLine, .colour = curve.network.method};
    for (const auto& [epoch, error] : curve.points) {
      series.points.push_back({.x = epoch, .y = error});
    }
    charts[at->second].series.push_back(std::move(series));
  }
  return charts;
}

}  // namespace retort::report
