#include "worker/runner/protocol.h"

#include <google/protobuf/util/json_util.h>

namespace retort::runner {

namespace json = google::protobuf::util;

Expected<v1::RunnerCommand> ParseCommand(std::string_view line) {
  v1::RunnerCommand command;
  const auto status = json::JsonStringToMessage({line.data(), line.size()}, &command);
  if (!status.ok()) {
    return Error{"not a RunnerCommand in JSON: " + std::string(status.message())};
  }
  if (command.command_case() == v1::RunnerCommand::COMMAND_NOT_SET) {
    return Error{"a RunnerCommand without a command; must be `run` or `stop`"};
  }
  return command;
}

std::string PrintEvent(const v1::RunnerEvent& event) {
  json::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string line;
  // Only Any and Timestamp fields can fail to print; an event has none.
  (void)json::MessageToJsonString(event, &line, options);
  return line + "\n";
}

v1::RunnerEvent FailedEvent(v1::FailureCause cause, const std::string& message) {
  v1::RunnerEvent event;
  event.mutable_failed()->set_cause(cause);
  event.mutable_failed()->set_message(message.substr(0, 4096));
  return event;
}

}  // namespace retort::runner
