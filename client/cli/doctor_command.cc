// `retort admin doctor`.
#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/cli/commands.h"
#include "client/cli/process.h"
#include "client/cli/table.h"
#include "common/access/checkups.h"
#include "common/checkups.h"
#include "common/fields.h"
#include "common/program.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr size_t kWhatWidth = 15;  // of the longest word of a checkup

struct DoctorFlags {
  bool worker = false;
  std::vector<std::string> worker_flags;
};

std::string StateWord(v1::CheckupState state) {
  return EnumWord(*v1::CheckupState_descriptor(), state);
}

Json CheckupRow(const v1::Checkup& checkup) {
  return {{"where", checkup.where()},
          {"what", checkup.what()},
          {"state", StateWord(checkup.state())},
          {"found", checkup.found()},
          {"advice", checkup.advice()}};
}

// Words in lines of at most `width` columns.
std::vector<std::string> Wrapped(const std::string& text, size_t width) {
  std::vector<std::string> lines(1);
  for (const absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    const std::string next(word);
    const bool fits = ShownWidth(lines.back()) + 1 + ShownWidth(next) <= width;
    if (lines.back().empty()) {
      lines.back() = next;
    } else if (fits) {
      absl::StrAppend(&lines.back(), " ", next);
    } else {
      lines.push_back(next);
    }
  }
  return lines;
}

// For people: what was looked at by machine, what was found, and what to do where it is not well.
void Show(Terminal& terminal, const std::vector<v1::Checkup>& checkups) {
  const std::string margin(2 + 8 + kWhatWidth + 1, ' ');
  const size_t width =
      std::max(size_t{20}, static_cast<size_t>(terminal.width) - margin.size() - 1);
  const auto write = [&](std::string head, const std::string& text) {
    for (const std::string& line : Wrapped(text, width)) {
      terminal.out << std::exchange(head, margin) << line << "\n";
    }
  };
  std::string where;
  for (const v1::Checkup& checkup : checkups) {
    if (checkup.where() != where) terminal.out << (where = checkup.where()) << "\n";
    const bool ok = checkup.state() == v1::CHECKUP_STATE_OK;
    const bool error = checkup.state() == v1::CHECKUP_STATE_ERROR;
    std::string state = StateWord(checkup.state());
    state.resize(8, ' ');
    if (terminal.colour && !ok)
      state = absl::StrCat(error ? "\x1b[31m" : "\x1b[33m", state, "\x1b[0m");
    std::string what = checkup.what();
    what.resize(std::max(kWhatWidth, what.size()), ' ');
    write(absl::StrCat("  ", state, what, " "), Escaped(checkup.found()));
    if (!ok && !checkup.advice().empty()) write(margin, "-> " + Escaped(checkup.advice()));
  }
  terminal.out << std::flush;
}

// Every command has read it by now, and ends where it is wrong.
v1::Checkup LookAtConfig() {
  const ConfigPlace place = ConfigPlace::OfProcess();
  std::error_code error;
  const bool there = !place.path.empty() && std::filesystem::exists(place.path, error);
  return MakeCheckup("client", "config", v1::CHECKUP_STATE_OK,
                     there                ? place.path + " was read"
                     : place.path.empty() ? "no configuration file"
                                          : "no configuration file; it would be " + place.path);
}

// What retort-worker says of itself and of its runner, with these flags.
std::vector<v1::Checkup> AskWorker(const Context& context, const DoctorFlags& flags) {
  const auto failed = [](const std::string& found) {
    return std::vector<v1::Checkup>{
        MakeCheckup("worker", "program", v1::CHECKUP_STATE_ERROR, found,
                    "retort-worker must be able to run here, with these flags")};
  };
  const auto program = FindProgram("retort-worker");
  if (!program.ok()) return failed(MessageOf(program.status()));
  std::vector<std::string> command = {*program, "doctor", "--json"};
  // What was said to us of the coordinator is meant for it too, unless its flags say otherwise;
  // a client's access file is not, for a worker needs one of its own role.
  if (!context.choice.coordinator.empty()) {
    command.insert(command.end(), {"--coordinator", context.choice.coordinator});
  }
  command.insert(command.end(), flags.worker_flags.begin(), flags.worker_flags.end());
  const auto answer = RunProgram({.command = command, .limit = absl::Minutes(2)});
  if (!answer.ok()) return failed(MessageOf(answer.status()));
  std::vector<v1::Checkup> checkups;
  for (const absl::string_view line : absl::StrSplit(answer->out, '\n', absl::SkipEmpty())) {
    const Json json = Json::parse(std::string(line), nullptr, false);
    if (!json.is_object()) continue;
    v1::CheckupState state = v1::CHECKUP_STATE_ERROR;
    for (const v1::CheckupState known : {v1::CHECKUP_STATE_OK, v1::CHECKUP_STATE_WARNING}) {
      if (json.value("state", "") == StateWord(known)) state = known;
    }
    checkups.push_back(MakeCheckup("worker", json.value("what", ""), state, json.value("found", ""),
                                   json.value("advice", "")));
  }
  if (checkups.empty()) return failed(answer->err.empty() ? "it said nothing" : answer->err);
  return checkups;
}

