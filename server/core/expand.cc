#include "server/core/expand.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "common/fields.h"
#include "common/spec/given_teacher.h"
#include "common/spec/labels.h"
#include "common/spec/model_spec.h"
#include "common/spec/split.h"
#include "common/spec/stages.h"
#include "common/spec/train.h"
#include "common/spec/training_memory.h"
#include "common/status.h"
#include "common/training_id.h"
#include "server/core/axes.h"
#include "server/core/expand_parts.h"
#include "server/core/sweep_check.h"

namespace retort::core {
namespace {

// More combinations than this for each allowed job cannot all collapse: refuse before walking
// through them.
constexpr int64_t kCombinationsPerJob = 16;

// Up to the next eighth of a power of two: an estimate is no better, and queues keep jobs apart by
// their need (queue.h).
int64_t RoundedMemory(int64_t bytes) {
  int64_t unit = 1;
  while (unit < bytes / 16) unit *= 2;
  return (bytes + unit - 1) / unit * unit;
}

// The jobs of one sweep in the making.
class Expander {
 public:
  Expander(const v1::SweepSpec& sweep, const ExpandLimits& limits)
      : sweep_(sweep),
        limits_(limits),
        exclude_used_(static_cast<size_t>(sweep.exclude_size())),
        override_used_(static_cast<size_t>(sweep.overrides_size())) {}

  absl::StatusOr<Expansion> Run();

 private:
  absl::Status Read();
  Network ReadNetwork(const v1::ModelSpec& model, const std::string& name, double usual_dropout);
  Network ReadTeacher(const v1::NamedTeacher& teacher);
  Method ReadMethod(const v1::SweepMethod& method) const;
  absl::Status ReadFolds();
  void ReadDataSizes();
  absl::Status AddTeacher(const Choice& choice, const Fold& fold);
  absl::Status AddStudent(const Choice& choice, const Fold& fold);
  // What students that differ in seed and teacher's job alone have in common. Seeds are the fastest
  // axis: it is mostly what it was, and most of a job's cost. Valid until the next call.
  struct Common {
    Choice choice;                   // that it was made for
    std::optional<TrainingIds> ids;  // none yet
    int32_t pattern = 0;
  };
  absl::StatusOr<const Common*> CommonOf(const Choice& choice, const Fold& fold,
                                         const Parts& parts);
  // One more job, unless it is there.
  void Add(const JobId& id, int32_t pattern, int64_t seed, int32_t teacher);
  // True if an exclusion holds. One that names neither student nor method speaks of teachers too.
  bool Excluded(const Parts& parts);
  Parts PartsOf(const Choice& choice, const Fold& fold) const;
  v1::TrainSpec TrainOf(const Choice& choice, const Parts& parts, const Network& network);
  // True if the override speaks of this job.
  bool Applies(const v1::Override& override, const Parts& parts) const;
  // What the job needs of a slot: what the sweep says, else an estimate.
  void SetMemory(NewJob& job, const v1::TrainingSpec& spec, const Choice& choice, const Fold& fold,
                 const Parts& parts) const;
  // Without seed.
  v1::TrainingSpec SpecOf(const Choice& choice, const Fold& fold, const Network& network) const;
  // Without id, seed and teacher.
  NewJob JobOf(const v1::TrainingSpec& spec, const Choice& choice, const Fold& fold,
               const Network& network) const;
  absl::Status CheckUsed() const;
  absl::Status CheckCount() const;

  const v1::DatasetInfo& Dataset(const Choice& choice) const {
    return sweep_.datasets(train_on_[static_cast<size_t>(choice.train_on)]).info();
  }
  int64_t Seed(const Choice& choice) const {
    return sweep_.seeds().empty() ? 0 : sweep_.seeds(choice.seed);
  }

