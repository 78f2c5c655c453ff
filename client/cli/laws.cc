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

// Training values that overrides give to single methods, as where each has its own tuned learning
// rate: they are part of the method, and its twins need not share them. Not those that the sweep
// varies, which tell jobs of one method apart.
std::set<std::string> FieldsOfMethods(const v1::SweepSpec& sweep) {
  std::set<std::string> names;
  for (const v1::Override& changed : sweep.overrides()) {
    if (!changed.match().has_method()) continue;
    std::vector<const google::protobuf::FieldDescriptor*> fields;
    changed.train().GetReflection()->ListFields(changed.train(), &fields);
    for (const auto* field : fields) names.insert(field->name());
  }
  for (const v1::TrainAxis& axis : sweep.train_axes()) names.erase(axis.field());
  return names;
}

// Training values and data, which a pair must share. Where the sweep selects among training values
// each method has its own best ones, and only the data is shared.
std::string SettingsOf(const v1::Job& job, const v1::SweepSpec& sweep,
                       const std::set<std::string>& own) {
  const std::string data = job.spec().dataset().sha256();
  if (sweep.has_select()) return data;
  v1::TrainSpec train = job.spec().train();
  for (const std::string& name : own) {
    train.GetReflection()->ClearField(&train, train.GetDescriptor()->FindFieldByName(name));
  }
  return absl::StrCat(data, " ", train.ShortDebugString());
}

std::vector<scaling::Outcome> Outcomes(const SweepResults& results) {
  std::vector<scaling::Outcome> outcomes;
  const v1::SweepSpec& sweep = results.sweep.spec();
  const std::set<std::string> own = FieldsOfMethods(sweep);
  for (size_t i = 0; i < results.jobs.size(); ++i) {
    const v1::Job& job = results.jobs[i];
    if (!results.selected[i] || job.kind() != v1::JOB_KIND_STUDENT) continue;
    scaling::Outcome outcome;
    outcome.method = job.method();
    outcome.scratch = job.spec().method().has_scratch();
    outcome.student = job.model();
    outcome.teacher = job.teacher();
    outcome.settings = SettingsOf(job, sweep, own);
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

// Mean over subjects of a teacher's error in its jobs of the sweep, by dataset and model.
std::map<std::pair<std::string, std::string>, double> TeacherLosses(const SweepResults& results) {
  using Key = std::pair<std::string, std::string>;
  std::map<Key, std::map<std::string, std::pair<double, int>>> sums;
  for (size_t i = 0; i < results.jobs.size(); ++i) {
    const v1::Job& job = results.jobs[i];
    if (!results.selected[i] || job.kind() != v1::JOB_KIND_TEACHER) continue;
    for (const auto& subject : job.result().evaluations(0).subjects()) {
      auto& [sum, count] = sums[{job.spec().dataset().sha256(), job.model()}][subject.subject()];
      sum += subject.metrics().mae_bpm();
      ++count;
    }
  }
  std::map<Key, double> losses;
  for (const auto& [key, subjects] : sums) {
    double& loss = losses[key];
    for (const auto& [name, sum] : subjects)
      loss += sum.first / sum.second / static_cast<double>(subjects.size());
  }
  return losses;
}

// The second size of a student's job: what the form needs to know of its teacher.
class TeacherSizes {
 public:
  TeacherSizes(const SweepResults& results, const std::string& size, scaling::Form form) {
    if (form == scaling::Form::kDistill) {
      sizes_ = TeacherLosses(results);
      return;
    }
    for (size_t i = 0; i < results.jobs.size(); ++i) {
      const v1::Job& job = results.jobs[i];
      if (!results.selected[i] || job.kind() != v1::JOB_KIND_TEACHER) continue;
      sizes_[{job.spec().dataset().sha256(), job.model()}] = SizeOf(job, size);
    }
  }

  // Nothing for students without a teacher, and for those of teachers that the sweep did not train.
  std::optional<double> Of(const v1::Job& job) const {
    const auto at = sizes_.find({job.spec().dataset().sha256(), job.teacher()});
    return at == sizes_.end() ? std::nullopt : std::optional(at->second);
  }

 private:
  std::map<std::pair<std::string, std::string>, double> sizes_;
};

Json LabelsOf(const LawKey& key) {
  return {{"family", key.family},
          {"method", key.method},
          {"teacher", key.teacher.empty() ? Json(nullptr) : Json(key.teacher)},
          {"dataset", key.dataset},
          {"variant", key.variant}};
}

// Losses of the students of each law.
struct LawGroups {
  std::vector<LawKey> order;
  std::map<LawKey, std::vector<scaling::Observation>> rows;
};

LawGroups GroupsOf(const SweepResults& results, const std::string& size,
                   std::optional<scaling::Form> form) {
  const bool two = form && scaling::SizeVariables(*form) == 2;
  const TeacherSizes teachers(results, size, form.value_or(scaling::Form::kPower));
  LawGroups groups;
  std::map<std::string, int> variants;
  for (size_t i = 0; i < results.jobs.size(); ++i) {
    const v1::Job& job = results.jobs[i];
    if (!results.selected[i] || job.kind() != v1::JOB_KIND_STUDENT) continue;
    const auto size2 = two ? teachers.Of(job) : 0;
    if (!size2) continue;
    const LawKey key{FamilyOf(job.model()), job.method(), two ? "" : job.teacher(),
                     job.spec().dataset().sha256(), variants[TwinName(job)]++};
    if (groups.rows.count(key) == 0) groups.order.push_back(key);
    for (const auto& subject : job.result().evaluations(0).subjects()) {
      groups.rows[key].push_back({SizeOf(job, size), subject.metrics().mae_bpm(), subject.subject(),
                                  job.seed(), job.fold(), *size2});
    }
  }
  return groups;
}

size_t DistinctSizes(const std::vector<scaling::Observation>& rows) {
  std::set<double> sizes;
  for (const scaling::Observation& row : rows) sizes.insert(row.size);
  return sizes.size();
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

std::vector<Json> FitRows(const SweepResults& results, const std::string& size,
                          const FitRequest& request) {
  const LawGroups groups = GroupsOf(results, size, request.form);
  const bool two = request.form && scaling::SizeVariables(*request.form) == 2;
  const std::string size2 = !two                                      ? ""
                            : request.form == scaling::Form::kDistill ? "teacher_mae_bpm"
                                                                      : "teacher_" + size;
  std::vector<Json> rows;
  for (const LawKey& key : groups.order) {
    const auto& observations = groups.rows.at(key);
    if (DistinctSizes(observations) < kMinSizes) continue;
    rows.push_back(FitRow(LabelsOf(key), size, size2, observations, request));
    if (key.variant == 0) continue;
    rows.back()["warnings"].push_back(
        "students were trained with several training values: each has its own law, in the order "
        "of the sweep file; `select` would choose among them on validation");
  }
  return rows;
}

const std::vector<Column>& FitLabels() {
  static const auto& columns = *new std::vector<Column>{
      {"family", "family", 0, {}}, {"method", "method", 0, {}}, {"teacher", "teacher", 0, {}}};
  return columns;
}

const std::vector<Column>& FitColumns() {
  static const auto& columns = *new std::vector<Column>(LawColumns(FitLabels(), {}));
  return columns;
}

}  // namespace retort
