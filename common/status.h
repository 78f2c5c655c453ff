// Helpers for absl::Status.
#ifndef RETORT_COMMON_STATUS_H_
#define RETORT_COMMON_STATUS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/spec/expected.h"

namespace retort {

// An Expected's value, or its error as INVALID_ARGUMENT.
template <typename T>
absl::StatusOr<T> ToStatusOr(Expected<T> expected) {
  if (expected.ok()) return std::move(expected).value();
  return absl::InvalidArgumentError(expected.error());
}

// The same status with `context: ` before its message; OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view context);

// The message as a std::string.
inline std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

}  // namespace retort

#define RETORT_CONCAT_INNER_(a, b) a##b
#define RETORT_CONCAT_(a, b) RETORT_CONCAT_INNER_(a, b)

// Leaves the function with the status if it is not OK.
#define RETORT_RETURN_IF_ERROR(expr)               \
  do {                                             \
    absl::Status retort_status = (expr);           \
    if (!retort_status.ok()) return retort_status; \
  } while (false)

// `lhs = value of rexpr`, or leaves the function with its status.
#define RETORT_ASSIGN_OR_RETURN(lhs, rexpr) \
  RETORT_ASSIGN_OR_RETURN_(RETORT_CONCAT_(retort_or_, __LINE__), lhs, rexpr)
#define RETORT_ASSIGN_OR_RETURN_(tmp, lhs, rexpr) \
  auto tmp = (rexpr);                             \
  if (!tmp.ok()) return tmp.status();             \
  lhs = *std::move(tmp)

#endif  // RETORT_COMMON_STATUS_H_
