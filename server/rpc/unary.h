// Unary calls that are answered by blocking work.
#ifndef RETORT_SERVER_RPC_UNARY_H_
#define RETORT_SERVER_RPC_UNARY_H_

#include <google/protobuf/message.h>
#include <grpcpp/server_context.h>

#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/rpc/lane.h"
#include "server/rpc/rpc_status.h"

namespace retort {

// Whose turn a call takes: its connection.
inline std::string CallerOf(const grpc::ServerContextBase& context) { return context.peer(); }

// True if nobody waits for the answer any more: it was cancelled, or its deadline has passed.
inline bool IsOver(const grpc::CallbackServerContext& context) {
  return context.IsCancelled() || context.deadline() <= std::chrono::system_clock::now();
}

// RESOURCE_EXHAUSTED: a request that would hold too much memory while it waits.
inline absl::Status CheckRequestBytes(const google::protobuf::Message& request, size_t most) {
  const size_t bytes = request.ByteSizeLong();
  if (bytes <= most) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the request has ", bytes, " bytes; must be at most ", most));
}

// A unary call that is finished at once.
inline grpc::ServerUnaryReactor* Refuse(grpc::CallbackServerContext* context,
                                        const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

// Runs `work`, which fills in the response, on the lane and finishes the call with its status;
// not at all if nobody waits for it any more when its turn comes, or if the request or the number
// of those that wait is too large. Request and response of the call live until then.
inline grpc::ServerUnaryReactor* AnswerOn(grpc::CallbackServerContext* context, Lane& lane,
                                          const google::protobuf::Message& request,
                                          size_t most_bytes, std::function<absl::Status()> work) {
  if (const absl::Status status = CheckRequestBytes(request, most_bytes); !status.ok())
    return Refuse(context, status);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::Status posted =
      lane.Post(CallerOf(*context), [context, reactor, work = std::move(work)] {
        reactor->Finish(IsOver(*context) ? grpc::Status::CANCELLED : ToGrpc(work()));
      });
  if (!posted.ok()) reactor->Finish(ToGrpc(posted));
  return reactor;
}

}  // namespace retort

#endif  // RETORT_SERVER_RPC_UNARY_H_
