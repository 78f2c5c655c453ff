#include "server/offline.h"

#include <unistd.h>

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "common/clock.h"
#include "common/status.h"
#include "server/upkeep/upkeep.h"

namespace retort {
namespace {

constexpr int kDone = 0;
constexpr int kFound = 1;
constexpr int kCannot = 4;

const char* WordFor(FindingCode code) {
  switch (code) {
    case FindingCode::kDatabaseDamaged:
      return "DATABASE_DAMAGED";
    case FindingCode::kRowsInconsistent:
      return "ROWS_INCONSISTENT";
    case FindingCode::kArtifactMissing:
      return "ARTIFACT_MISSING";
    case FindingCode::kArtifactDamaged:
      return "ARTIFACT_DAMAGED";
    case FindingCode::kArtifactSize:
      return "ARTIFACT_SIZE";
    case FindingCode::kStrayFile:
      return "STRAY_FILE";
    case FindingCode::kUnreadable:
      return "UNREADABLE";
  }
  return "UNKNOWN";
}

void Print(const Finding& finding) {
  std::printf("%s %s: %s\n", WordFor(finding.code), finding.subject.c_str(),
              finding.message.c_str());
}

// Progress on one line that is written over, where somebody watches.
UpkeepWatch WatchOnTerminal() {
  UpkeepWatch watch;
  watch.finding = Print;
  if (isatty(STDERR_FILENO) == 0) return watch;
  watch.progress = [last = absl::InfinitePast()](const UpkeepProgress& progress) mutable {
    if (absl::Now() - last < absl::Milliseconds(200)) return;
    last = absl::Now();
    std::fprintf(stderr, "\r%s: %lld artifacts, %lld MB \r", progress.step.c_str(),
                 static_cast<long long>(progress.done_artifacts),
                 static_cast<long long>(progress.done_bytes >> 20));
  };
  return watch;
}

int Cannot(const absl::Status& status) {
  std::fprintf(stderr, "retort-server: %s\n", MessageOf(status).c_str());
  return kCannot;
}

int Check(const OfflineFlags& flags) {
  const auto report = CheckFolder(flags.folder, {.quick = flags.quick}, WatchOnTerminal());
  if (!report.ok()) return Cannot(report.status());
  std::printf(
      "%lld sweeps, %lld jobs, %lld results, %lld artifacts: %s\n",
      static_cast<long long>(report->facts.sweeps), static_cast<long long>(report->facts.jobs),
      static_cast<long long>(report->facts.results), static_cast<long long>(report->artifacts),
      report->errors == 0 ? "all is well"
                          : absl::StrCat(report->errors, " things are wrong").c_str());
  if (report->unreferenced > 0) {
    std::printf("%lld artifacts (%lld bytes) are not referred to; a coordinator collects them\n",
                static_cast<long long>(report->unreferenced),
                static_cast<long long>(report->unreferenced_bytes));
  }
  return report->errors == 0 ? kDone : kFound;
}

int Restore(const OfflineFlags& flags) {
  const auto report =
      RestoreBackup(flags.from, flags.folder, SystemClock().Read(), WatchOnTerminal());
  if (!report.ok()) return Cannot(report.status());
  std::printf("restored %lld sweeps, %lld jobs, %lld results of %s\n",
              static_cast<long long>(report->manifest.sweeps),
              static_cast<long long>(report->manifest.jobs),
              static_cast<long long>(report->manifest.results),
              absl::FormatTime(absl::FromUnixMillis(report->manifest.time_ms)).c_str());
  std::printf("%lld jobs that ran then wait again; attempt numbers go on %d higher\n",
              static_cast<long long>(report->requeued), report->raised);
  return kDone;
}

}  // namespace

void AddOfflineCommands(CLI::App& app, OfflineFlags& flags) {
  flags.check = app.add_subcommand(
      "check",
      "Check database and artifacts of a folder in which no coordinator runs, or of a "
      "backup; changes nothing");
  flags.check->add_option("--folder", flags.folder, "The folder to check")
      ->envname("RETORT_FOLDER")
      ->required();
  flags.check->add_flag("--quick", flags.quick,
                        "Do not read artifacts and every metric point, only look for them");
  flags.restore = app.add_subcommand(
      "restore",
      "Make a coordinator's folder from a backup. Stop the old coordinator first: jobs "
      "that ran when the backup was made run again");
  flags.restore->add_option("--from", flags.from, "The backup")->required();
  flags.restore
      ->add_option("--folder", flags.folder, "The folder to make; must not exist, or be empty")
      ->envname("RETORT_FOLDER")
      ->required();
  app.require_subcommand(0, 1);
}

int RunOffline(const OfflineFlags& flags) {
  return flags.check->parsed() ? Check(flags) : Restore(flags);
}

}  // namespace retort
