#include "server/core/requests.h"

#include "absl/strings/str_cat.h"

namespace retort::core {

absl::StatusOr<const RequestAnswer*> FindRepeated(const State& state, const std::string& request_id,
                                                  const std::string& method) {
  if (request_id.empty() || request_id.size() > 64) {
    return absl::InvalidArgumentError(absl::StrCat("request_id: has ", request_id.size(),
                                                   " bytes; must be a UUID, new for each request"));
  }
  const RequestAnswer* answer = state.FindRequest(request_id);
  if (answer != nullptr && answer->method != method) {
    return absl::AlreadyExistsError(absl::StrCat("request_id: ", request_id, " was used for ",
                                                 answer->method, "; must be new for each request"));
  }
  return answer;
}

void Remember(Draft& draft, const std::string& request_id, const std::string& method,
              RequestAnswer answer) {
  answer.method = method;
  answer.time_ms = draft.now_ms();
  draft.Write(RequestAnswered{request_id, std::move(answer)});
}

void ForgetOld(Draft& draft) {
  const State& state = draft.state();
  const int64_t oldest = draft.now_ms() - absl::ToInt64Milliseconds(state.options().request_memory);
  int left = 1000;
  for (const auto& [time_ms, request_id] : state.requests_by_time()) {
    if (time_ms >= oldest || left-- == 0) break;
    draft.Write(RequestForgotten{request_id, *state.FindRequest(request_id)});
  }
}

}  // namespace retort::core
