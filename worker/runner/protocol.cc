#include "worker/runner/protocol.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>

namespace retort::runner {

namespace json = google::protobuf::util;

namespace {

constexpr size_t kMaxMessageBytes = 4096;

// The text with bytes that are not UTF-8 replaced, and cut between characters: anything else would
// not print as JSON, and a message may quote what came in or name a file.
std::string PrintableText(const std::string& text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    size_t length = lead < 0x80                   ? 1
                    : lead >= 0xc2 && lead < 0xe0 ? 2
                    : lead >= 0xe0 && lead < 0xf0 ? 3
                    : lead >= 0xf0 && lead < 0xf5 ? 4
                                                  : 0;
    for (size_t i = 1; i < length; ++i) {
      if (at + i >= text.size() || (text[at + i] & 0xc0) != 0x80) length = 0;
    }
    if (out.size() + std::max<size_t>(length, 1) > kMaxMessageBytes) break;
    out += length == 0 ? "?" : text.substr(at, length);
    at += std::max<size_t>(length, 1);
  }
  return out;
}

}  // namespace

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
  event.mutable_failed()->set_message(PrintableText(message));
  return event;
}

}  // namespace retort::runner
