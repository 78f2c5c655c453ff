// The axes of a sweep, and every combination of their values.
#ifndef RETORT_SERVER_CORE_AXES_H_
#define RETORT_SERVER_CORE_AXES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "retort/v1/spec.pb.h"

namespace retort::core {

// One value of each axis, as an index into the sweep's list.
struct Choice {
  int train_on = 0;
  int teacher = 0;
  int student = 0;
  int method = 0;
  int seed = 0;
  std::vector<int> train;  // one for each of the sweep's train_axes
  int fold = 0;            // not an axis: set by the caller
};

// All combinations, axes of a zip group moving together. The order: train_on slowest, then
// students, methods, teachers, train.FIELD, and seeds fastest; a group stands where the first of
// its axes does.
class Axes {
 public:
  // INVALID_ARGUMENT: a zip group that names no axis, one twice, or axes of different lengths.
  static absl::StatusOr<Axes> Of(const v1::SweepSpec& sweep, int train_on);

  // Number of combinations; saturates at 2^62.
  int64_t size() const { return size_; }
  // The n-th of size().
  Choice At(int64_t n) const;

 private:
  struct Group {
    int length = 1;
    std::vector<int> axes;  // 0 train_on, 1 students, 2 methods, 3 teachers, then train, last seeds
  };

  std::vector<Group> groups_;  // slowest first
  int train_axes_ = 0;
  int64_t size_ = 1;
};

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_AXES_H_
