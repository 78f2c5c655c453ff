#include "client/cli/groups.h"

#include <fnmatch.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/rows.h"
#include "client/scaling/jackknife.h"
#include "common/fields.h"
#include "common/spec/train.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr double kConfidence = 0.95;

Json TextOrNull(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

bool IsZipped(const v1::SweepSpec& sweep, const std::string& axis) {
  for (const v1::ZipGroup& group : sweep.zip()) {
    if (std::find(group.axes().begin(), group.axes().end(), axis) != group.axes().end())
      return true;
  }
  return false;
}

// Training fields among which nobody chooses: jobs that differ in them share no row.
std::vector<std::string> FieldsOfGroups(const v1::SweepSpec& sweep) {
  std::vector<std::string> names;
  if (sweep.has_select()) return names;
  for (const v1::TrainAxis& axis : sweep.train_axes()) {
    if (!IsZipped(sweep, "train." + axis.field())) names.push_back(axis.field());
  }
  return names;
}

// ------------------------------------------------------------------------------------------ filter

bool Matches(const std::string& pattern, const std::string& text) {
  return fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

// One condition: a flag, what it asks for, and the names that a job has for it.
template <typename NamesOf>
absl::Status Narrow(const char* flag, const std::vector<std::string>& patterns,
                    const SweepResults& results, std::vector<bool>& kept, const NamesOf& names_of) {
  if (patterns.empty()) return absl::OkStatus();
  std::set<std::string> known;
  std::vector<bool> used(patterns.size(), false);
  for (size_t i = 0; i < results.jobs.size(); ++i) {
    bool any = false;
    for (const std::string& name : names_of(results.jobs[i])) {
      known.insert(name);
      for (size_t p = 0; p < patterns.size(); ++p) {
        if (!Matches(patterns[p], name)) continue;
        used[p] = true;
        any = true;
      }
    }
    kept[i] = kept[i] && any;
  }
  for (size_t p = 0; p < patterns.size(); ++p) {
    if (used[p]) continue;
    const std::vector<std::string> names(known.begin(), known.end());
    return absl::InvalidArgumentError(
        absl::StrCat("--", flag, ": '", patterns[p],
                     "' matches no job of the sweep; there are: ", absl::StrJoin(names, ", ")));
  }
  return absl::OkStatus();
}

std::vector<std::string> Texts(const std::vector<int64_t>& numbers) {
  std::vector<std::string> texts;
  for (const int64_t number : numbers) texts.push_back(std::to_string(number));
  return texts;
}

// ------------------------------------------------------------------------------------------ groups

// The error of one job on one subject.
struct Error {
  scaling::ClusterLabels labels;
  double mae_bpm;
};

double MeanWithout(const std::vector<Error>& errors, const scaling::Clusters& clusters,
                   const scaling::LeftOut& left_out) {
  SubjectMean mean;
  for (const Error& error : errors) {
    if (left_out.subject == clusters.SubjectOf(error.labels)) continue;
    if (left_out.training == clusters.TrainingOf(error.labels)) continue;
    mean.Add(error.labels.subject, error.mae_bpm);
  }
  return mean.Mean();
}

// Of the mean over subjects; nothing where subjects are too few to judge by.
std::optional<scaling::Interval> IntervalOf(const std::vector<Error>& errors) {
  std::vector<scaling::ClusterLabels> labels;
  for (const Error& error : errors) labels.push_back(error.labels);
  const scaling::Clusters clusters(labels);
  if (clusters.subjects() < scaling::kMinSubjects) return std::nullopt;
  const auto means = [&](const scaling::LeftOut& left_out) -> std::optional<std::vector<double>> {
    const double mean = MeanWithout(errors, clusters, left_out);
    if (!std::isfinite(mean)) return std::nullopt;
    return std::vector<double>{mean};
  };
  const auto whole = means({});
  const scaling::JackknifeResult jackknife =
      scaling::Jackknife(clusters, 1, scaling::LeaveFoldsOut::kNo, means);
  if (!whole || jackknife.uncertainty.empty()) return std::nullopt;
  return scaling::ConfidenceInterval(whole->at(0), jackknife.uncertainty[0], kConfidence);
}

// A value that all jobs of a group share.
class Shared {
 public:
  void Add(const Json& value) {
    if (!value_) value_ = value;
    if (*value_ != value) value_ = Json(nullptr);
  }
  Json Value() const { return value_.value_or(nullptr); }

 private:
  std::optional<Json> value_;
};

// Jobs that share a row.
class Group {
 public:
  void Add(const v1::Job& job, const std::string& train) {
    ++jobs_;
    const v1::Evaluation& headline = job.result().evaluations(0);
    for (const auto& subject : headline.subjects()) {
      errors_.push_back({{subject.subject(), job.fold(), job.seed()}, subject.metrics().mae_bpm()});
      mae_.Add(subject.subject(), subject.metrics().mae_bpm());
      argmax_.Add(subject.subject(), subject.metrics().mae_argmax_bpm());
      all_channels_.Add(subject.subject(), subject.metrics().mae_all_channels_bpm());
    }
    const v1::HeartRateMetrics& overall = headline.overall();
    const auto weight = static_cast<double>(overall.windows());
    windows_ += weight;
    within_5_ += weight * overall.within_5_bpm();
    within_10_ += weight * overall.within_10_bpm();
    const v1::ModelCost& cost = job.result().cost();
    latency_ms_ += cost.latency_ms();
    seeds_.insert(job.seed());
    folds_.insert(job.fold());
    const std::pair<const char*, Json> values[] = {{"kind", KindName(job.kind())},
                                                   {"student", job.model()},
                                                   {"method", job.method()},
                                                   {"teacher", TextOrNull(job.teacher())},
                                                   {"train", TextOrNull(train)},
                                                   {"seed", job.seed()},
                                                   {"fold", job.fold()},
                                                   {"params", cost.params()},
                                                   {"params_body", cost.params_body()},
                                                   {"macs", cost.macs()},
                                                   {"size_bytes", cost.size_bytes()}};
    for (const auto& [key, value] : values) shared_[key].Add(value);
  }

  Json Row() const {
    const auto interval = IntervalOf(errors_);
    Json row;
    for (const std::string& key : GroupKeys()) row[key] = shared_.at(key).Value();
    row["jobs"] = jobs_;
    row["seeds"] = seeds_.size();
    row["folds"] = folds_.size();
    row["subjects"] = mae_.subjects();
    row["mae_bpm"] = Number(mae_.Mean());
    row["mae_low_bpm"] = interval ? Number(interval->low) : Json(nullptr);
    row["mae_high_bpm"] = interval ? Number(interval->high) : Json(nullptr);
    row["mae_argmax_bpm"] = Number(argmax_.Mean());
    row["mae_all_channels_bpm"] = Number(all_channels_.Mean());
    row["within_5_bpm"] = Number(within_5_ / windows_);
    row["within_10_bpm"] = Number(within_10_ / windows_);
    for (const char* key : {"params", "params_body", "macs", "size_bytes"}) {
      row[key] = shared_.at(key).Value();
    }
    row["latency_ms"] = row["student"].is_null() ? Json(nullptr) : Number(latency_ms_ / jobs_);
    return row;
  }

 private:
  int jobs_ = 0;
  std::vector<Error> errors_;
  SubjectMean mae_, argmax_, all_channels_;
  double within_5_ = 0, within_10_ = 0, windows_ = 0;  // shares weighted by windows
  double latency_ms_ = 0;
  std::set<int64_t> seeds_;
  std::set<int> folds_;
  std::map<std::string, Shared> shared_;
};

std::string KeyOf(const v1::Job& job, const std::string& train,
                  const std::vector<std::string>& keys) {
  const std::map<std::string, std::string> parts = {{"kind", KindName(job.kind())},
                                                    {"student", job.model()},
                                                    {"method", job.method()},
                                                    {"teacher", job.teacher()},
                                                    {"train", train},
                                                    {"seed", std::to_string(job.seed())},
                                                    {"fold", std::to_string(job.fold())}};
  std::string all;
  for (const std::string& key : keys) absl::StrAppend(&all, parts.at(key), "\n");
  return all;
}

absl::Status UnknownKey(const char* flag, const std::string& key,
                        const std::vector<std::string>& known) {
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": '", key, "' is not there", Suggestion(key, known)));
}

