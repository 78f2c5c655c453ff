// How fast workers are, measured by what they finished.
#ifndef RETORT_SERVER_CORE_PACE_H_
#define RETORT_SERVER_CORE_PACE_H_

#include <array>
#include <cstddef>
#include <cstdint>

namespace retort::core {

// How fast one slot of a worker is, beside others that did jobs of like cost.
struct Speed {
  double log = 0;  // natural logarithm of the factor; 0: as fast as the first that was measured
  int32_t results = 0;  // that it was compared by; 0: not known

  bool known() const { return results > 0; }
  double factor() const;
};

// What jobs take on a slot of speed 1, by their expected cost. Costs of one class differ by less
// than 4 times. A job's time is modelled as cost x seconds per cost of its class / speed, and each
// result moves both logarithms towards what it took, by weights that fall with what is known (an
// exponentially weighted mean). Classes keep apart what small jobs take for other reasons than
// their cost, so that a worker which did small jobs alone does not look slow.
//
// Arithmetic in one fixed order: the same results in the same order give the same bits.
class Pace {
 public:
  // Nothing is learnt from a cost or time that is not positive.
  void Learn(double cost, double seconds, Speed& speed);
  // Seconds that a job takes at speed 1, by its class or the nearest that is known; negative if
  // none is.
  double Seconds(double cost) const;

 private:
  struct Class {
    double log_s_per_cost = 0;
    int32_t results = 0;
    double s_per_cost = 0;  // of the logarithm: many ask for each that is learnt
  };
  static constexpr size_t kClasses = 64;
  static size_t ClassOf(double cost);

  std::array<Class, kClasses> classes_{};
};

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_PACE_H_
