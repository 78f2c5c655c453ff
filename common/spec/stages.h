// The places in a network whose features the method `feature` can compare. Pure.
#ifndef RETORT_COMMON_SPEC_STAGES_H_
#define RETORT_COMMON_SPEC_STAGES_H_

#include <string>
#include <vector>

#include "common/spec/expected.h"
#include "retort/v1/spec.pb.h"

namespace retort {

// A place in a network whose output can be compared with another network's.
struct Stage {
  std::string name;
  int channels = 0;
};
inline constexpr char kPenultimate[] = "penultimate";

// `stem`, `block0`... of resnet1d, `hidden0`... of mlp, in order; then `penultimate`.
std::vector<Stage> StagesOf(const v1::ModelSpec& model);

// The index of the stage of that name, of the last where it is empty. Error: the name, and those
// that the network has.
Expected<int> StageIndex(const v1::ModelSpec& model, const std::string& name);

// Whether the stages that spec.method names are there. The teacher's is checked where spec says its
// model; what is given as outputs or as a module has no stages to choose from. Error: the field,
// its value, and what would be right.
Expected<bool> CheckStages(const v1::TrainingSpec& spec);

}  // namespace retort

#endif  // RETORT_COMMON_SPEC_STAGES_H_