std::vector<std::string> KeysOf(const Json& row) {
  std::vector<std::string> keys;
  for (const auto& item : row.items()) keys.push_back(item.key());
  return keys;
}

}  // namespace

double SubjectMean::Mean() const {
  double sum = 0;
  for (const auto& [subject, entry] : by_subject_) sum += entry.first / entry.second;
  return by_subject_.empty() ? std::numeric_limits<double>::quiet_NaN()
                             : sum / static_cast<double>(by_subject_.size());
}

absl::StatusOr<SweepResults> Filtered(const SweepResults& results, const ResultFilter& filter) {
  using Names = std::vector<std::string>;
  std::vector<bool> kept(results.jobs.size(), true);
  RETORT_RETURN_IF_ERROR(Narrow("method", filter.methods, results, kept, [](const v1::Job& job) {
    const std::string name = job.method().substr(0, job.method().find('('));
    return name == job.method() ? Names{name} : Names{job.method(), name};
  }));
  RETORT_RETURN_IF_ERROR(Narrow("student", filter.students, results, kept,
                                [](const v1::Job& job) { return Names{job.model()}; }));
  RETORT_RETURN_IF_ERROR(Narrow("teacher", filter.teachers, results, kept, [](const v1::Job& job) {
    return job.teacher().empty() ? Names{} : Names{job.teacher()};
  }));
  RETORT_RETURN_IF_ERROR(Narrow("kind", filter.kinds, results, kept,
                                [](const v1::Job& job) { return Names{KindName(job.kind())}; }));
  RETORT_RETURN_IF_ERROR(Narrow("seed", Texts(filter.seeds), results, kept, [](const v1::Job& job) {
    return Names{std::to_string(job.seed())};
  }));
  RETORT_RETURN_IF_ERROR(Narrow("fold", Texts(filter.folds), results, kept, [](const v1::Job& job) {
    return Names{std::to_string(job.fold())};
  }));
  std::set<std::string> states(filter.states.begin(), filter.states.end());
  for (const std::string& state : states) RETORT_RETURN_IF_ERROR(ParseJobState(state).status());
  SweepResults out{results.sweep, {}, {}};
  for (size_t i = 0; i < results.jobs.size(); ++i) {
    const bool in_state = states.empty() || states.contains(StateName(results.jobs[i].state()));
    if (!kept[i] || !in_state) continue;
    out.jobs.push_back(results.jobs[i]);
    out.selected.push_back(results.selected[i]);
  }
  return out;
}