  const v1::SweepSpec& sweep_;
  const ExpandLimits limits_;
  std::vector<Network> teachers_;
  std::vector<Network> students_;
  std::vector<Method> methods_;
  std::vector<int> train_on_;             // indices into datasets
  std::vector<std::vector<Fold>> folds_;  // of each of train_on_
  std::vector<double> data_bytes_;    // of all datasets of a job that trains on each of train_on_
  std::vector<double> largest_data_;  // the largest of these
  std::vector<bool> exclude_used_;
  std::vector<bool> override_used_;
  // (train_on, teacher, seed, fold) -> position of its one teacher: a student has no other to learn
  // from.
  std::map<std::tuple<int, int, int64_t, int>, int32_t> teacher_jobs_;
  Expansion jobs_;                              // all teachers, then all students
  absl::flat_hash_map<JobId, int32_t> places_;  // of jobs_
  absl::flat_hash_map<int, Common> common_;     // by fold
};

Network Expander::ReadNetwork(const v1::ModelSpec& model, const std::string& name,
                              double usual_dropout) {
  Network network;
  network.label = ModelLabel(model, usual_dropout);
  network.name = name.empty() ? network.label : name;
  network.model = model;
  FillModelDefaults(network.model, usual_dropout);
  network.cost = *CostOf(network.model, sweep_.datasets(0).info().samples());  // was checked
  return network;
}

// Its file, and so its network, is named by hash alone.
Network Expander::ReadTeacher(const v1::NamedTeacher& teacher) {
  if (!teacher.has_given()) return ReadNetwork(teacher.model(), teacher.name(), kTeacherDropout);
  Network network;
  network.given = &teacher;
  network.label = network.name = teacher.name();
  network.model = teacher.model();
  network.seen = *SubjectsSeen(sweep_, teacher);  // was checked
  return network;
}

Method Expander::ReadMethod(const v1::SweepMethod& method) const {
  Method out;
  out.name = MethodName(method.method());
  out.label = MethodLabel(method.method());
  out.spec = method.method();
  FillDefaults(out.spec);
  if (out.spec.has_dkd() && !out.spec.dkd().has_ce_weight()) {
    out.spec.mutable_dkd()->set_ce_weight(1 - out.spec.dkd().lambda());
  }
  if (out.spec.has_feature()) {
    // Said and left out is one job.
    auto& feature = *out.spec.mutable_feature();
    if (feature.student_stage() == kPenultimate) feature.clear_student_stage();
    if (feature.teacher_stage() == kPenultimate) feature.clear_teacher_stage();
  }
  const auto& names = method.teachers();
  for (const Network& teacher : teachers_) {
    out.teachers.push_back(
        NeedsTeacher(method.method()) &&
        (names.empty() || std::find(names.begin(), names.end(), teacher.name) != names.end()));
  }
  return out;
}

absl::Status Expander::ReadFolds() {
  for (const int index : train_on_) {
    const auto& info = sweep_.datasets(index).info();
    const std::vector<std::string> subjects(info.subjects().begin(), info.subjects().end());
    const std::string where = absl::StrCat("datasets.", sweep_.datasets(index).name());
    const auto count = ToStatusOr(FoldCount(sweep_.split(), info.subjects_size()));
    if (!count.ok()) return Annotate(count.status(), where);
    std::vector<int> numbers(sweep_.folds().begin(), sweep_.folds().end());
    if (numbers.empty()) {
      for (int i = 0; i < *count; ++i) numbers.push_back(i);
    }
    std::vector<Fold> folds;
    for (const int number : numbers) {
      if (number < 0 || number >= *count) {
        return absl::InvalidArgumentError(
            absl::StrCat("split.folds: ", number, "; must be from 0 to ", *count - 1));
      }
      const auto parts = ToStatusOr(SplitSubjects(sweep_.split(), subjects, number));
      if (!parts.ok()) return Annotate(parts.status(), where);
      if (sweep_.has_select() && parts->validation.empty()) {
        return absl::InvalidArgumentError(
            "select.by: val.mae_bpm needs validation subjects; split.validation must be 1 or more");
      }
      Fold fold;
      fold.number = number;
      fold.split = sweep_.split();
      FillDefaults(fold.split);
      if (!fold.split.loso()) fold.split.clear_loso();
      fold.split.set_validation(static_cast<int>(parts->validation.size()));
      fold.train_share = static_cast<double>(parts->train.size()) / info.subjects_size();
      fold.held_out = parts->validation;
      fold.held_out.insert(fold.held_out.end(), parts->test.begin(), parts->test.end());
      folds.push_back(std::move(fold));
    }
    folds_.push_back(std::move(folds));
  }
  return absl::OkStatus();
}

void Expander::ReadDataSizes() {
  for (const int index : train_on_) {
    std::set<int> used = {index};
    for (const std::string& name : sweep_.evaluate()) used.insert(DatasetIndex(sweep_, name));
    double all = 0, largest = 0;
    for (const int one : used) {
      const auto bytes = static_cast<double>(sweep_.datasets(one).info().size_bytes());
      all += bytes;
      largest = std::max(largest, bytes);
    }
    data_bytes_.push_back(all);
    largest_data_.push_back(largest);
  }
}

absl::Status Expander::Read() {
  RETORT_RETURN_IF_ERROR(CheckSweep(sweep_));
  for (const std::string& name : sweep_.train_on()) {
    train_on_.push_back(DatasetIndex(sweep_, name));
  }
  for (int i = 0; sweep_.train_on().empty() && i < sweep_.datasets_size(); ++i) {
    train_on_.push_back(i);
  }
  ReadDataSizes();
  for (const auto& teacher : sweep_.teachers()) {
    teachers_.push_back(ReadTeacher(teacher));
  }
  for (const auto& student : sweep_.students()) {
    students_.push_back(ReadNetwork(student, "", kStudentDropout));
  }
  for (const auto& method : sweep_.methods()) methods_.push_back(ReadMethod(method));
  return ReadFolds();
}

Parts Expander::PartsOf(const Choice& choice, const Fold& fold) const {
  Parts parts;
  parts.seed = Seed(choice);
  parts.fold = fold.number;
  parts.dataset = &sweep_.datasets(train_on_[static_cast<size_t>(choice.train_on)]).name();
  return parts;
}

bool Expander::Excluded(const Parts& parts) {
  bool excluded = false;
  for (int i = 0; i < sweep_.exclude_size(); ++i) {
    if (!Matches(sweep_.exclude(i), parts)) continue;
    exclude_used_[static_cast<size_t>(i)] = true;
    excluded = true;
  }
  return excluded;
}

bool Expander::Applies(const v1::Override& override, const Parts& parts) const {
  // What names only a teacher speaks of the training of that teacher, all else of students.
  const auto& match = override.match();
  const bool of_teacher = match.has_teacher() && !match.has_student() && !match.has_method();
  const bool is_teacher = parts.student == nullptr;
  return of_teacher == is_teacher && Matches(match, parts);
}

void Expander::SetMemory(NewJob& job, const v1::TrainingSpec& spec, const Choice& choice,
                         const Fold& fold, const Parts& parts) const {
  double gib = sweep_.memory_gib();
  for (const auto& override : sweep_.overrides()) {
    if (override.has_memory_gib() && Applies(override, parts)) gib = override.memory_gib();
  }
  job.memory_hinted = gib > 0;
  if (job.memory_hinted) {
    job.memory_bytes = static_cast<int64_t>(gib * (int64_t{1} << 30));
    return;
  }
  const auto& info = Dataset(choice);
  TrainingData data;
  data.samples = info.samples();
  data.channels = info.channels();
  data.train_windows = static_cast<double>(info.windows()) * fold.train_share;
  data.dataset_bytes = data_bytes_[static_cast<size_t>(choice.train_on)];
  data.largest_dataset = largest_data_[static_cast<size_t>(choice.train_on)];
  // A given teacher's file is read whole, and what it says of the windows is kept.
  if (parts.teacher != nullptr && parts.teacher->given != nullptr) {
    data.dataset_bytes += 3 * static_cast<double>(parts.teacher->given->given_size_bytes());
  }
  job.memory_bytes =
      RoundedMemory(TrainingMemoryBytes(spec, data).value());  // the networks were checked
}

v1::TrainSpec Expander::TrainOf(const Choice& choice, const Parts& parts, const Network& network) {
  v1::TrainSpec train = sweep_.train();
  for (int i = 0; i < sweep_.train_axes_size(); ++i) {
    train.MergeFrom(sweep_.train_axes(i).values(choice.train[static_cast<size_t>(i)]));
  }
  for (int i = 0; i < sweep_.overrides_size(); ++i) {
    if (!Applies(sweep_.overrides(i), parts)) continue;
    override_used_[static_cast<size_t>(i)] = true;
    train.MergeFrom(sweep_.overrides(i).train());
  }
  FillDefaults(train);
  if (!train.has_peak_lr()) {
    const int64_t params = network.cost.params();
    train.set_peak_lr(params < 20'000 ? 1e-2 : params < 250'000 ? 5e-3 : 2e-3);
  }
  ClearNeutral(train);
  return train;
}

v1::TrainingSpec Expander::SpecOf(const Choice& choice, const Fold& fold,
                                  const Network& network) const {
  v1::TrainingSpec spec;
  spec.set_trainer_version(kTrainerVersion);
  spec.mutable_dataset()->set_sha256(Dataset(choice).sha256());
  for (const std::string& name : sweep_.evaluate()) {
    spec.add_evaluate()->set_sha256(sweep_.datasets(DatasetIndex(sweep_, name)).info().sha256());
  }
  if (sweep_.evaluate().empty()) spec.add_evaluate()->set_sha256(Dataset(choice).sha256());
  *spec.mutable_split() = fold.split;
  spec.set_fold(fold.number);
  *spec.mutable_model() = network.model;
  return spec;
}

NewJob Expander::JobOf(const v1::TrainingSpec& spec, const Choice& choice, const Fold& fold,
                       const Network& network) const {
  NewJob job;
  job.spec = spec.SerializeAsString();
  job.model = network.label;
  job.fold = fold.number;
  job.epochs = spec.train().epochs();
  job.dataset = spec.dataset().sha256();
  job.batch = spec.train().batch();
  job.peak_lr = spec.train().peak_lr();
  const auto& info = Dataset(choice);
  const double channels = spec.train().channels() == v1::CHANNEL_DRAW_EACH ? info.channels() : 1;
  job.expected_cost = static_cast<double>(network.cost.macs()) *
                      static_cast<double>(info.windows()) * fold.train_share * channels *
                      job.epochs;
  return job;
}

absl::Status CheckTraining(const v1::TrainingSpec& spec) {
  if (const auto agrees = CheckTrain(spec.train()); !agrees.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("train.", agrees.error()));
  }
  if (spec.train().keep() != v1::KEEP_BEST || spec.split().validation() > 0) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      "train.keep: best needs validation subjects; split.validation must be 1 or more");
}

