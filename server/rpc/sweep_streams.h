// The calls of clients that stream.
#ifndef RETORT_SERVER_RPC_SWEEP_STREAMS_H_
#define RETORT_SERVER_RPC_SWEEP_STREAMS_H_

#include <grpcpp/support/server_callback.h>

#include "retort/v1/sweep_service.pb.h"
#include "server/rpc/sweep_service.h"

namespace retort {

// Each reactor deletes itself when its call is done. `parts` outlives them.
grpc::ServerWriteReactor<v1::Sweep>* StartWatch(grpc::CallbackServerContext* context,
                                                const ClientParts& parts,
                                                const v1::GetSweepRequest& request);
grpc::ServerWriteReactor<v1::TailLogsResponse>* StartTail(grpc::CallbackServerContext* context,
                                                          const ClientParts& parts,
                                                          const v1::TailLogsRequest& request);
grpc::ServerWriteReactor<v1::QueryResponse>* StartQuery(grpc::CallbackServerContext* context,
                                                        const ClientParts& parts,
                                                        const v1::QueryRequest& request);

}  // namespace retort

#endif  // RETORT_SERVER_RPC_SWEEP_STREAMS_H_