const std::vector<std::string>& GroupKeys() {
  static const auto& keys = *new std::vector<std::string>{"kind",  "student", "method", "teacher",
                                                          "train", "seed",    "fold"};
  return keys;
}

absl::StatusOr<std::vector<Json>> GroupedBy(const SweepResults& results,
                                            const std::vector<std::string>& keys) {
  for (const std::string& key : keys) {
    if (std::find(GroupKeys().begin(), GroupKeys().end(), key) == GroupKeys().end()) {
      return UnknownKey("group", key, GroupKeys());
    }
  }
  // Groups stand in the order in which the sweep names them.
  const std::vector<std::string> fields = FieldsOfGroups(results.sweep.spec());
  std::vector<Group> groups;
  std::map<std::string, size_t> index;
  for (size_t i = 0; i < results.jobs.size(); ++i) {
    if (!results.selected[i]) continue;
    const v1::Job& job = results.jobs[i];
    const std::string train = TrainText(job.spec().train(), fields);
    const auto [at, is_new] = index.try_emplace(KeyOf(job, train, keys), groups.size());
    if (is_new) groups.emplace_back();
    groups[at->second].Add(job, train);
  }
  std::vector<Json> rows;
  for (const Group& group : groups) rows.push_back(group.Row());
  return rows;
}

std::vector<Json> GroupedRows(const SweepResults& results) {
  return GroupedBy(results, {"kind", "student", "method", "teacher", "train"}).value();
}

absl::Status SortRows(const std::string& key, bool descending, std::vector<Json>& rows) {
  if (rows.empty()) return absl::OkStatus();
  if (!rows[0].contains(key)) return UnknownKey("sort", key, KeysOf(rows[0]));
  std::stable_sort(rows.begin(), rows.end(), [&](const Json& a, const Json& b) {
    if (a[key].is_null() || b[key].is_null()) return !a[key].is_null() && b[key].is_null();
    return descending ? b[key] < a[key] : a[key] < b[key];
  });
  return absl::OkStatus();
}

absl::Status KeepColumns(const std::vector<std::string>& keys, std::vector<Json>& rows) {
  if (keys.empty() || rows.empty()) return absl::OkStatus();
  for (const std::string& key : keys) {
    if (!rows[0].contains(key)) return UnknownKey("columns", key, KeysOf(rows[0]));
  }
  for (Json& row : rows) {
    Json kept = Json::object();
    for (const std::string& key : keys) kept[key] = row[key];
    row = std::move(kept);
  }
  return absl::OkStatus();
}

// ---------------------------------------------------------------------------------------- columns

namespace {

std::string Within5Text(const Json& row) {
  const Json& share = row.at("within_5_bpm");
  return share.is_null() ? "-" : absl::StrFormat("%.0f%%", 100 * share.get<double>());
}

// Half of the interval of the error.
std::string HalfIntervalText(const Json& row) {
  const Json &low = row.at("mae_low_bpm"), &high = row.at("mae_high_bpm");
  if (low.is_null() || high.is_null()) return "-";
  return Fixed((high.get<double>() - low.get<double>()) / 2, 2);
}

// `13812` is `13.8k`.
std::string ParamsText(const Json& row) {
  const Json& count = row.at("params");
  if (count.is_null()) return "-";
  const double value = count.get<double>();
  if (value < 10000) return absl::StrFormat("%.0f", value);
  if (value < 1e6) return absl::StrFormat("%.1fk", value / 1e3);
  return absl::StrFormat("%.1fM", value / 1e6);
}

}  // namespace

const std::vector<Column>& GroupedColumns() {
  static const auto& columns = *new std::vector<Column>{
      {"kind", "kind", 0, {}},
      {"student", "model", 0, {}},
      {"method", "method", 0, {}},
      {"teacher", "teacher", 0, {}},
      {"jobs", "n", 0, {}},
      {"mae_bpm", "MAE", 2, {}},
      {"mae_high_bpm", "+-", 2, HalfIntervalText},
      {"mae_argmax_bpm", "argmax", 2, {}, Room::kSpare},
      {"within_5_bpm", "<=5", 0, Within5Text},
      {"params", "params", 0, ParamsText},
      {"latency_ms", "ms", 2, {}},
  };
  return columns;
}

}  // namespace retort
