// How the parts of the training core say that a job cannot go on. Thrown inside worker/distill
// only; attempt.h turns it into a v1::Failure.
#ifndef RETORT_WORKER_DISTILL_FAILURE_H_
#define RETORT_WORKER_DISTILL_FAILURE_H_

#include <stdexcept>
#include <string>
#include <utility>

#include "common/spec/expected.h"
#include "retort/v1/result.pb.h"

namespace retort::distill {

class Failure : public std::runtime_error {
 public:
  Failure(v1::FailureCause cause, const std::string& message)
      : std::runtime_error(message), cause_(cause) {}
  v1::FailureCause cause() const { return cause_; }

 private:
  v1::FailureCause cause_;
};

// The value, or a Failure of that cause.
template <typename T>
T ValueOrFail(Expected<T> value, v1::FailureCause cause) {
  if (!value.ok()) throw Failure(cause, value.error());
  return *std::move(value);
}

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_FAILURE_H_