absl::Status Expander::AddTeacher(const Choice& choice, const Fold& fold) {
  const std::tuple key(choice.train_on, choice.teacher, Seed(choice), fold.number);
  if (teacher_jobs_.contains(key)) return absl::OkStatus();
  const Network& teacher = teachers_[static_cast<size_t>(choice.teacher)];
  if (teacher.given != nullptr) return absl::OkStatus();
  Parts parts = PartsOf(choice, fold);
  parts.teacher = &teacher;
  if (Excluded(parts)) return absl::OkStatus();
  v1::TrainingSpec spec = SpecOf(choice, fold, teacher);
  spec.mutable_method()->mutable_scratch();
  FillDefaults(*spec.mutable_method());
  *spec.mutable_train() = TrainOf(choice, parts, teacher);
  RETORT_RETURN_IF_ERROR(CheckTraining(spec));
  NewJob job = JobOf(spec, choice, fold, teacher);
  job.kind = JobKind::kTeacher;
  job.method = MethodLabel(spec.method());
  SetMemory(job, spec, choice, fold, parts);
  const JobId id = TrainingIds(spec).Of(Seed(choice), std::nullopt);
  Add(id, jobs_.AddPattern(std::move(job)), Seed(choice), Expansion::kNoTeacher);
  teacher_jobs_.emplace(key, places_.at(id));
  return absl::OkStatus();
}

