#include "server/rpc/services.h"

namespace retort {

Services::Services(Coordinator& coordinator, const store::Reader& reader, ArtifactStore& artifacts,
                   LogStore& logs, int64_t max_jobs)
    : workers_({coordinator, reader, artifacts, logs, worker_pool_}),
      artifacts_(artifacts, file_pool_,
                 [&coordinator](const ArtifactHash& hash) {
                   coordinator.Post(core::ArtifactLost{hash}, nullptr);
                 }),
      sweeps_({coordinator, reader, artifacts, logs, read_pool_, query_pool_, max_jobs}) {}

}  // namespace retort
