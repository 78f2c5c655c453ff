#include "common/names.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace retort {
namespace {

absl::string_view Absl(std::string_view text) { return {text.data(), text.size()}; }

bool IsAlnum(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

absl::Status CheckWord(std::string_view word, std::string_view what, std::string_view also) {
  const bool good = !word.empty() && word.size() <= 63 && IsAlnum(word[0]) &&
                    std::all_of(word.begin(), word.end(), [&](char c) {
                      return IsAlnum(c) || also.find(c) != std::string_view::npos;
                    });
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(Absl(what), " '", absl::CHexEscape(Absl(word.substr(0, 80))),
                   "': expected 1 to 63 lower-case letters, digits and '", Absl(also),
                   "', not beginning with a sign"));
}

absl::StatusOr<std::string_view> After(std::string_view name, std::string_view prefix) {
  if (name.substr(0, prefix.size()) == prefix) return name.substr(prefix.size());
  return absl::InvalidArgumentError(absl::StrCat(
      "name '", absl::CHexEscape(Absl(name.substr(0, 80))), "': expected '", Absl(prefix), "...'"));
}

}  // namespace

absl::Status CheckSweepName(std::string_view name) { return CheckWord(name, "sweep name", "-"); }
absl::Status CheckWorkerId(std::string_view id) { return CheckWord(id, "worker id", ".-"); }

std::string SweepName(std::string_view sweep) { return absl::StrCat("sweeps/", Absl(sweep)); }
std::string JobName(const JobId& job) { return absl::StrCat("jobs/", job.hex()); }
std::string WorkerName(std::string_view worker) { return absl::StrCat("workers/", Absl(worker)); }

absl::StatusOr<std::string> ParseSweepName(std::string_view name) {
  auto rest = After(name, "sweeps/");
  if (!rest.ok()) return rest.status();
  if (auto status = CheckSweepName(*rest); !status.ok()) return status;
  return std::string(*rest);
}

absl::StatusOr<JobId> ParseJobName(std::string_view name) {
  auto rest = After(name, "jobs/");
  if (!rest.ok()) return rest.status();
  return JobId::FromHex(*rest);
}

absl::StatusOr<std::string> ParseJobPrefix(std::string_view name) {
  auto rest = After(name, "jobs/");
  if (!rest.ok()) return rest.status();
  const bool digits = std::all_of(rest->begin(), rest->end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  if (rest->size() < 6 || rest->size() > 64 || !digits) {
    return absl::InvalidArgumentError(
        absl::StrCat("job '", absl::CHexEscape(Absl(rest->substr(0, 80))),
                     "': expected 6 to 64 lower-case hexadecimal digits"));
  }
  return std::string(*rest);
}

absl::StatusOr<std::string> ParseWorkerName(std::string_view name) {
  auto rest = After(name, "workers/");
  if (!rest.ok()) return rest.status();
  if (auto status = CheckWorkerId(*rest); !status.ok()) return status;
  return std::string(*rest);
}

}  // namespace retort