void Expander::Add(const JobId& id, int32_t pattern, int64_t seed, int32_t teacher) {
  if (places_.emplace(id, static_cast<int32_t>(jobs_.size())).second) {
    jobs_.Add(id, pattern, seed, teacher);
  }
}

absl::Status Expander::AddStudent(const Choice& choice, const Fold& fold) {
  const Network& student = students_[static_cast<size_t>(choice.student)];
  const Method& method = methods_[static_cast<size_t>(choice.method)];
  Parts parts = PartsOf(choice, fold);
  parts.student = &student;
  parts.method = &method;
  const bool needs_teacher = NeedsTeacher(method.spec);
  if (needs_teacher) {
    if (!method.teachers[static_cast<size_t>(choice.teacher)]) return absl::OkStatus();
    parts.teacher = &teachers_[static_cast<size_t>(choice.teacher)];
  }
  if (Excluded(parts)) return absl::OkStatus();
  RETORT_ASSIGN_OR_RETURN(const Common* common, CommonOf(choice, fold, parts));
  int32_t teacher = Expansion::kNoTeacher;
  if (needs_teacher && parts.teacher->given != nullptr) {
    const auto& data = sweep_.datasets(train_on_[static_cast<size_t>(choice.train_on)]);
    RETORT_RETURN_IF_ERROR(
        ToStatusOr(CheckTaught(*parts.teacher->given, data, method.spec)).status());
  } else if (needs_teacher) {
    // Of the same dataset, seed and fold: another fold's teacher has seen this one's test subjects.
    const auto trained =
        teacher_jobs_.find(std::tuple(choice.train_on, choice.teacher, Seed(choice), fold.number));
    if (trained == teacher_jobs_.end()) {
      return absl::InternalError(absl::StrCat("no job trains ", parts.teacher->name, " for ",
                                              student.label, " in fold ", fold.number));
    }
    teacher = trained->second;
  }
  const auto teacher_id =
      teacher == Expansion::kNoTeacher ? std::nullopt : std::optional(jobs_.id(teacher));
  Add(common->ids->Of(Seed(choice), teacher_id), common->pattern, Seed(choice), teacher);
  return absl::OkStatus();
}

