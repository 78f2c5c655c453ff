// Changes of a sweep's jobs that take several commits.
#ifndef RETORT_SERVER_CORE_JOBS_H_
#define RETORT_SERVER_CORE_JOBS_H_

#include <string>

#include "server/core/draft.h"

namespace retort::core {

// Goes on with a request of State::job_requests: looks at no more than `most` jobs of its sweep and
// writes down how far it came and how many changed, so that a restart goes on from there and counts
// none twice. How many it looked at.
int ContinueChangeJobs(Draft& draft, const std::string& request_id, int most);

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_JOBS_H_
