// Mutations that clients repeat: the first answer is given again.
#ifndef RETORT_SERVER_CORE_REQUESTS_H_
#define RETORT_SERVER_CORE_REQUESTS_H_

#include <google/protobuf/message.h>

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/core/draft.h"

namespace retort::core {

// Names what a request asks for, whatever its `request_id`: 32 hexadecimal digits, the same for
// equal messages.
std::string HashOfArguments(const google::protobuf::Message& request);

// The answer that this request got before, or null. INVALID_ARGUMENT: an empty id, or one longer
// than 64 bytes. ALREADY_EXISTS: the id belongs to a request of another method or with other
// arguments.
absl::StatusOr<const RequestAnswer*> FindRepeated(const State& state, const std::string& request_id,
                                                  const std::string& method,
                                                  const std::string& arguments);

// What CreateSweep answered to this request; nothing if it is not known, or its sweep is still
// being expanded. Errors of FindRepeated.
absl::StatusOr<std::optional<SweepReply>> FindCreatedSweep(const State& state,
                                                           const std::string& request_id,
                                                           const std::string& arguments);

// Writes the answer down.
void Remember(Draft& draft, const std::string& request_id, const std::string& method,
              const std::string& arguments, RequestAnswer answer);

// Forgets at most a thousand answers that are older than Options::request_memory.
void ForgetOld(Draft& draft);

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_REQUESTS_H_
