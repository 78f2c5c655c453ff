// What callers of the coordinator hear.
#ifndef RETORT_SERVER_ANSWER_H_
#define RETORT_SERVER_ANSWER_H_

#include <functional>
#include <variant>

#include "absl/status/statusor.h"
#include "server/core/decide.h"

namespace retort {

// What a caller hears once the commit is done; monostate where there is nothing to say.
using Answer = std::variant<std::monostate, core::SyncReply, core::MetricReply, core::SweepReply,
                            core::JobsReply, core::WorkerReply, core::NoteReply>;
// Called exactly once; must not block. Errors are those of core/decide.h and UNAVAILABLE:
// overloaded, ending, or a commit whose outcome is not known; RESOURCE_EXHAUSTED: the disk is full.
using AnswerDone = std::function<void(absl::StatusOr<Answer>)>;

}  // namespace retort

#endif  // RETORT_SERVER_ANSWER_H_
