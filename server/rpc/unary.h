// Unary calls that are answered by blocking work.
#ifndef RETORT_SERVER_RPC_UNARY_H_
#define RETORT_SERVER_RPC_UNARY_H_

#include <grpcpp/server_context.h>

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "server/rpc/rpc_status.h"
#include "server/rpc/thread_pool.h"

namespace retort {

// Runs `work`, which fills in the response, on the pool and finishes the call with its status.
// Request and response of the call live until then.
inline grpc::ServerUnaryReactor* AnswerOn(grpc::CallbackServerContext* context, ThreadPool& pool,
                                          std::function<absl::Status()> work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  pool.Post([reactor, work = std::move(work)] { reactor->Finish(ToGrpc(work())); });
  return reactor;
}

}  // namespace retort

#endif  // RETORT_SERVER_RPC_UNARY_H_
