#include "client/cli/progress.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "client/cli/table.h"

namespace retort {
namespace {

constexpr std::string_view kAway = "; coordinator away";

int64_t Total(const v1::JobCounts& counts) {
  return counts.blocked() + counts.queued() + counts.leased() + counts.running() +
         counts.succeeded() + counts.failed() + counts.skipped() + counts.cancelled();
}

std::string Bar(int64_t done, int64_t total, int width) {
  const int64_t filled = total == 0 ? 0 : done * width / total;
  std::string bar = "[";
  for (int i = 0; i < width; ++i) bar += i < filled ? '#' : '.';
  return bar + "]";
}

}  // namespace

std::string ProgressLine(const SweepProgress& progress, int width) {
  const v1::Sweep& sweep = progress.sweep;
  const v1::JobCounts& counts = sweep.counts();
  const int64_t total = Total(counts);
  const int64_t ended =
      counts.succeeded() + counts.failed() + counts.skipped() + counts.cancelled();
  std::string text = absl::StrCat(" ", counts.succeeded(), "/", total, " done, ",
                                  counts.running() + counts.leased(), " running");
  if (counts.failed() > 0) absl::StrAppend(&text, ", ", counts.failed(), " failed");
  if (counts.skipped() > 0) absl::StrAppend(&text, ", ", counts.skipped(), " skipped");
  if (counts.cancelled() > 0) absl::StrAppend(&text, ", ", counts.cancelled(), " cancelled");
  if (progress.away > absl::Seconds(1)) {
    absl::StrAppend(&text, std::string(kAway), " for ", Roughly(progress.away));
  } else if (sweep.state() == v1::SWEEP_STATE_EXPANDING) {
    absl::StrAppend(&text, "; expanding");
  } else if (sweep.state() == v1::SWEEP_STATE_PAUSED) {
    absl::StrAppend(&text, "; paused", sweep.reason().empty() ? "" : ": ", sweep.reason());
  } else if (ended < total && sweep.eta_s() >= 0 && counts.running() > 0) {
    absl::StrAppend(&text, ", about ", Roughly(absl::Seconds(sweep.eta_s())), " left");
  }
  const std::string name = ShortName(sweep.name());
  const int room = width - static_cast<int>(ShownWidth(name + text)) - 4;
  const std::string bar = room < 5 ? "" : absl::StrCat(" ", Bar(ended, total, std::min(room, 24)));
  std::string line = absl::StrCat(name, bar, text);
  if (static_cast<int>(line.size()) >= width) line.resize(std::max(0, width - 1));
  return line;
}

void ProgressDisplay::Show(const SweepProgress& progress, absl::Time now) {
  const bool live = terminal_.err_is_terminal;
  const absl::Duration rate = live ? absl::Milliseconds(200) : absl::Seconds(5);
  const v1::SweepState state = progress.sweep.state();
  const bool over = state == v1::SWEEP_STATE_DONE || state == v1::SWEEP_STATE_CANCELLED;
  const std::string line = ProgressLine(progress, live ? terminal_.width : 200);
  const size_t away_at = line.find(kAway);
  const bool away = away_at != std::string::npos;
  // That the coordinator went or came back is said at once.
  if (!over && away == away_ && now - shown_at_ < rate) return;
  away_ = away;
  // Without a terminal only a change of the counts is worth a line, not each new guess of the end,
  // nor each second of an absence.
  const size_t worth = away ? away_at + kAway.size() : line.find(", about");
  const std::string key = live ? line : line.substr(0, worth);
  if (key == shown_) return;
  shown_at_ = now;
  shown_ = key;
  if (live) {
    terminal_.err << "\r\x1b[K" << line << std::flush;
  } else {
    terminal_.err << line << std::endl;
  }
}

void ProgressDisplay::Say(const std::string& message) {
  Clear();
  terminal_.err << message << std::endl;
}

void ProgressDisplay::Clear() {
  if (terminal_.err_is_terminal && !shown_.empty()) terminal_.err << "\r\x1b[K" << std::flush;
  shown_.clear();
  if (terminal_.err_is_terminal) shown_at_ = absl::InfinitePast();
}

}  // namespace retort
