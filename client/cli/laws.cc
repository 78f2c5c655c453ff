// Comparison of methods and scaling laws of a sweep's results: the part of results.h that calls
// client/scaling.
#include <compare>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/results.h"
#include "client/cli/rows.h"
#include "client/scaling/compare.h"
#include "client/scaling/fit.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr int kMinSizes = 3;  // as many as the law has parameters

Json OrNull(const std::optional<double>& value) { return value ? Number(*value) : Json(nullptr); }

// `2.31 [1.80, 2.90]` of the row's values at `key`, `key_low` and `key_high` followed by `unit`.
std::string WithInterval(const Json& row, const std::string& key, const std::string& unit) {
  if (row.at(key + unit).is_null()) return "-";
  std::string text = Fixed(row.at(key + unit).get<double>(), 2);
  const Json& low = row.at(key + "_low" + unit);
  const Json& high = row.at(key + "_high" + unit);
  if (!low.is_null() && !high.is_null()) {
    absl::StrAppend(&text, " [", Fixed(low.get<double>(), 2), ", ", Fixed(high.get<double>(), 2),
                    "]");
  }
  return text;
}

// Training values and data, which a pair must share. Where the sweep selects among training values
// each method has its own best ones, and only the data is shared.
std::string SettingsOf(const v1::Job& job, bool selects) {
  const std::string data = job.spec().dataset().sha256();
  return selects ? data : absl::StrCat(data, " ", job.spec().train().ShortDebugString());
}

std::vector<scaling::Outcome> Outcomes(const SweepResults& results) {
  std::vector<scaling::Outcome> outcomes;
  for (size_t i = 0; i < results.jobs.size(); ++i) {
    const v1::Job& job = results.jobs[i];
    if (!results.selected[i] || job.kind() != v1::JOB_KIND_STUDENT) continue;
    scaling::Outcome outcome;
    outcome.method = job.method();
    outcome.scratch = job.spec().method().has_scratch();
    outcome.student = job.model();
    outcome.teacher = job.teacher();
    outcome.settings = SettingsOf(job, results.sweep.spec().has_select());
    outcome.fold = job.fold();
    outcome.seed = job.seed();
    if (job.result().has_validation()) {
      outcome.validation_mae_bpm = job.result().validation().mae_bpm();
    }
    for (const auto& subject : job.result().evaluations(0).subjects()) {
      outcome.subject = subject.subject();
      outcome.mae_bpm = subject.metrics().mae_bpm();
      outcomes.push_back(outcome);
    }
  }
  return outcomes;
}

Json MethodRow(const scaling::Comparison& comparison, const scaling::ArmGain& gain) {
  const bool reference = comparison.reference == gain.arm;
  const auto& interval = gain.interval;
  return {{"method", comparison.method},
          {"arm", gain.arm},
          {"reference", reference},
          {"pairs", gain.pairs},
          {"subjects", gain.subjects},
          {"seeds", gain.seeds},
          {"scratch_bpm", Number(gain.scratch_bpm)},
          {"method_bpm", Number(gain.method_bpm)},
          {"gain_bpm", Number(gain.gain_bpm)},
          {"gain_low_bpm", interval ? Number(interval->low) : Json(nullptr)},
          {"gain_high_bpm", interval ? Number(interval->high) : Json(nullptr)},
          {"p_holm", OrNull(gain.p_holm)},
          {"verdict", scaling::VerdictName(gain.verdict)},
          {"reason", gain.reason.empty() ? Json(nullptr) : Json(gain.reason)}};
}

double SizeOf(const v1::Job& job, const std::string& size) {
  const v1::ModelCost& cost = job.result().cost();
  if (size == "params") return static_cast<double>(cost.params());
  if (size == "macs") return static_cast<double>(cost.macs());
  return static_cast<double>(cost.params_body());
}

// `resnet1d` of `resnet1d-32/8`.
std::string FamilyOf(const std::string& model) { return model.substr(0, model.find('-')); }

// One law: what its students have in common. Training values are not part of it, since the peak
// learning rate depends on the size; where one student was trained with several, `variant` counts
// them in the sweep's order.
struct LawKey {
  std::string family, method, teacher, dataset;
  int variant = 0;

  friend auto operator<=>(const LawKey&, const LawKey&) = default;
};

// What jobs have in common that differ in their training values alone.
std::string TwinName(const v1::Job& job) {
  return absl::StrCat(job.spec().dataset().sha256(), " ", job.model(), " ", job.method(), " ",
                      job.teacher(), " ", job.seed(), " ", job.fold());
}

