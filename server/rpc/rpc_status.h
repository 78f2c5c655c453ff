// absl::Status as it goes over the wire.
#ifndef RETORT_SERVER_RPC_RPC_STATUS_H_
#define RETORT_SERVER_RPC_RPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace retort {

// Code and message, and as details an ErrorInfo (reason: the code's name, domain: `retort`).
// INVALID_ARGUMENT whose message begins with a field's path, `path.field: value; must be ...`, also
// carries a BadRequest that names the field.
grpc::Status ToGrpc(const absl::Status& status);

}  // namespace retort

#endif  // RETORT_SERVER_RPC_RPC_STATUS_H_
