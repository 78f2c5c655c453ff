// `retort-worker doctor`.
#ifndef RETORT_WORKER_EXAMINE_H_
#define RETORT_WORKER_EXAMINE_H_

#include <vector>

#include "retort/v1/admin_service.pb.h"
#include "worker/flags.h"

namespace retort {

// Looks at this machine as a worker with these flags would: all that can be found out, whatever
// else is wrong. Starts nothing, and leaves nothing behind.
std::vector<v1::Checkup> Examine(Flags flags);

// Writes them to standard output, a line each; as `json` an object each. The exit code: 1 if
// something does not work.
int TellCheckups(const std::vector<v1::Checkup>& checkups, bool json);

}  // namespace retort

#endif  // RETORT_WORKER_EXAMINE_H_
