// Errors of calls that a test makes itself.
#ifndef RETORT_TESTS_TESTING_FROM_GRPC_H_
#define RETORT_TESTS_TESTING_FROM_GRPC_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace retort {

// With the server's words, and nothing added.
inline absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace retort

#endif  // RETORT_TESTS_TESTING_FROM_GRPC_H_
