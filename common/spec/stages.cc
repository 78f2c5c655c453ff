#include "common/spec/stages.h"

#include "common/spec/labels.h"
#include "common/spec/model_spec.h"

namespace retort {

std::vector<Stage> StagesOf(const v1::ModelSpec& model) {
  std::vector<Stage> stages;
  if (model.has_mlp()) {
    for (int i = 0; i < model.mlp().depth(); ++i) {
      stages.push_back({"hidden" + std::to_string(i), model.mlp().width()});
    }
  } else {
    stages.push_back({"stem", model.resnet1d().base()});
    for (const ResNetBlock& block : ResNetBlocks(model.resnet1d(), /*samples=*/1)) {
      stages.push_back({"block" + std::to_string(stages.size() - 1), block.out_channels});
    }
  }
  stages.push_back({kPenultimate, stages.back().channels});
  return stages;
}

Expected<int> StageIndex(const v1::ModelSpec& model, const std::string& name) {
  const std::vector<Stage> stages = StagesOf(model);
  if (name.empty()) return static_cast<int>(stages.size()) - 1;
  std::string all;
  for (size_t i = 0; i < stages.size(); ++i) {
    if (stages[i].name == name) return static_cast<int>(i);
    all += (i == 0 ? "" : ", ") + stages[i].name;
  }
  return Error{"'" + name + "' is no stage of this network; must be one of: " + all};
}

Expected<bool> CheckStages(const v1::TrainingSpec& spec) {
  const auto compared = FeaturesOf(spec.method());
  if (!compared) return true;
  const std::string method = MethodName(spec.method());
  const auto student = StageIndex(spec.model(), compared->student_stage);
  if (!student.ok()) return Error{method + ".student_stage: " + student.error()};
  const std::string& stage = compared->teacher_stage;
  if (spec.given_teacher().has_outputs_sha256() || spec.given_teacher().has_torchscript_sha256()) {
    if (stage.empty()) return true;
    return Error{method + ".teacher_stage: '" + stage +
                 "'; a teacher given as outputs or as a module has the features of one stage, so "
                 "leave it out"};
  }
  if (!spec.has_teacher_model()) return true;
  const auto teacher = StageIndex(spec.teacher_model(), stage);
  if (!teacher.ok()) return Error{method + ".teacher_stage: " + teacher.error()};
  return true;
}

}  // namespace retort