absl::StatusOr<const Expander::Common*> Expander::CommonOf(const Choice& choice, const Fold& fold,
                                                           const Parts& parts) {
  Common& common = common_[fold.number];
  const bool same = common.choice.train_on == choice.train_on &&
                    common.choice.student == choice.student &&
                    common.choice.method == choice.method &&
                    common.choice.teacher == choice.teacher && common.choice.train == choice.train;
  // Overrides may speak of seeds.
  if (same && common.ids.has_value() && sweep_.overrides().empty()) return &common;
  common.choice = choice;
  common.ids.reset();
  v1::TrainingSpec spec = SpecOf(choice, fold, *parts.student);
  *spec.mutable_method() = parts.method->spec;
  *spec.mutable_train() = TrainOf(choice, parts, *parts.student);
  RETORT_RETURN_IF_ERROR(CheckTraining(spec));
  const bool given = parts.teacher != nullptr && parts.teacher->given != nullptr;
  if (parts.teacher != nullptr) *spec.mutable_teacher_model() = parts.teacher->model;
  v1::TrainingSpec needs = spec;  // of memory
  if (given) {
    spec.clear_teacher_model();  // the file says it, and the hash names the file
    *spec.mutable_given_teacher() = parts.teacher->given->given();
    if (parts.teacher->model.family_case() == v1::ModelSpec::FAMILY_NOT_SET) {
      needs.clear_teacher_model();
    }
    *needs.mutable_given_teacher() = spec.given_teacher();
  }
  if (const auto stages = CheckStages(needs); !stages.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("methods: ", stages.error(), " (student ", parts.student->label, ")"));
  }
  NewJob job = JobOf(spec, choice, fold, *parts.student);
  job.method = parts.method->label;
  if (given) {
    const bool scripted = parts.teacher->given->given().has_torchscript_sha256();
    job.kind = scripted ? JobKind::kScripted : JobKind::kStudent;
    job.teacher_label =
        GivenLabel(parts.teacher->name,
                   LeakOf(sweep_, *parts.teacher->given, parts.teacher->seen,
                          train_on_[static_cast<size_t>(choice.train_on)], fold.held_out));
  } else if (parts.teacher != nullptr) {
    job.teacher_label = parts.teacher->label;
  }
  SetMemory(job, needs, choice, fold, parts);
  common.pattern = jobs_.AddPattern(std::move(job));
  common.ids.emplace(spec);
  return &common;
}

