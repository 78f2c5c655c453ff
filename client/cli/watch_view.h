// What `retort sweep watch` shows: what the coordinator said, and the room there is, as lines.
// Pure: no terminal, no clock.
#ifndef RETORT_CLIENT_CLI_WATCH_VIEW_H_
#define RETORT_CLIENT_CLI_WATCH_VIEW_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/context.h"
#include "retort/v1/resources.pb.h"

namespace retort {

struct ScreenSize {
  int width = 80;   // columns
  int height = 24;  // lines
};

// How a terminal with colours may show a line.
enum class LineStyle {
  kPlain,
  kTitle,  // what it is all about
  kHead,   // names of columns
  kBar,    // its `#`, `>` and `x` stand for what is done, under way and failed
  kAlert,  // what somebody should see to
  kFaint,
};

struct ViewLine {
  std::string text;  // without control characters
  LineStyle style = LineStyle::kPlain;
};

// What is known of a sweep.
struct WatchModel {
  v1::Sweep sweep;
  std::vector<v1::Job> running;  // and leased; with latest metrics where they are known
  std::vector<v1::Job> failed;   // the latest first
  std::vector<v1::Worker> workers;
  absl::Time heard = absl::InfinitePast();  // when the coordinator last said something
};

// Without news for so long, the coordinator is shown as away.
inline constexpr absl::Duration kSilence = absl::Seconds(5);

// The value of a series in the latest metrics of a job; NaN if it is not there.
double LatestOf(const v1::Job& job, std::string_view series);

// At most `size.height` lines of at most `size.width` characters: the state of the sweep, running
// jobs, workers, jobs that failed. Where there is no room for all rows, each kind gets its share
// and says how many are left out.
std::vector<ViewLine> WatchLines(const WatchModel& model, absl::Time now, ScreenSize size);

// The same for workers alone, as `retort worker list --watch` shows them.
std::vector<ViewLine> WorkerLines(const std::vector<v1::Worker>& workers, absl::Time heard,
                                  absl::Time now, ScreenSize size);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_WATCH_VIEW_H_
