// The lines that an agent and a runner exchange (proto/retort/v1/runner.proto). Pure.
#ifndef RETORT_WORKER_RUNNER_PROTOCOL_H_
#define RETORT_WORKER_RUNNER_PROTOCOL_H_

#include <string>
#include <string_view>

#include "common/spec/expected.h"
#include "retort/v1/runner.pb.h"

namespace retort::runner {

// A command from its line, without the end of line. Error: not JSON, a field that RunnerCommand
// does not have, or no command in it.
Expected<v1::RunnerCommand> ParseCommand(std::string_view line);

// An event as one line with its end. Numbers that are not finite are spelled "NaN", "Infinity" and
// "-Infinity".
std::string PrintEvent(const v1::RunnerEvent& event);

// The attempt did not succeed.
v1::RunnerEvent FailedEvent(v1::FailureCause cause, const std::string& message);

}  // namespace retort::runner

#endif  // RETORT_WORKER_RUNNER_PROTOCOL_H_