absl::Status Expander::CheckUsed() const {
  for (size_t i = 0; i < exclude_used_.size(); ++i) {
    if (exclude_used_[i]) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("exclude[", i, "]: {", sweep_.exclude(static_cast<int>(i)).ShortDebugString(),
                     "} matches no job; must match at least one"));
  }
  for (size_t i = 0; i < override_used_.size(); ++i) {
    if (override_used_[i]) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "overrides[", i, "]: {", sweep_.overrides(static_cast<int>(i)).match().ShortDebugString(),
        "} matches no job that is not excluded; must match at least one"));
  }
  return absl::OkStatus();
}

absl::Status Expander::CheckCount() const {
  const int64_t jobs = jobs_.size();
  if (jobs == 0) {
    return absl::InvalidArgumentError("exclude: leaves no job; must leave at least one");
  }
  if (sweep_.budget().has_jobs() && jobs > sweep_.budget().jobs()) {
    return absl::InvalidArgumentError(
        absl::StrCat("budget.jobs: ", sweep_.budget().jobs(), "; the sweep has ", jobs,
                     " jobs, so it must be at least that, or the grid smaller"));
  }
  if (jobs > limits_.jobs) {
    return absl::InvalidArgumentError(
        absl::StrCat("the sweep has ", jobs, " jobs; must be at most ", limits_.jobs));
  }
  return absl::OkStatus();
}

absl::StatusOr<Expansion> Expander::Run() {
  RETORT_RETURN_IF_ERROR(Read());
  RETORT_ASSIGN_OR_RETURN(const Axes axes, Axes::Of(sweep_, static_cast<int>(train_on_.size())));
  if (axes.size() > limits_.jobs * kCombinationsPerJob) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the grid has ", axes.size(), " combinations for each fold; must have at most ",
        limits_.jobs * kCombinationsPerJob));
  }
  // Room for all there may be, so that a hundred thousand jobs are not moved while they grow.
  size_t most_folds = 1;
  for (const auto& folds : folds_) most_folds = std::max(most_folds, folds.size());
  const int64_t most = std::min(limits_.jobs, axes.size() * static_cast<int64_t>(most_folds));
  jobs_.Reserve(most);
  places_.reserve(static_cast<size_t>(most));
  // Teachers first, all of them, also those that no method needs.
  for (const bool teachers : {true, false}) {
    if ((teachers ? teachers_ : students_).empty()) continue;
    for (int64_t n = 0; n < axes.size(); ++n) {
      const Choice choice = axes.At(n);
      for (const Fold& fold : folds_[static_cast<size_t>(choice.train_on)]) {
        RETORT_RETURN_IF_ERROR(teachers ? AddTeacher(choice, fold) : AddStudent(choice, fold));
      }
      if (jobs_.size() > limits_.jobs) return CheckCount();
    }
  }
  RETORT_RETURN_IF_ERROR(CheckUsed());
  RETORT_RETURN_IF_ERROR(CheckCount());
  return std::move(jobs_);
}

}  // namespace

absl::StatusOr<Expansion> Expand(const v1::SweepSpec& sweep, const ExpandLimits& limits) {
  return Expander(sweep, limits).Run();
}

}  // namespace retort::core
