// Live progress of a sweep: a line that is redrawn on a terminal, plain lines elsewhere.
#ifndef RETORT_CLIENT_CLI_PROGRESS_H_
#define RETORT_CLIENT_CLI_PROGRESS_H_

#include <ostream>
#include <string>

#include "absl/time/time.h"
#include "client/cli/context.h"
#include "client/sdk/client.h"

namespace retort {

// Jobs of a sweep, in one line of at most `width` characters: bar, counts, time left.
std::string ProgressLine(const SweepProgress& progress, int width);

// Threads: one. Ends its line when it is destroyed, so that the terminal is left as it was.
class ProgressDisplay {
 public:
  explicit ProgressDisplay(const Terminal& terminal) : terminal_(terminal) {}
  ~ProgressDisplay() { Clear(); }

  // Shows the state; on a terminal at most five times a second, elsewhere when counts changed and
  // the last line is at least five seconds old. That the coordinator went away or came back is
  // shown at once.
  void Show(const SweepProgress& progress, absl::Time now);
  // Writes a line above the live one.
  void Say(const std::string& message);
  // Takes the live line away.
  void Clear();

 private:
  const Terminal& terminal_;
  std::string shown_;
  bool away_ = false;  // as last shown
  absl::Time shown_at_ = absl::InfinitePast();
};

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_PROGRESS_H_
