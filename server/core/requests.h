// Mutations that clients repeat: the first answer is given again.
#ifndef RETORT_SERVER_CORE_REQUESTS_H_
#define RETORT_SERVER_CORE_REQUESTS_H_

#include <string>

#include "absl/status/statusor.h"
#include "server/core/draft.h"

namespace retort::core {

// The answer that this request got before, or null. INVALID_ARGUMENT: an empty id, or one longer
// than 64 bytes. ALREADY_EXISTS: the id belongs to a request of another method.
absl::StatusOr<const RequestAnswer*> FindRepeated(const State& state, const std::string& request_id,
                                                  const std::string& method);

// Writes the answer down.
void Remember(Draft& draft, const std::string& request_id, const std::string& method,
              RequestAnswer answer);

// Forgets at most a thousand answers that are older than Options::request_memory.
void ForgetOld(Draft& draft);

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_REQUESTS_H_
