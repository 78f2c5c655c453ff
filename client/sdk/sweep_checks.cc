#include "client/sdk/sweep_checks.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/spec/labels.h"
#include "common/spec/model_spec.h"
#include "common/spec/split.h"
#include "common/spec/train.h"

namespace retort {
namespace {

std::string TeacherLabel(const v1::NamedTeacher& teacher) {
  return teacher.has_given() ? teacher.name() : ModelLabel(teacher.model(), kTeacherDropout);
}
std::string StudentLabel(const v1::ModelSpec& student) {
  return ModelLabel(student, kStudentDropout);
}

// Axes that move together may repeat a value: what counts is the combination.
bool IsZipped(const v1::SweepSpec& spec, std::string_view axis) {
  for (const v1::ZipGroup& group : spec.zip()) {
    for (const std::string& name : group.axes()) {
      if (name == axis) return true;
    }
  }
  return false;
}

std::vector<std::string> DatasetNames(const v1::SweepSpec& spec) {
  std::vector<std::string> names;
  for (const v1::NamedDataset& dataset : spec.datasets()) names.push_back(dataset.name());
  return names;
}

template <typename Names>
absl::Status CheckDatasetNames(const SweepReader& reader, const v1::SweepSpec& spec,
                               const char* key, const Names& used) {
  const std::vector<std::string> known = DatasetNames(spec);
  for (int i = 0; i < used.size(); ++i) {
    if (SweepReader::IsOneOf(used[i], known)) continue;
    return reader.Fail(
        SweepReader::At(key, i),
        absl::StrCat("'", used[i], "' is no dataset of this file", Suggestion(used[i], known)));
  }
  return absl::OkStatus();
}

absl::Status CheckTeachers(const SweepReader& reader, const SweepDraft& draft) {
  std::set<std::string> seen;
  for (int i = 0; i < draft.spec.teachers_size(); ++i) {
    const v1::NamedTeacher& teacher = draft.spec.teachers(i);
    for (const std::string& name : std::set<std::string>{teacher.name(), TeacherLabel(teacher)}) {
      if (IsZipped(draft.spec, "teachers") || seen.insert(name).second) continue;
      return reader.Fail(draft.teacher_paths[i],
                         absl::StrCat("'", name,
                                      "' is already a teacher of this file; name and "
                                      "network must differ"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckStudents(const SweepReader& reader, const SweepDraft& draft) {
  if (IsZipped(draft.spec, "students")) return absl::OkStatus();
  std::set<std::string> seen;
  for (int i = 0; i < draft.spec.students_size(); ++i) {
    const std::string label = StudentLabel(draft.spec.students(i));
    if (seen.insert(label).second) continue;
    return reader.Fail(draft.student_paths[i],
                       absl::StrCat("'", label, "' is already a student of this file"));
  }
  return absl::OkStatus();
}

// Resolves one method's teachers to names.
absl::Status ResolveTeachers(const SweepReader& reader, const std::string& path,
                             const v1::SweepSpec& spec, v1::SweepMethod& method) {
  const std::string name = MethodName(method.method());
  if (!NeedsTeacher(method.method())) {
    if (method.teachers().empty()) return absl::OkStatus();
    return reader.Fail(path + ".teachers", name + " learns from no teacher; leave this key out");
  }
  if (spec.teachers().empty()) {
    return reader.Fail(path, absl::StrCat("'", name,
                                          "' learns from a teacher, and the file names "
                                          "none; add teachers: or leave it out"));
  }
  std::vector<std::string> known;
  for (const auto& teacher : spec.teachers()) known.push_back(teacher.name());
  for (int i = 0; i < method.teachers_size(); ++i) {
    std::string& wanted = *method.mutable_teachers(i);
    const auto found =
        std::find_if(spec.teachers().begin(), spec.teachers().end(), [&](const auto& teacher) {
          return teacher.name() == wanted || TeacherLabel(teacher) == wanted;
        });
    if (found == spec.teachers().end()) {
      return reader.Fail(
          SweepReader::At(path + ".teachers", i),
          absl::StrCat("'", wanted, "' is no teacher of this file", Suggestion(wanted, known)));
    }
    wanted = found->name();
  }
  return absl::OkStatus();
}

absl::Status CheckMethods(const SweepReader& reader, SweepDraft& draft) {
  v1::SweepSpec& spec = draft.spec;
  std::map<std::string, std::vector<std::set<std::string>>> seen;  // teachers by method's label
  for (int i = 0; i < spec.methods_size(); ++i) {
    v1::SweepMethod& method = *spec.mutable_methods(i);
    RETORT_RETURN_IF_ERROR(ResolveTeachers(reader, draft.method_paths[i], spec, method));
    std::set<std::string> teachers(method.teachers().begin(), method.teachers().end());
    const std::string label = MethodLabel(method.method());
    for (const auto& before :
         IsZipped(spec, "methods") ? decltype(seen)::mapped_type{} : seen[label]) {
      const bool overlap = before.empty() || teachers.empty() ||
                           std::any_of(teachers.begin(), teachers.end(),
                                       [&](const auto& name) { return before.count(name) > 0; });
      if (!overlap) continue;
      return reader.Fail(draft.method_paths[i],
                         absl::StrCat("'", label, "' is already a method of this file"));
    }
    seen[label].push_back(std::move(teachers));
  }
  return absl::OkStatus();
}

// Length of an axis, or -1 if there is no axis of that name.
int AxisLength(const v1::SweepSpec& spec, const std::string& axis) {
  if (axis == "train_on")
    return spec.train_on().empty() ? spec.datasets_size() : spec.train_on_size();
  if (axis == "teachers") return spec.teachers_size();
  if (axis == "students") return spec.students_size();
  if (axis == "methods") return spec.methods_size();
  if (axis == "seeds") return std::max(1, spec.seeds_size());
  for (const v1::TrainAxis& train : spec.train_axes()) {
    if (axis == "train." + train.field()) return train.values_size();
  }
  return -1;
}

absl::Status CheckZipGroup(const SweepReader& reader, const v1::SweepSpec& spec, int group,
                           std::set<std::string>& used) {
  std::vector<std::string> known = {"train_on", "teachers", "students", "methods", "seeds"};
  for (const std::string& field : FieldNames(v1::TrainSpec())) known.push_back("train." + field);
  const std::string path = SweepReader::At("zip", group);
  const auto& axes = spec.zip(group).axes();
  if (axes.size() < 2) {
    return reader.Fail(path, "one axis alone; a group needs at least two axes");
  }
  for (int i = 0; i < axes.size(); ++i) {
    const std::string here = SweepReader::At(path, i);
    const int length = AxisLength(spec, axes[i]);
    if (!SweepReader::IsOneOf(axes[i], known)) {
      return reader.Fail(here,
                         absl::StrCat("'", axes[i], "' is no axis", Suggestion(axes[i], known)));
    }
    if (length < 1) {
      return reader.Fail(here, absl::StrCat("'", axes[i],
                                            "' has no list of values in this file; "
                                            "give one or leave it out of zip"));
    }
    if (!used.insert(axes[i]).second) {
      return reader.Fail(here, absl::StrCat("'", axes[i], "' is already in another group"));
    }
    const int first = AxisLength(spec, axes[0]);
    if (length != first) {
      return reader.Fail(
          here, absl::StrCat("'", axes[i], "' has ", length, " values and '", axes[0], "' has ",
                             first, "; axes that move together have the same length"));
    }
  }
  return absl::OkStatus();
}

// Fails if the glob matches none of `labels`.
absl::Status CheckGlob(const SweepReader& reader, const std::string& path, const std::string& glob,
                       const char* what, const std::vector<std::string>& labels) {
  for (const std::string& label : labels) {
    if (GlobMatches(glob, label)) return absl::OkStatus();
  }
  return reader.Fail(path,
                     absl::StrCat("'", glob, "' matches no ", what, " of this file",
                                  labels.empty() ? "; there are none" : Suggestion(glob, labels)));
}

absl::Status CheckMatch(const SweepReader& reader, const v1::SweepSpec& spec,
                        const std::string& path, const v1::JobMatch& match) {
  std::vector<std::string> teachers, students, methods;
  for (const auto& teacher : spec.teachers()) {
    teachers.push_back(teacher.name());
    if (TeacherLabel(teacher) != teacher.name()) teachers.push_back(TeacherLabel(teacher));
  }
  for (const auto& student : spec.students()) students.push_back(StudentLabel(student));
  for (const auto& method : spec.methods()) {
    for (const std::string& name : {MethodName(method.method()), MethodLabel(method.method())}) {
      if (!SweepReader::IsOneOf(name, methods)) methods.push_back(name);
    }
  }
  if (match.has_teacher()) {
    RETORT_RETURN_IF_ERROR(
        CheckGlob(reader, path + ".teacher", match.teacher(), "teacher", teachers));
  }
  if (match.has_student()) {
    RETORT_RETURN_IF_ERROR(
        CheckGlob(reader, path + ".student", match.student(), "student", students));
  }
  if (match.has_method()) {
    RETORT_RETURN_IF_ERROR(CheckGlob(reader, path + ".method", match.method(), "method", methods));
  }
  if (match.has_dataset()) {
    const std::vector<std::string> train_on(spec.train_on().begin(), spec.train_on().end());
    const auto& known = train_on.empty() ? DatasetNames(spec) : train_on;
    if (!SweepReader::IsOneOf(match.dataset(), known)) {
      return reader.Fail(path + ".dataset",
                         absl::StrCat("'", match.dataset(), "' is no dataset that is trained on",
                                      Suggestion(match.dataset(), known)));
    }
  }
  std::vector<int64_t> seeds(spec.seeds().begin(), spec.seeds().end());
  if (seeds.empty()) seeds = {0};
  if (match.has_seed() && std::count(seeds.begin(), seeds.end(), match.seed()) == 0) {
    return reader.Fail(path + ".seed",
                       absl::StrCat(match.seed(), " is no seed of this file; expected one of: ",
                                    absl::StrJoin(seeds, ", ")));
  }
  if (match.has_fold() && !spec.folds().empty() &&
      std::count(spec.folds().begin(), spec.folds().end(), match.fold()) == 0) {
    return reader.Fail(path + ".fold",
                       absl::StrCat(match.fold(), " is no fold of split.folds; expected one of: ",
                                    absl::StrJoin(spec.folds(), ", ")));
  }
  return absl::OkStatus();
}

// Path of what chooses on validation subjects, or empty.
std::string ChoosesOnValidation(const v1::SweepSpec& spec) {
  if (spec.has_select()) return "select";
  if (spec.train().keep() == v1::KEEP_BEST) return "train.keep";
  for (const auto& axis : spec.train_axes()) {
    for (int i = 0; i < axis.values_size(); ++i) {
      if (axis.values(i).keep() == v1::KEEP_BEST) return SweepReader::At("train.keep", i);
    }
  }
  for (int i = 0; i < spec.overrides_size(); ++i) {
    if (spec.overrides(i).train().keep() == v1::KEEP_BEST) {
      return SweepReader::At("overrides", i) + ".train.keep";
    }
  }
  return "";
}

absl::Status NeedsValidation(const SweepReader& reader, const std::string& path) {
  return reader.Fail(path,
                     "chooses by the error on validation subjects, and the split leaves none; "
                     "set split.validation to at least 1");
}

// Training fields that speak of each other, in every combination of their values. Where an override
// or a zip decides which values meet, the coordinator judges each job.
absl::Status CheckTraining(const SweepReader& reader, const v1::SweepSpec& spec) {
  if (!spec.overrides().empty()) return absl::OkStatus();
  std::vector<v1::TrainSpec> combinations = {spec.train()};
  for (const v1::TrainAxis& axis : spec.train_axes()) {
    const bool speaks =
        SweepReader::IsOneOf(axis.field(), {"patience", "keep", "schedule", "microbatch", "batch"});
    if (!speaks) continue;
    if (IsZipped(spec, "train." + axis.field())) return absl::OkStatus();
    std::vector<v1::TrainSpec> longer;
    for (const v1::TrainSpec& before : combinations) {
      for (const v1::TrainSpec& value : axis.values()) {
        longer.push_back(before);
        longer.back().MergeFrom(value);
      }
    }
    constexpr size_t kMostCombinations = 10000;
    if (longer.size() > kMostCombinations) return absl::OkStatus();
    combinations = std::move(longer);
  }
  for (const v1::TrainSpec& train : combinations) {
    const auto agrees = CheckTrain(train);
    if (agrees.ok()) continue;
    const size_t colon = agrees.error().find(": ");
    return reader.Fail("train." + agrees.error().substr(0, colon),
                       agrees.error().substr(colon + 2));
  }
  return absl::OkStatus();
}

absl::Status CheckNetworks(const SweepReader& reader, const SweepDraft& draft, int samples) {
  const auto check = [&](const v1::ModelSpec& model, const std::string& path) {
    const auto cost = CostOf(model, samples);
    return cost.ok() ? absl::OkStatus() : reader.Fail(path, cost.error());
  };
  for (int i = 0; i < draft.spec.teachers_size(); ++i) {
    if (draft.spec.teachers(i).has_given()) continue;  // its file was checked
    RETORT_RETURN_IF_ERROR(check(draft.spec.teachers(i).model(), draft.teacher_paths[i]));
  }
  for (int i = 0; i < draft.spec.students_size(); ++i) {
    RETORT_RETURN_IF_ERROR(check(draft.spec.students(i), draft.student_paths[i]));
  }
  return absl::OkStatus();
}

// `split.kfold: 20; must...` of common/spec/split.h at the place of the key it names.
absl::Status FailAtSplit(const SweepReader& reader, const std::string& dataset,
                         const std::string& error) {
  const size_t colon = error.find(": ");
  const std::string path = colon == std::string::npos ? "split" : error.substr(0, colon);
  const std::string rest = colon == std::string::npos ? error : error.substr(colon + 2);
  return reader.Fail(path, absl::StrCat(rest, " (dataset '", dataset, "')"));
}

absl::Status CheckSplit(const SweepReader& reader, const SweepDraft& draft,
                        const v1::NamedDataset& dataset) {
  const v1::SweepSpec& spec = draft.spec;
  const std::vector<std::string> subjects(dataset.info().subjects().begin(),
                                          dataset.info().subjects().end());
  const auto folds = FoldCount(spec.split(), static_cast<int>(subjects.size()));
  if (!folds.ok()) return FailAtSplit(reader, dataset.name(), folds.error());
  const auto check_fold = [&](int fold, const std::string& path) -> absl::Status {
    if (fold < *folds) return absl::OkStatus();
    return reader.Fail(
        path, absl::StrCat(fold, "; must be from 0 to ", *folds - 1, ": the split of ", "dataset '",
                           dataset.name(), "' has ", *folds, " folds"));
  };
  for (int i = 0; i < spec.folds_size(); ++i) {
    RETORT_RETURN_IF_ERROR(check_fold(spec.folds(i), SweepReader::At("split.folds", i)));
  }
  for (int i = 0; i < spec.exclude_size(); ++i) {
    RETORT_RETURN_IF_ERROR(
        check_fold(spec.exclude(i).fold(), SweepReader::At("exclude", i) + ".fold"));
  }
  for (int i = 0; i < spec.overrides_size(); ++i) {
    RETORT_RETURN_IF_ERROR(
        check_fold(spec.overrides(i).match().fold(), SweepReader::At("overrides", i) + ".fold"));
  }
  for (int fold = 0; fold < *folds; ++fold) {
    const auto split = SplitSubjects(spec.split(), subjects, fold);
    if (!split.ok()) return FailAtSplit(reader, dataset.name(), split.error());
    const std::string chooser = ChoosesOnValidation(spec);
    if (!chooser.empty() && split->validation.empty()) return NeedsValidation(reader, chooser);
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckReferences(const SweepReader& reader, SweepDraft& draft) {
  const v1::SweepSpec& spec = draft.spec;
  RETORT_RETURN_IF_ERROR(CheckDatasetNames(reader, spec, "train_on", spec.train_on()));
  RETORT_RETURN_IF_ERROR(CheckDatasetNames(reader, spec, "evaluate", spec.evaluate()));
  if (spec.teachers().empty() && spec.students().empty()) {
    return reader.Fail("", "students: missing; a sweep needs students, teachers or both");
  }
  if (!spec.students().empty() && spec.methods().empty()) {
    return reader.Fail("", "methods: missing; students need methods, such as [scratch, soft]");
  }
  if (spec.students().empty() && !spec.methods().empty()) {
    return reader.Fail("methods", "there are no students to learn by them; add students:");
  }
  RETORT_RETURN_IF_ERROR(CheckTeachers(reader, draft));
  RETORT_RETURN_IF_ERROR(CheckStudents(reader, draft));
  RETORT_RETURN_IF_ERROR(CheckMethods(reader, draft));
  std::set<std::string> zipped;
  for (int i = 0; i < spec.zip_size(); ++i) {
    RETORT_RETURN_IF_ERROR(CheckZipGroup(reader, spec, i, zipped));
  }
  if (!IsZipped(spec, "seeds")) {
    std::set<int64_t> seen;
    for (int i = 0; i < spec.seeds_size(); ++i) {
      if (seen.insert(spec.seeds(i)).second) continue;
      return reader.Fail(SweepReader::At("seeds", i),
                         absl::StrCat(spec.seeds(i), "; each seed may stand once"));
    }
  }
  for (int i = 0; i < spec.exclude_size(); ++i) {
    RETORT_RETURN_IF_ERROR(
        CheckMatch(reader, spec, SweepReader::At("exclude", i), spec.exclude(i)));
  }
  for (int i = 0; i < spec.overrides_size(); ++i) {
    RETORT_RETURN_IF_ERROR(
        CheckMatch(reader, spec, SweepReader::At("overrides", i), spec.overrides(i).match()));
  }
  RETORT_RETURN_IF_ERROR(CheckTraining(reader, spec));
  const std::string chooser = ChoosesOnValidation(spec);
  if (!chooser.empty() && spec.split().has_validation() && spec.split().validation() == 0) {
    return NeedsValidation(reader, chooser);
  }
  return absl::OkStatus();
}

absl::Status CheckAgainstDatasets(const SweepReader& reader, const SweepDraft& draft) {
  const v1::SweepSpec& spec = draft.spec;
  std::map<std::string, std::string> by_hash;
  for (const v1::NamedDataset& dataset : spec.datasets()) {
    const auto [at, is_new] = by_hash.emplace(dataset.info().sha256(), dataset.name());
    if (!is_new) {
      return reader.Fail("datasets." + dataset.name(),
                         absl::StrCat("holds the same bytes as dataset '", at->second, "'"));
    }
    const bool trained_on =
        spec.train_on().empty() ||
        std::count(spec.train_on().begin(), spec.train_on().end(), dataset.name()) > 0;
    if (!trained_on) continue;
    RETORT_RETURN_IF_ERROR(CheckSplit(reader, draft, dataset));
    RETORT_RETURN_IF_ERROR(CheckNetworks(reader, draft, dataset.info().samples()));
  }
  const int samples = spec.datasets(0).info().samples();
  for (const v1::NamedDataset& dataset : spec.datasets()) {
    if (dataset.info().samples() == samples) continue;
    return reader.Fail("datasets." + dataset.name(),
                       absl::StrCat("windows of ", dataset.info().samples(), " samples; dataset '",
                                    spec.datasets(0).name(), "' has ", samples,
                                    ", and all of a sweep must agree"));
  }
  return absl::OkStatus();
}

}  // namespace retort
