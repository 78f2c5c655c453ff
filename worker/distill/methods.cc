#include "worker/distill/methods.h"

#include <string>

#include "common/spec/labels.h"
#include "worker/distill/failure.h"

// One line for each method: its name in spec.proto, and its loss, which stands in method_NAME.cc.
// clang-format off
#define RETORT_METHODS(METHOD)  \
  METHOD("scratch", ScratchLoss) \
  METHOD("hard", HardLoss)       \
  METHOD("soft", SoftLoss)       \
  METHOD("dkd", DkdLoss)         \
  METHOD("feature", FeatureLoss)
// clang-format on

namespace retort::distill {

#define RETORT_DECLARE(name, loss) \
  Loss loss(const v1::MethodSpec& method, const LossInputs& inputs, int epoch);
RETORT_METHODS(RETORT_DECLARE)

Loss ComputeLoss(const v1::MethodSpec& method, const LossInputs& inputs, int epoch) {
  const std::string wanted = MethodName(method);
#define RETORT_CHOOSE(name, loss) \
  if (wanted == name) return loss(method, inputs, epoch);
  RETORT_METHODS(RETORT_CHOOSE)
  throw Failure(v1::FAILURE_CAUSE_INVALID,
                wanted.empty() ? "spec.method: not set"
                               : "spec.method: this runner does not know the method " + wanted);
}

}  // namespace retort::distill
