// How much of what the coordinator takes on at once. Everything that a caller can make wait, or
// hold, is bounded here; what is beyond is refused at once, and nothing is half done.
//
// UNAVAILABLE `overloaded: ...` is said where waiting helps (clients ask again by themselves), and
// RESOURCE_EXHAUSTED where this very caller holds as much as one caller may. A caller is a
// connection, but for Sync: there it is the worker.
#ifndef RETORT_SERVER_RPC_LIMITS_H_
#define RETORT_SERVER_RPC_LIMITS_H_

#include <cstddef>

#include "absl/time/time.h"

namespace retort {

// Open at once.
struct OpenLimit {
  size_t all = 0;
  size_t of_a_caller = 0;
};

// Threads, and what waits for them.
struct LaneLimit {
  int threads = 1;
  OpenLimit waiting;
  // How far its threads stand back where the machine is busy, as of nice(1). Reads stand behind the
  // strand and the Syncs: with as many of them as cores, a Sync waited for the end of their slices.
  int nice = 0;
};

struct RpcLimits {
  // Reads that look into the database; they take turns between callers.
  LaneLimit reads = {.threads = 4, .waiting = {1024, 256}, .nice = 5};
  // Files: artifacts and logs. Steps of transfers that are open take turns between callers.
  LaneLimit files = {.threads = 4, .waiting = {1024, 256}};
  // Queries that run, each on a thread, and those that wait.
  LaneLimit queries = {.threads = 4, .waiting = {64, 16}, .nice = 5};
  // Reads that were begun may wait for their turn, but not beyond their deadline.

  OpenLimit mutations = {64, 32};           // from the request until the answer is durable
  OpenLimit syncs = {16'384, 8};            // parked ones included; the core parks one of a worker
  OpenLimit metric_streams = {8192, 1024};  // one batch of each is read at a time
  OpenLimit log_streams = {8192, 1024};     // one chunk of each is read at a time
  OpenLimit uploads = {256, 64};            // one piece of each is in memory
  OpenLimit downloads = {256, 64};          // one piece of each is in memory
  OpenLimit watches = {256, 64};            // of sweeps
  OpenLimit tails = {256, 64};              // of logs
  OpenLimit tasks = {16, 4};                // of upkeep: two threads, one of a kind runs at a time

  size_t read_request_bytes = size_t{64} << 10;   // of a read
  size_t change_request_bytes = size_t{2} << 20;  // of a mutation; CreateSweep has its own
  // How long a stream waits for a reader that does not read, or an upload for a caller that does
  // not send, before it is cancelled.
  absl::Duration patience = absl::Seconds(60);
  // The same for the rows of a query, whose open snapshot keeps the database's log from beginning
  // again.
  absl::Duration query_patience = absl::Seconds(10);
};

}  // namespace retort

#endif  // RETORT_SERVER_RPC_LIMITS_H_
