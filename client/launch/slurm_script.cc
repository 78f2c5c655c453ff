#include "client/launch/slurm_script.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/names.h"
#include "common/status.h"

namespace retort {
namespace {

// What a worker may need beside the drain timeout: to stop its runners, to report (`leaving` in
// worker/agent/worker.h), and a moment more.
constexpr absl::Duration kLeaving = absl::Seconds(25);

// The numbers between colons; nothing if one is none.
std::optional<std::vector<int64_t>> Numbers(std::string_view text) {
  std::vector<int64_t> numbers;
  for (const auto part : absl::StrSplit(absl::string_view(text.data(), text.size()), ':')) {
    int64_t number = 0;
    const bool digits = !part.empty() && std::all_of(part.begin(), part.end(), [](char c) {
      return absl::ascii_isdigit(static_cast<unsigned char>(c));
    });
    if (!digits || !absl::SimpleAtoi(part, &number) || number > 100000000) return std::nullopt;
    numbers.push_back(number);
  }
  return numbers;
}

absl::Status CheckWords(const SlurmOptions& options) {
  RETORT_RETURN_IF_ERROR(Annotate(CheckWorkerId(options.name), "--name"));
  std::vector<std::string> words = {options.partition,      options.time,
                                    options.folder,         options.logs,
                                    options.worker.program, options.worker.access};
  words.insert(words.end(), options.more.begin(), options.more.end());
  words.insert(words.end(), options.worker.more.begin(), options.worker.more.end());
  for (const std::string& word : words) {
    const bool control = std::any_of(word.begin(), word.end(), [](char c) {
      return absl::ascii_iscntrl(static_cast<unsigned char>(c));
    });
    // A new line would begin a command of its own.
    if (control) return absl::InvalidArgumentError("an option has a control character in it");
  }
  if (options.worker.access.empty() && options.worker.coordinator.empty()) {
    return absl::InvalidArgumentError("neither an access file nor an address of the coordinator");
  }
  return absl::OkStatus();
}

// A duration for retort-worker.
std::string Seconds(absl::Duration duration) {
  return absl::StrCat(absl::ToInt64Seconds(absl::Ceil(duration, absl::Seconds(1))), "s");
}

// sbatch reads quotes as a shell does, but knows no single ones inside double ones.
std::string Directive(const std::vector<std::string>& words) {
  return absl::StrCat("#SBATCH ", ShellLine(words), "\n");
}

std::string Directives(const SlurmOptions& options) {
  std::string text;
  const auto add = [&](const std::string& option) { text += Directive({option}); };
  add(absl::StrCat("--job-name=", SlurmJobName(options)));
  add(absl::StrCat("--array=0-", options.workers - 1));
  add("--nodes=1");
  add("--ntasks=1");
  add(absl::StrCat("--cpus-per-task=", options.cpus));
  if (options.gpus > 0) add(absl::StrCat("--gpus=", options.gpus));
  if (!options.partition.empty()) add(absl::StrCat("--partition=", options.partition));
  if (!options.time.empty()) add(absl::StrCat("--time=", options.time));
  const int64_t lead = absl::ToInt64Seconds(options.drain_timeout + kLeaving);
  add(absl::StrCat("--signal=B:TERM@", lead));
  add(absl::StrCat("--output=", options.logs.empty() ? "" : options.logs + "/",
                   SlurmJobName(options), "-%A_%a.log"));
  if (!options.more.empty()) text += Directive(options.more);
  return text;
}

}  // namespace

std::vector<std::string> WorkerCommand::Arguments() const {
  std::vector<std::string> words;
  if (!access.empty()) {
    words = {"--access", access};
  } else {
    words = {"--coordinator", coordinator};
    if (insecure) words.push_back("--insecure");
  }
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::string SlurmJobName(const SlurmOptions& options) {
  return absl::StrCat("retort-", options.name);
}

absl::StatusOr<std::string> SlurmScript(const SlurmOptions& options) {
  RETORT_RETURN_IF_ERROR(CheckWords(options));
  std::vector<std::string> command = {"--slurm",
                                      "--id",
                                      options.name,
                                      "--threads",
                                      absl::StrCat(options.threads),
                                      "--drain-timeout",
                                      Seconds(options.drain_timeout),
                                      "--remove-folder"};
  absl::Duration limit = options.time_limit.value_or(absl::InfiniteDuration());
  if (!options.time_limit && !options.time.empty()) {
    RETORT_ASSIGN_OR_RETURN(limit, ParseSlurmTime(options.time));
  }
  if (limit != absl::InfiniteDuration()) {
    command.insert(command.end(), {"--time-limit", Seconds(limit)});
  }
  const std::vector<std::string> rest = options.worker.Arguments();
  command.insert(command.end(), rest.begin(), rest.end());
  const std::string base =
      options.folder.empty() ? "\"${TMPDIR:-/tmp}\"" : ShellQuoted(options.folder);
  return absl::StrCat(
      "#!/bin/sh\n", Directives(options),
      "# The worker takes the place of the shell, so that Slurm's signals reach it.\n",
      "set -eu\numask 077\n", "folder=", base, "/retort-$SLURM_JOB_ID\n", "mkdir -p \"$folder\"\n",
      "exec ", ShellQuoted(options.worker.program), " --folder \"$folder\" ", ShellLine(command),
      "\n");
}

absl::StatusOr<absl::Duration> ParseSlurmTime(std::string_view text) {
  const auto wrong = [&] {
    return absl::InvalidArgumentError(
        absl::StrCat("'", absl::string_view(text.data(), text.size()),
                     "' is no time of Slurm; expected minutes, hours:minutes:seconds or "
                     "days-hours:minutes:seconds, such as 4:00:00"));
  };
  if (text == "UNLIMITED" || text == "INFINITE" || text == "0") return absl::InfiniteDuration();
  const size_t dash = text.find('-');
  int64_t days = 0;
  if (dash != std::string_view::npos) {
    const auto number = Numbers(text.substr(0, dash));
    if (!number || number->size() != 1) return wrong();
    days = number->front();
    text.remove_prefix(dash + 1);
  }
  const auto numbers = Numbers(text);
  if (!numbers || numbers->size() > 3) return wrong();
  std::vector<int64_t> parts = *numbers;
  // What a lone number means depends on whether there are days before it.
  if (dash == std::string_view::npos && parts.size() < 3) parts.insert(parts.begin(), 0);
  parts.resize(3, 0);
  const absl::Duration time =
      absl::Hours(24 * days + parts[0]) + absl::Minutes(parts[1]) + absl::Seconds(parts[2]);
  if (time <= absl::ZeroDuration()) return wrong();
  return time;
}

std::string ShellQuoted(std::string_view word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           std::string_view("_-+=:,./@%^").find(c) != std::string_view::npos;
  });
  if (plain) return std::string(word);
  return absl::StrCat(
      "'", absl::StrReplaceAll(absl::string_view(word.data(), word.size()), {{"'", "'\\''"}}), "'");
}

std::string ShellLine(const std::vector<std::string>& words) {
  return absl::StrJoin(words, " ", [](std::string* out, const std::string& word) {
    out->append(ShellQuoted(word));
  });
}

absl::StatusOr<int64_t> ParseSubmitted(std::string_view output) {
  const absl::string_view text =
      absl::StripAsciiWhitespace(absl::string_view(output.data(), output.size()));
  const absl::string_view number = text.substr(0, text.find(';'));
  int64_t job = 0;
  const bool digits = !number.empty() && std::all_of(number.begin(), number.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
  if (digits && absl::SimpleAtoi(number, &job) && job > 0) return job;
  return absl::InvalidArgumentError(
      absl::StrCat("sbatch printed '", text.substr(0, 200), "', which is no number of a job"));
}

}  // namespace retort
