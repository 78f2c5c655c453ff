// Live views: a thread that asks the coordinator, and a screen that shows what it has learnt.
#ifndef RETORT_CLIENT_CLI_LIVE_H_
#define RETORT_CLIENT_CLI_LIVE_H_

#include <atomic>
#include <functional>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "client/cli/context.h"
#include "client/cli/screen.h"

namespace retort {

// What is shown. `ask` runs on a thread of its own, `lines` on the caller's; what they share is
// theirs to lock.
struct LiveView {
  // Asks until there is nothing more to ask, or `stop` is set, which it looks at once a second.
  std::function<absl::Status(const std::atomic<bool>& stop)> ask;
  // Nothing as long as nothing is known.
  std::function<std::optional<std::vector<ViewLine>>(ScreenSize size)> lines;
};

// True if the terminal can show a full-screen view: output goes to one that is not dumb.
bool CanShowLive(const Terminal& terminal);

// Shows the view full screen from the first news on until `ask` returns or somebody ends it (q,
// Ctrl-C, SIGTERM, SIGHUP), and gives the terminal back as it was. OK after q, CANCELLED if it was
// interrupted, else what `ask` returned.
absl::Status ShowLive(const Terminal& terminal, const LiveView& view);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_LIVE_H_
