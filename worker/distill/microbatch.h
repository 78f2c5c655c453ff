// The pieces of a batch whose gradients are computed one after the other.
#ifndef RETORT_WORKER_DISTILL_MICROBATCH_H_
#define RETORT_WORKER_DISTILL_MICROBATCH_H_

#include <cstdint>
#include <vector>

#include "retort/v1/spec.pb.h"

namespace retort::distill {

// How many windows a run takes at once.
class Microbatch {
 public:
  explicit Microbatch(const v1::TrainSpec& train);

  // Borders of the pieces of a batch of `items` windows; no piece of several has a single window.
  std::vector<int64_t> Borders(int64_t items) const;
  // Whether Halve may be asked: the spec says auto.
  bool may_halve() const { return auto_; }
  // After a batch of `items` windows was too much for the memory: half as many at once from now on.
  // False, and nothing changes, if the spec does not allow it, or pieces are as small as can be.
  bool Halve(int64_t items);

  // Windows at once, for the result and for checkpoints; 0 if the spec does not speak of it.
  int64_t recorded() const { return stated_ ? windows_ : 0; }
  // Goes on with what a checkpoint has of it.
  void Resume(int64_t recorded);

 private:
  bool stated_;
  bool auto_;
  int64_t windows_;
};

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_MICROBATCH_H_
