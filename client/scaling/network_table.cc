#include "client/scaling/network_table.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status.h"

namespace retort::scaling {
namespace {

std::string ArmOf(const TestedNetwork& network) {
  if (network.is_teacher) return kTeacherArm;
  if (network.method != "scratch") return network.method;
  return network.gaussian ? kGaussian : kOneHot;
}

std::string Describe(const TestedNetwork& network) {
  return absl::StrCat("network '", network.model, "', ", ArmOf(network), ", teacher '",
                      network.teacher, "', settings '", network.settings, "', fold ", network.fold,
                      ", seed ", network.seed);
}

absl::Status Check(const TestedNetwork& network) {
  const auto wrong = [&](const std::string& what) {
    return absl::InvalidArgumentError(absl::StrCat(Describe(network), ": ", what));
  };
  const auto good = [](double mae) { return std::isfinite(mae) && mae >= 0; };
  if (network.model.empty()) return wrong("the model has no name");
  if (network.family.empty()) return wrong("the family has no name");
  if (!network.is_teacher && network.method.empty()) return wrong("the method has no name");
  if (network.validation_mae_bpm && !good(*network.validation_mae_bpm)) {
    return wrong(absl::StrCat("validation_mae_bpm is ", *network.validation_mae_bpm,
                              "; a finite number from 0 is needed, or none"));
  }
  for (const SubjectErrors& subject : network.subjects) {
    if (subject.subject.empty()) return wrong("a subject has no name");
    for (const double mae : subject.mae_bpm) {
      if (!good(mae)) {
        return wrong(absl::StrCat("subject '", subject.subject, "': mae_bpm is ", mae,
                                  "; a finite number from 0 is needed"));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status CheckAll(const std::vector<TestedNetwork>& networks) {
  if (networks.empty()) return absl::InvalidArgumentError("networks: there are none to judge");
  std::set<std::string> seen;
  for (const TestedNetwork& network : networks) {
    RETORT_RETURN_IF_ERROR(Check(network));
    if (!seen.insert(Describe(network)).second) {
      return absl::InvalidArgumentError(
          Describe(network) + " is there twice; what tells the two apart belongs in settings");
    }
  }
  return absl::OkStatus();
}

ClusterLabels LabelsOf(const TestedNetwork& network, const SubjectErrors& subject) {
  return {subject.subject, network.fold, network.seed};
}

// Mean over networks; infinite if one has none, so that it is chosen last.
double MeanValidation(const std::vector<const TestedNetwork*>& networks) {
  double sum = 0;
  for (const TestedNetwork* network : networks)
    sum += network->validation_mae_bpm.value_or(std::numeric_limits<double>::infinity());
  return sum / static_cast<double>(networks.size());
}

}  // namespace

absl::StatusOr<NetworkTable> NetworkTable::Make(const std::vector<TestedNetwork>& networks) {
  RETORT_RETURN_IF_ERROR(CheckAll(networks));
  NetworkTable table;
  std::vector<ClusterLabels> labels;
  for (const TestedNetwork& network : networks) {
    for (const SubjectErrors& subject : network.subjects)
      labels.push_back(LabelsOf(network, subject));
  }
  table.clusters_ = Clusters(labels);
  table.Choose(networks);
  table.ListModels(networks);
  return table;
}

void NetworkTable::Choose(const std::vector<TestedNetwork>& networks) {
  std::map<Key, std::map<std::string, std::vector<const TestedNetwork*>>> variants;
  for (const TestedNetwork& network : networks) {
    variants[{ArmOf(network), network.model, network.is_teacher ? "" : network.teacher}]
            [network.settings]
                .push_back(&network);
  }
  std::map<std::string, size_t> trials;  // of each arm, the most that a student had
  bool blind = false;
  for (const auto& [key, by_settings] : variants) {
    const auto& [arm, model, teacher] = key;
    if (arm != kTeacherArm) trials[arm] = std::max(trials[arm], by_settings.size());
    const auto best =
        std::min_element(by_settings.begin(), by_settings.end(), [](const auto& a, const auto& b) {
          return MeanValidation(a.second) < MeanValidation(b.second);
        });
    const double validation = MeanValidation(best->second);
    blind = blind || (by_settings.size() > 1 && !std::isfinite(validation));
    Group& group = groups_[key];
    if (std::isfinite(validation)) group.validation_mae_bpm = validation;
    for (const TestedNetwork* network : best->second) {
      for (const SubjectErrors& subject : network->subjects) {
        const ClusterLabels labels = LabelsOf(*network, subject);
        group.cells.push_back({clusters_.SubjectOf(labels), clusters_.TrainingOf(labels),
                               clusters_.FoldOf(labels), subject.mae_bpm});
      }
    }
  }
  std::set<size_t> counts;
  std::vector<std::string> texts;
  for (const auto& [arm, count] : trials) {
    counts.insert(count);
    texts.push_back(absl::StrCat(arm, " ", count));
  }
  if (counts.size() > 1) {
    warnings_.push_back(
        absl::StrCat("settings were chosen on validation among different numbers of trials (",
                     absl::StrJoin(texts, ", "), "), which favours those with more"));
  }
  if (blind) {
    warnings_.push_back(
        "several settings without validation errors to choose by: the first by name was taken");
  }
}

void NetworkTable::ListModels(const std::vector<TestedNetwork>& networks) {
  std::map<std::string, ModelFacts> students, teachers;
  std::set<std::string> arms;
  for (const TestedNetwork& network : networks) {
    auto& models = network.is_teacher ? teachers : students;
    models.try_emplace(network.model, ModelFacts{network.model, network.family, network.params,
                                                 network.params_body, network.bytes,
                                                 network.latency_ms, network.latency_machine});
    if (network.is_teacher) continue;
    arms.insert(ArmOf(network));
    if (!network.teacher.empty()) teacher_names_.insert(network.teacher);
  }
  const auto sorted = [](const std::map<std::string, ModelFacts>& models) {
    std::vector<ModelFacts> list;
    for (const auto& [name, facts] : models) list.push_back(facts);
    std::stable_sort(list.begin(), list.end(), [](const ModelFacts& a, const ModelFacts& b) {
      return a.params_body < b.params_body;
    });
    return list;
  };
  students_ = sorted(students);
  teachers_ = sorted(teachers);
  for (const char* arm : {kOneHot, kGaussian}) {
    if (arms.erase(arm) > 0) scratch_arms_.emplace_back(arm);
  }
  for (const char* method : {"hard", "soft", "dkd", "feature"}) {
    if (arms.erase(method) > 0) methods_.emplace_back(method);
  }
  methods_.insert(methods_.end(), arms.begin(), arms.end());
}

const Group* NetworkTable::Find(const std::string& arm, const std::string& model,
                                const std::string& teacher) const {
  const auto at = groups_.find({arm, model, teacher});
  return at == groups_.end() ? nullptr : &at->second;
}

std::vector<ErrorCell> NetworkTable::CellsOf(const std::string& arm,
                                             const std::string& model) const {
  std::vector<ErrorCell> cells;
  for (const auto& [key, group] : groups_) {
    if (std::get<0>(key) != arm || std::get<1>(key) != model) continue;
    cells.insert(cells.end(), group.cells.begin(), group.cells.end());
  }
  return cells;
}

std::optional<std::string> NetworkTable::BetterScratch(const std::string& model) const {
  std::vector<std::pair<const Group*, std::string>> arms;
  for (const std::string& arm : scratch_arms_) {
    if (const Group* group = Find(arm, model, "")) arms.emplace_back(group, arm);
  }
  if (arms.size() == 1) return arms[0].second;
  std::optional<std::string> better;
  double least = std::numeric_limits<double>::infinity();
  for (const auto& [group, arm] : arms) {
    if (!group->validation_mae_bpm) return std::nullopt;
    if (*group->validation_mae_bpm >= least) continue;
    least = *group->validation_mae_bpm;
    better = arm;
  }
  return better;
}

}  // namespace retort::scaling
