#include "common/spec/given_teacher.h"

#include <algorithm>
#include <cstddef>

#include "common/spec/labels.h"

namespace retort {
namespace {

constexpr char kExternal[] = "external:";

}  // namespace

std::string HashOf(const v1::GivenTeacher& given) {
  switch (given.source_case()) {
    case v1::GivenTeacher::kWeightsSha256:
      return given.weights_sha256();
    case v1::GivenTeacher::kOutputsSha256:
      return given.outputs_sha256();
    case v1::GivenTeacher::kTorchscriptSha256:
      return given.torchscript_sha256();
    case v1::GivenTeacher::SOURCE_NOT_SET:
      return "";
  }
  return "";
}

Expected<std::vector<std::vector<bool>>> SubjectsSeen(const v1::SweepSpec& sweep,
                                                      const v1::NamedTeacher& teacher) {
  std::vector<std::vector<bool>> seen;
  for (const auto& dataset : sweep.datasets()) {
    seen.emplace_back(static_cast<size_t>(dataset.info().subjects_size()), false);
  }
  for (const std::string& entry : teacher.trained_on()) {
    if (entry.rfind(kExternal, 0) == 0 && entry.size() > sizeof kExternal - 1) continue;
    const size_t slash = entry.find('/');
    const std::string name = entry.substr(0, slash);
    const std::string glob = slash == std::string::npos ? "*" : entry.substr(slash + 1);
    bool known = false;
    for (int d = 0; d < sweep.datasets_size(); ++d) {
      if (sweep.datasets(d).name() != name) continue;
      const auto& subjects = sweep.datasets(d).info().subjects();
      for (int s = 0; s < subjects.size(); ++s) {
        if (!GlobMatches(glob, subjects[s])) continue;
        seen[static_cast<size_t>(d)][static_cast<size_t>(s)] = true;
        known = true;
      }
    }
    if (known) continue;
    return Error{"'" + entry +
                 "' names no subject of this sweep's datasets; must be DATASET, DATASET/SUBJECT "
                 "(* stands for anything), or external:NAME for other data"};
  }
  return seen;
}

Leak LeakOf(const v1::SweepSpec& sweep, const v1::NamedTeacher& teacher,
            const std::vector<std::vector<bool>>& seen, int trained_on,
            const std::vector<int>& held_out) {
  if (teacher.trained_on().empty()) return Leak::kUnknown;
  for (const int subject : held_out) {
    if (seen[static_cast<size_t>(trained_on)][static_cast<size_t>(subject)]) return Leak::kOverlap;
  }
  for (int d = 0; d < sweep.datasets_size(); ++d) {
    const auto& names = sweep.evaluate();
    const bool tested =
        std::find(names.begin(), names.end(), sweep.datasets(d).name()) != names.end();
    if (d == trained_on || !tested) continue;
    const auto& all = seen[static_cast<size_t>(d)];
    if (std::find(all.begin(), all.end(), true) != all.end()) return Leak::kOverlap;
  }
  return Leak::kNone;
}

Expected<bool> CheckTaught(const v1::NamedTeacher& teacher, const v1::NamedDataset& dataset,
                           const v1::MethodSpec& method) {
  if (!teacher.given().has_outputs_sha256()) return true;
  if (teacher.outputs_dataset_sha256() != dataset.info().sha256()) {
    return Error{"teachers: the outputs of '" + teacher.name() +
                 "' are for the dataset with SHA-256 " + teacher.outputs_dataset_sha256() + "; '" +
                 dataset.name() + "', which is trained on, has " + dataset.info().sha256() +
                 ". Outputs for it would be right, or exclude: [{teacher: " + teacher.name() +
                 ", dataset: " + dataset.name() + "}]"};
  }
  if (FeaturesOf(method) && teacher.outputs_features() == 0) {
    return Error{"methods: feature learns from a teacher's features, and the outputs of '" +
                 teacher.name() +
                 "' have none; a tensor 'features' in them would be right, or `teachers:` of the "
                 "method without it"};
  }
  return true;
}

std::string GivenLabel(const std::string& name, Leak leak) {
  switch (leak) {
    case Leak::kNone:
      return name;
    case Leak::kUnknown:
      return name + " (trained_on unknown)";
    case Leak::kOverlap:
      return name + " (HAS SEEN TEST SUBJECTS)";
  }
  return name;
}

}  // namespace retort
