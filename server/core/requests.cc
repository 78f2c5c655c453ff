#include "server/core/requests.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <memory>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "common/hash.h"
#include "server/core/concerns.h"

namespace retort::core {
namespace {

constexpr size_t kArgumentsBytes = 16;

}  // namespace

std::string HashOfArguments(const google::protobuf::Message& request) {
  std::unique_ptr<google::protobuf::Message> arguments(request.New());
  arguments->CopyFrom(request);
  const auto* id = request.GetDescriptor()->FindFieldByName("request_id");
  if (id != nullptr) arguments->GetReflection()->ClearField(arguments.get(), id);
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);
    arguments->SerializeToCodedStream(&out);
  }
  const auto digest = Sha256Of(bytes);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest.data()), kArgumentsBytes));
}

absl::StatusOr<const RequestAnswer*> FindRepeated(const State& state, const std::string& request_id,
                                                  const std::string& method,
                                                  const std::string& arguments) {
  if (request_id.empty() || request_id.size() > 64) {
    return absl::InvalidArgumentError(absl::StrCat("request_id: has ", request_id.size(),
                                                   " bytes; must be a UUID, new for each request"));
  }
  const RequestAnswer* answer = state.FindRequest(request_id);
  if (answer != nullptr && answer->method != method) {
    return absl::AlreadyExistsError(absl::StrCat("request_id: ", request_id, " was used for ",
                                                 answer->method, "; must be new for each request"));
  }
  const bool compared = answer != nullptr && !answer->arguments.empty() && !arguments.empty();
  if (compared && answer->arguments != arguments) {
    return absl::AlreadyExistsError(
        absl::StrCat("request_id: ", request_id, " was used for a ", method,
                     " with other arguments; must be new for each request"));
  }
  return answer;
}

absl::StatusOr<Decision> DecideNoteRequest(const State& state, const NoteRequest& note,
                                           const Now& now) {
  Draft draft(state, now);
  auto repeated = FindRepeated(state, note.request_id, note.method, note.arguments);
  if (!repeated.ok()) return repeated.status();
  if (*repeated != nullptr) {
    draft.Say(note.token, NoteReply{(*repeated)->answer});
    return draft.Finish();
  }
  RequestAnswer answer;
  answer.answer = note.answer;
  Remember(draft, note.request_id, note.method, note.arguments, answer);
  ForgetOld(draft);
  draft.Say(note.token, NoteReply{note.answer});
  return draft.Finish();
}

void Remember(Draft& draft, const std::string& request_id, const std::string& method,
              const std::string& arguments, RequestAnswer answer) {
  answer.method = method;
  answer.arguments = arguments;
  answer.time_ms = draft.now_ms();
  draft.Write(RequestAnswered{request_id, std::move(answer), std::nullopt});
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
