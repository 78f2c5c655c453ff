#include "client/launch/hosts.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr char kAnswer[] = "retort-launch: ";

// With $1 the folder and $2 the file that the worker's arguments name, or nothing; the rest is the
// worker's command line. The process number is that of the worker itself: setsid, not being the
// first of its group, becomes what it starts.
constexpr char kStart[] = R"sh(set -eu
umask 077
cd; mkdir -p -- "$1"; cd -- "$1"; shift
if [ -n "$1" ]; then cat >"$1.new"; mv -f -- "$1.new" "$1"; fi
shift
says() { echo "retort-launch: $*"; exit 0; }
if [ -s unit ] && systemctl --user --quiet is-active "$(cat unit)"; then
  says running as "$(cat unit)"
fi
if [ -s pid ] && grep -qa retort-worker "/proc/$(cat pid)/cmdline" 2>/dev/null; then
  says running as process "$(cat pid)"
fi
rm -f unit pid
command -v "$1" >/dev/null || { echo "$1: there is no such program" >&2; exit 127; }
if [ "$(loginctl show-user "$(id -un)" --property=Linger --value 2>/dev/null)" = yes ] &&
   systemctl --user show-environment >/dev/null 2>&1; then
  unit=retort-worker-$(pwd | cksum | cut -d" " -f1)
  systemd-run --user --quiet --collect --unit="$unit" --working-directory="$(pwd)" \
    --property=KillMode=mixed --property=TimeoutStopSec=5min --property=Restart=on-failure \
    --property=StandardOutput="append:$(pwd)/log" --property=StandardError="append:$(pwd)/log" \
    -- "$@"
  echo "$unit" >unit
  says started as "$unit"
fi
setsid "$@" >>log 2>&1 </dev/null &
pid=$!
echo $pid >pid
sleep 1
kill -0 $pid 2>/dev/null || { rm -f pid; tail -n 1 log >&2; exit 1; }
says started as process $pid
)sh";

constexpr char kStop[] = R"sh(set -eu
says() { echo "retort-launch: $*"; exit 0; }
cd; cd -- "$1" 2>/dev/null || says nothing runs
if [ -s unit ] && systemctl --user --quiet is-active "$(cat unit)"; then
  systemctl --user stop "$(cat unit)"; rm -f unit; says stopped
fi
[ -s pid ] || says nothing runs
pid=$(cat pid)
runs() { grep -qa retort-worker "/proc/$pid/cmdline" 2>/dev/null; }
runs || { rm -f pid; says nothing runs; }
kill -TERM "$pid"
left=$2
while [ "$left" -gt 0 ] && runs; do sleep 1; left=$((left - 1)); done
if runs; then says draining; fi
rm -f pid
says stopped
)sh";

// The login shell there may be any; sh gets script and words as arguments.
std::string Command(const char* script, const std::vector<std::string>& words) {
  std::vector<std::string> line = {"sh", "-c", script, "retort-launch"};
  line.insert(line.end(), words.begin(), words.end());
  return ShellLine(line);
}

// A name that ssh cannot take for an option.
bool IsHostName(absl::string_view name) {
  return !name.empty() && name[0] != '-' && std::all_of(name.begin(), name.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
           absl::string_view("._@:-[]%").find(c) != absl::string_view::npos;
  });
}

absl::Status SetKey(Host& host, absl::string_view word) {
  const size_t equals = word.find('=');
  const absl::string_view key = word.substr(0, equals);
  const absl::string_view value = equals == absl::string_view::npos ? "" : word.substr(equals + 1);
  if (key == "slots") {
    if (absl::SimpleAtoi(value, &host.slots) && host.slots >= 1 && host.slots <= 1024) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        absl::StrCat("slots: '", value, "'; expected a number from 1 to 1024"));
  }
  if ((key == "device" || key == "folder") && !value.empty()) {
    (key == "device" ? host.device : host.folder) = std::string(value);
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("'", word, "'; expected slots=N, device=D or folder=F"));
}

absl::StatusOr<Host> ParseHost(absl::string_view line) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  Host host;
  host.name = std::string(words[0]);
  if (!IsHostName(words[0])) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", words[0], "' is no host; expected HOST or USER@HOST"));
  }
  for (size_t i = 1; i < words.size(); ++i) RETORT_RETURN_IF_ERROR(SetKey(host, words[i]));
  return host;
}

}  // namespace

absl::StatusOr<std::vector<Host>> ParseHosts(std::string_view text) {
  std::vector<Host> hosts;
  std::set<std::pair<std::string, std::string>> known;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    auto host = ParseHost(line);
    if (!host.ok()) return Annotate(host.status(), absl::StrCat("line ", number));
    if (!known.emplace(host->name, host->folder).second) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number, ": ", host->name,
                                                     " is there already; a second worker of ",
                                                     "a host needs a folder= of its own"));
    }
    hosts.push_back(*std::move(host));
  }
  if (hosts.empty()) return absl::InvalidArgumentError("no host; expected one a line");
  return hosts;
}

std::string StartCommand(const Host& host, const WorkerCommand& worker) {
  WorkerCommand there = worker;
  // It is started in its folder, which is written relative to that.
  if (!there.access.empty()) there.access = "worker.access";
  std::vector<std::string> words = {host.folder, there.access, there.program, "--folder", "."};
  if (host.slots > 0) words.insert(words.end(), {"--slots", absl::StrCat(host.slots)});
  if (!host.device.empty()) words.insert(words.end(), {"--device", host.device});
  const std::vector<std::string> rest = there.Arguments();
  words.insert(words.end(), rest.begin(), rest.end());
  return Command(kStart, words);
}

std::string StopCommand(const Host& host, absl::Duration patience) {
  return Command(kStop, {host.folder, absl::StrCat(absl::ToInt64Seconds(patience))});
}

absl::StatusOr<std::string> LaunchAnswer(std::string_view output) {
  const absl::string_view text(output.data(), output.size());
  std::string answer;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StartsWith(line, kAnswer)) answer = std::string(line.substr(sizeof kAnswer - 1));
  }
  if (!answer.empty()) return answer;
  return absl::NotFoundError("the host did not say what became of it");
}

}  // namespace retort
