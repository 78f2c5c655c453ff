// A status from the wire as absl's: the codes are the same numbers. Tests of the coordinator, which
// do not see the worker's folders, have it as tests/testing/from_grpc.h: common/, which both see,
// knows no gRPC.
#ifndef RETORT_WORKER_AGENT_GRPC_STATUS_H_
#define RETORT_WORKER_AGENT_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace retort {

inline absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_GRPC_STATUS_H_
