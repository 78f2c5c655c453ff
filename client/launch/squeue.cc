#include "client/launch/squeue.h"

#include <algorithm>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace retort {
namespace {

constexpr char kHeader[] = "ARRAY_JOB_ID|ARRAY_TASK_ID|STATE|.";

// A task may be requeued after it was preempted, or when its node failed; until then it is listed
// with that state, and after that as waiting. States of a job that has ended but whose processes
// have not are shown as COMPLETING.
const std::map<std::string, SlurmPhase, std::less<>>& Phases() {
  using enum SlurmPhase;
  static const auto& phases = *new std::map<std::string, SlurmPhase, std::less<>>{
      {"BOOT_FAIL", kEnded},       {"CANCELLED", kEnded},      {"COMPLETED", kEnded},
      {"CONFIGURING", kRunning},   {"COMPLETING", kLeaving},   {"DEADLINE", kEnded},
      {"FAILED", kEnded},          {"NODE_FAIL", kEnded},      {"OUT_OF_MEMORY", kEnded},
      {"PENDING", kWaiting},       {"PREEMPTED", kEnded},      {"RUNNING", kRunning},
      {"RESV_DEL_HOLD", kWaiting}, {"REQUEUE_FED", kWaiting},  {"REQUEUE_HOLD", kWaiting},
      {"REQUEUED", kWaiting},      {"RESIZING", kRunning},     {"REVOKED", kEnded},
      {"SIGNALING", kRunning},     {"SPECIAL_EXIT", kWaiting}, {"STAGE_OUT", kLeaving},
      {"STOPPED", kRunning},       {"SUSPENDED", kRunning},    {"TIMEOUT", kEnded},
  };
  return phases;
}

bool Number(absl::string_view text, int64_t* number) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  }) && absl::SimpleAtoi(text, number);
}

absl::Status NotUnderstood(absl::string_view line) {
  return absl::DataLossError(absl::StrCat("squeue printed '", line.substr(0, 200),
                                          "', which is not what it was asked for"));
}

}  // namespace

std::string SlurmTaskId::text() const { return absl::StrCat(job, "_", index); }

SlurmPhase PhaseOf(std::string_view state) {
  const auto it = Phases().find(state);
  return it == Phases().end() ? SlurmPhase::kUnknown : it->second;
}

std::vector<std::string> SlurmStates() {
  std::vector<std::string> names;
  for (const auto& [name, phase] : Phases()) names.push_back(name);
  return names;
}

std::vector<std::string> SqueueArguments(const std::string& job_name) {
  return {"--me", "--array", "--states=all", "--name=" + job_name, "--format=%F|%K|%T|."};
}

absl::StatusOr<std::vector<SlurmTask>> ParseSqueue(std::string_view output) {
  const absl::string_view text(output.data(), output.size());
  if (text.empty() || text.back() != '\n') {
    return absl::DataLossError("squeue's answer has no end, or is empty");
  }
  std::vector<absl::string_view> lines = absl::StrSplit(text.substr(0, text.size() - 1), '\n');
  if (lines[0] != kHeader) return NotUnderstood(lines[0]);
  std::vector<SlurmTask> tasks;
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::vector<absl::string_view> fields = absl::StrSplit(lines[i], '|');
    SlurmTask task;
    if (fields.size() != 4 || fields[3] != "." || fields[2].empty() ||
        !Number(fields[0], &task.id.job) || !Number(fields[1], &task.id.index)) {
      return NotUnderstood(lines[i]);
    }
    task.state = std::string(fields[2]);
    task.phase = PhaseOf(task.state);
    tasks.push_back(std::move(task));
  }
  return tasks;
}

}  // namespace retort