Json FitRow(const LawKey& key, const std::string& size,
            const std::vector<scaling::Observation>& observations) {
  Json row = {{"family", key.family},
              {"method", key.method},
              {"teacher", key.teacher.empty() ? Json(nullptr) : Json(key.teacher)},
              {"dataset", key.dataset},
              {"variant", key.variant},
              {"form", scaling::FormName(scaling::Form::kPower)},
              {"size", size}};
  const auto fit = scaling::FitLaw(observations, {});
  for (const std::string name : {"E", "A", "alpha"}) {
    const scaling::Parameter* parameter = fit.ok() ? fit->Find(name) : nullptr;
    const bool bounded = parameter != nullptr && parameter->interval.has_value();
    row[name] = parameter == nullptr ? Json(nullptr) : Number(parameter->value);
    row[name + "_low"] = bounded ? Number(parameter->interval->low) : Json(nullptr);
    row[name + "_high"] = bounded ? Number(parameter->interval->high) : Json(nullptr);
    row[name + "_at_bound"] = parameter != nullptr && parameter->at_bound;
  }
  row["r_squared"] = fit.ok() ? Number(fit->r_squared) : Json(nullptr);
  row["sizes"] = fit.ok() ? Json(fit->points.size()) : Json(nullptr);
  row["subjects"] = fit.ok() ? Json(fit->subjects) : Json(nullptr);
  row["seeds"] = fit.ok() ? Json(fit->seeds) : Json(nullptr);
  Json points = Json::array();
  std::vector<std::string> warnings;
  if (fit.ok()) {
    for (const scaling::SizePoint& point : fit->points) {
      points.push_back({{"size", Number(point.size)},
                        {"mae_bpm", Number(point.loss)},
                        {"fitted_bpm", Number(point.fitted)}});
    }
    for (const scaling::Warning& warning : fit->warnings) warnings.push_back(warning.message);
  } else {
    warnings.push_back(MessageOf(fit.status()));
  }
  if (key.variant > 0) {
    warnings.push_back(
        "students were trained with several training values: each has its own law, in the order "
        "of the sweep file; `select` would choose among them on validation");
  }
  row["warnings"] = warnings;
  row["points"] = points;
  return row;
}

}  // namespace

absl::StatusOr<std::vector<Json>> MethodRows(const SweepResults& results) {
  const std::vector<scaling::Outcome> outcomes = Outcomes(results);
  bool any = false;
  for (const scaling::Outcome& outcome : outcomes) any = any || !outcome.scratch;
  if (!any) return std::vector<Json>();
  RETORT_ASSIGN_OR_RETURN(const auto comparisons, scaling::CompareWithScratch(outcomes, {}));
  std::vector<Json> rows;
  for (const scaling::Comparison& comparison : comparisons) {
    for (const scaling::ArmGain& gain : comparison.arms) {
      rows.push_back(MethodRow(comparison, gain));
    }
    if (!comparison.arms.empty()) continue;
    scaling::ArmGain none;
    none.verdict = comparison.verdict;
    none.reason = comparison.reason;
    none.scratch_bpm = none.method_bpm = none.gain_bpm = std::numeric_limits<double>::quiet_NaN();
    rows.push_back(MethodRow(comparison, none));
  }
  return rows;
}

const std::vector<Column>& MethodColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"method", "method", 0, {}},
      {"arm", "beside", 0,
       [](const Json& row) {
         return row.at("arm").get<std::string>() + (row.at("reference").get<bool>() ? " *" : "");
       }},
      {"pairs", "pairs", 0, {}, Room::kSpare},
      {"scratch_bpm", "scratch", 2, {}},
      {"method_bpm", "method", 2, {}},
      {"gain_bpm", "gain", 0, [](const Json& row) { return WithInterval(row, "gain", "_bpm"); }},
      {"verdict", "verdict", 0, {}, Room::kNeeded},
  };
  return columns;
}

std::vector<Json> FitRows(const SweepResults& results, const std::string& size) {
  std::vector<LawKey> order;
  std::map<LawKey, std::vector<scaling::Observation>> groups;
  std::map<LawKey, std::set<double>> sizes;
  std::map<std::string, int> variants;
  for (size_t i = 0; i < results.jobs.size(); ++i) {
    const v1::Job& job = results.jobs[i];
    if (!results.selected[i] || job.kind() != v1::JOB_KIND_STUDENT) continue;
    const LawKey key{FamilyOf(job.model()), job.method(), job.teacher(),
                     job.spec().dataset().sha256(), variants[TwinName(job)]++};
    if (groups.count(key) == 0) order.push_back(key);
    for (const auto& subject : job.result().evaluations(0).subjects()) {
      groups[key].push_back({SizeOf(job, size), subject.metrics().mae_bpm(), subject.subject(),
                             job.seed(), job.fold()});
      sizes[key].insert(SizeOf(job, size));
    }
  }
  std::vector<Json> rows;
  for (const LawKey& key : order) {
    if (sizes[key].size() < kMinSizes) continue;
    rows.push_back(FitRow(key, size, groups.at(key)));
  }
  return rows;
}

const std::vector<Column>& FitColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"family", "family", 0, {}},
      {"method", "method", 0, {}},
      {"teacher", "teacher", 0, {}},
      {"sizes", "sizes", 0, {}},
      {"E", "E", 0, [](const Json& row) { return WithInterval(row, "E", ""); }},
      {"alpha", "alpha", 0, [](const Json& row) { return WithInterval(row, "alpha", ""); }},
      {"r_squared", "R2", 3, {}},
  };
  return columns;
}

}  // namespace retort
