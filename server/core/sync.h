// What is told to a worker about a lease.
#ifndef RETORT_SERVER_CORE_SYNC_H_
#define RETORT_SERVER_CORE_SYNC_H_

#include "server/core/draft.h"

namespace retort::core {

// The reply's entry for a job that was leased in the draft, or earlier.
Grant GrantOf(const Draft& draft, JobKey key);

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_SYNC_H_
