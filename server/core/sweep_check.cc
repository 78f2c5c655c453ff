#include "server/core/sweep_check.h"

#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/fields.h"
#include "common/ids.h"
#include "common/names.h"
#include "common/spec/given_teacher.h"
#include "common/spec/labels.h"
#include "common/spec/model_spec.h"
#include "common/status.h"

namespace retort::core {
namespace {

constexpr int kMostSubjects = 100'000;

absl::Status Wrong(const std::string& message) { return absl::InvalidArgumentError(message); }

std::vector<std::string> DatasetNames(const v1::SweepSpec& sweep) {
  std::vector<std::string> names;
  for (const auto& dataset : sweep.datasets()) names.push_back(dataset.name());
  return names;
}

std::vector<std::string> TeacherNames(const v1::SweepSpec& sweep) {
  std::vector<std::string> names;
  for (const auto& teacher : sweep.teachers()) names.push_back(teacher.name());
  return names;
}

absl::Status CheckDatasets(const v1::SweepSpec& sweep) {
  if (sweep.datasets().empty()) return Wrong("datasets: must name at least one");
  std::set<std::string> names;
  for (const auto& dataset : sweep.datasets()) {
    const std::string where = absl::StrCat("datasets.", dataset.name());
    const auto& info = dataset.info();
    if (dataset.name().empty() || !names.insert(dataset.name()).second) {
      return Wrong(absl::StrCat(where, ": must have a name of its own"));
    }
    RETORT_RETURN_IF_ERROR(
        Annotate(ArtifactHash::FromHex(info.sha256()).status(), absl::StrCat(where, ".sha256")));
    if (info.windows() < 1 || info.channels() < 1 || info.samples() < 1 ||
        info.subjects().empty() || info.subjects_size() > kMostSubjects) {
      return Wrong(absl::StrCat(where, ": has ", info.windows(), " windows of ", info.channels(),
                                " channels and ", info.samples(), " samples of ",
                                info.subjects_size(), " subjects; must have at least one of each"));
    }
    if (info.samples() != sweep.datasets(0).info().samples()) {
      return Wrong(absl::StrCat(where, ": has windows of ", info.samples(), " samples; must be ",
                                sweep.datasets(0).info().samples(), " like those of ",
                                sweep.datasets(0).name()));
    }
  }
  for (const auto& [field, list] :
       {std::pair{"train_on", &sweep.train_on()}, std::pair{"evaluate", &sweep.evaluate()}}) {
    std::set<std::string> seen;
    for (const std::string& name : *list) {
      if (DatasetIndex(sweep, name) < 0) {
        return Wrong(absl::StrCat(field, ": no dataset '", name, "'",
                                  Suggestion(name, DatasetNames(sweep))));
      }
      if (!seen.insert(name).second) {
        return Wrong(absl::StrCat(field, ": '", name, "' is there twice; must be once"));
      }
    }
  }
  return absl::OkStatus();
}

// A teacher that is a file.
absl::Status CheckGiven(const v1::SweepSpec& sweep, const v1::NamedTeacher& teacher,
                        const std::string& where) {
  const v1::GivenTeacher& given = teacher.given();
  if (teacher.name().empty()) return Wrong(absl::StrCat(where, ".name: must be set: it is given"));
  RETORT_RETURN_IF_ERROR(
      Annotate(ArtifactHash::FromHex(HashOf(given)).status(), absl::StrCat(where, ".given")));
  if (teacher.given_size_bytes() < 1) {
    return Wrong(absl::StrCat(where, ".given_size_bytes: ", teacher.given_size_bytes(),
                              "; must be the size of the file"));
  }
  if (teacher.has_model() != given.has_weights_sha256()) {
    return Wrong(absl::StrCat(where, ".model: must be set for given weights, and only for them"));
  }
  if (given.has_outputs_sha256()) {
    RETORT_RETURN_IF_ERROR(
        Annotate(ArtifactHash::FromHex(teacher.outputs_dataset_sha256()).status(),
                 absl::StrCat(where, ".outputs_dataset_sha256")));
  }
  return Annotate(ToStatusOr(SubjectsSeen(sweep, teacher)).status(),
                  absl::StrCat(where, ".trained_on"));
}

absl::Status CheckNetworks(const v1::SweepSpec& sweep) {
  const int samples = sweep.datasets(0).info().samples();
  std::set<std::string> names;
  for (int i = 0; i < sweep.teachers_size(); ++i) {
    const auto& teacher = sweep.teachers(i);
    const std::string where = absl::StrCat("teachers[", i, "]");
    if (teacher.has_given()) RETORT_RETURN_IF_ERROR(CheckGiven(sweep, teacher, where));
    if (!teacher.has_given() && !teacher.trained_on().empty()) {
      return Wrong(
          absl::StrCat(where, ".trained_on: must be left out: jobs of the sweep train it"));
    }
    if (!teacher.has_given() || teacher.has_model()) {
      RETORT_RETURN_IF_ERROR(
          Annotate(ToStatusOr(CostOf(teacher.model(), samples)).status(), where));
    }
    const std::string name =
        teacher.name().empty() ? ModelLabel(teacher.model(), kTeacherDropout) : teacher.name();
    if (!names.insert(name).second) {
      return Wrong(absl::StrCat(where, ": the name '", name, "' is taken; must be its own"));
    }
  }
  for (int i = 0; i < sweep.students_size(); ++i) {
    RETORT_RETURN_IF_ERROR(Annotate(ToStatusOr(CostOf(sweep.students(i), samples)).status(),
                                    absl::StrCat("students[", i, "]")));
  }
  return absl::OkStatus();
}

absl::Status CheckMethods(const v1::SweepSpec& sweep) {
  if (sweep.students().empty() != sweep.methods().empty()) {
    return Wrong(sweep.students().empty()
                     ? "students: must have at least one, as there are methods"
                     : "methods: must have at least one, as there are students");
  }
  if (sweep.students().empty() && sweep.teachers().empty()) {
    return Wrong("students: the grid is empty; must have at least one student and one method");
  }
  for (int i = 0; i < sweep.methods_size(); ++i) {
    const auto& method = sweep.methods(i);
    const std::string name = MethodName(method.method());
    if (name.empty()) {
      return Wrong(absl::StrCat("methods[", i, "]: must be scratch, hard, soft, dkd or feature"));
    }
    const std::string where = absl::StrCat("methods[", i, "].", name);
    if (NeedsTeacher(method.method()) && sweep.teachers().empty()) {
      return Wrong(
          absl::StrCat(where, ": learns from a teacher; `teachers` must have at least one"));
    }
    if (!NeedsTeacher(method.method()) && !method.teachers().empty()) {
      return Wrong(absl::StrCat(where, ".teachers: must be left out, as it needs no teacher"));
    }
    const auto names = TeacherNames(sweep);
    for (const std::string& teacher : method.teachers()) {
      if (std::find(names.begin(), names.end(), teacher) == names.end()) {
        return Wrong(absl::StrCat(where, ".teachers: no teacher '", teacher, "'",
                                  Suggestion(teacher, names)));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTrain(const v1::SweepSpec& sweep) {
  std::set<std::string> fields;
  for (const auto& axis : sweep.train_axes()) {
    if (axis.values().empty() || !fields.insert(axis.field()).second) {
      return Wrong(
          absl::StrCat("train.", axis.field(), ": must be one list with at least one value"));
    }
  }
  const std::pair<const char*, int> matches[] = {{"exclude", sweep.exclude_size()},
                                                 {"overrides", sweep.overrides_size()}};
  for (const auto& [field, count] : matches) {
    for (int i = 0; i < count; ++i) {
      const auto& match =
          std::string(field) == "exclude" ? sweep.exclude(i) : sweep.overrides(i).match();
      if (match.ByteSizeLong() == 0) {
        return Wrong(absl::StrCat(field, "[", i, "]: names nothing; must have at least one of ",
                                  "teacher, student, method, seed, fold, dataset"));
      }
    }
  }
  for (const int64_t seed : sweep.seeds()) {
    if (seed < 0) return Wrong(absl::StrCat("seeds: ", seed, "; must be 0 or more"));
  }
  if (sweep.has_select() && sweep.select().by() != "val.mae_bpm") {
    return Wrong(absl::StrCat("select.by: '", sweep.select().by(), "'; must be val.mae_bpm"));
  }
  return absl::OkStatus();
}

}  // namespace

int DatasetIndex(const v1::SweepSpec& sweep, const std::string& name) {
  for (int i = 0; i < sweep.datasets_size(); ++i) {
    if (sweep.datasets(i).name() == name) return i;
  }
  return -1;
}

absl::Status CheckSweep(const v1::SweepSpec& sweep) {
  RETORT_RETURN_IF_ERROR(Annotate(CheckSweepName(sweep.name()), "name"));
  if (sweep.description().size() > 4096) {
    return Wrong(absl::StrCat("description: has ", sweep.description().size(),
                              " bytes; must be at most 4096"));
  }
  RETORT_RETURN_IF_ERROR(CheckRules(sweep, ""));
  RETORT_RETURN_IF_ERROR(CheckDatasets(sweep));
  RETORT_RETURN_IF_ERROR(CheckNetworks(sweep));
  RETORT_RETURN_IF_ERROR(CheckMethods(sweep));
  return CheckTrain(sweep);
}

}  // namespace retort::core