void Doctor(Context& context, const DoctorFlags& flags) {
  if (!flags.worker && !flags.worker_flags.empty()) {
    return context.Fail(absl::InvalidArgumentError(absl::StrCat(
        "'", flags.worker_flags.front(), "': flags of retort-worker go with --worker")));
  }
  std::vector<v1::Checkup> checkups = {LookAtConfig()};
  WayCheckups way;
  if (context.source_status.ok()) {
    way = CheckWay("client", context.source, RETORT_VERSION);
  } else {
    way.checkups.push_back(MakeCheckup("client", "access", v1::CHECKUP_STATE_ERROR,
                                       MessageOf(context.source_status),
                                       "copy it anew from the coordinator's folder access"));
    way.open = true;  // nobody has looked
  }
  std::move(way.checkups.begin(), way.checkups.end(), std::back_inserter(checkups));
  if (way.reached) {
    const auto own = context.NewClient().Diagnose();
    if (own.ok()) {
      checkups.insert(checkups.end(), own->begin(), own->end());
    } else {
      const bool role = absl::IsPermissionDenied(own.status());
      checkups.push_back(MakeCheckup(
          "coordinator", "diagnosis", v1::CHECKUP_STATE_WARNING, MessageOf(own.status()),
          role ? "ask with an access file of role viewer, operator or admin"
               : "ask again, or look on its machine"));
    }
  }
  if (flags.worker) {
    const auto worker = AskWorker(context, flags);
    checkups.insert(checkups.end(), worker.begin(), worker.end());
  }
  if (context.format == Format::kTable && !context.wide) {
    Show(context.terminal, checkups);
  } else {
    std::vector<Json> rows;
    for (const v1::Checkup& checkup : checkups) rows.push_back(CheckupRow(checkup));
    EmitRows(context, rows,
             {{"where", "where", 0, {}, Room::kNeeded},
              {"what", "what", 0, {}, Room::kNeeded},
              {"state", "state", 0, {}, Room::kNeeded},
              {"found", "found", 0, {}, Room::kNeeded},
              {"advice", "advice", 0, {}, Room::kUsual}});
  }
  const auto count = [&](v1::CheckupState state) {
    return std::count_if(checkups.begin(), checkups.end(),
                         [state](const v1::Checkup& c) { return c.state() == state; });
  };
  const auto errors = count(v1::CHECKUP_STATE_ERROR);
  context.terminal.err << checkups.size() << " checkups, " << count(v1::CHECKUP_STATE_WARNING)
                       << " warnings, " << errors << " errors" << std::endl;
  if (errors > 0) context.exit_code = kJobsFailed;
  if (!way.open) context.exit_code = kUnavailable;
}

}  // namespace

void AddDoctorCommand(CLI::App& admin, Context& context) {
  CLI::App* doctor = admin.add_subcommand(
      "doctor",
      "look at this machine, the way to the coordinator and its machine: versions, clocks, disk, "
      "permissions, open ports; exit code 1 if something does not work");
  const auto flags = std::make_shared<DoctorFlags>();
  doctor->add_flag("--worker", flags->worker,
                   "also look at this machine as a worker: folder, runner, BLAS, GPUs");
  doctor->add_option("WORKER_FLAGS", flags->worker_flags,
                     "behind --: flags of the retort-worker that is to run here");
  doctor->callback([&context, flags] { Doctor(context, *flags); });
}

}  // namespace retort
