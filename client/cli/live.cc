#include "client/cli/live.h"

#include <cstdlib>
#include <string>
#include <thread>

namespace retort {
namespace {

constexpr absl::Duration kFrame = absl::Milliseconds(200);

// Until `over`; OK at q.
absl::Status Show(const Terminal& terminal, const LiveView& view, TerminalSignals& signals,
                  const std::atomic<bool>& over) {
  while (!over && !view.lines({}).has_value()) {
    if (const int signal = signals.Take(); signal != 0 && signal != SIGWINCH) {
      return absl::CancelledError("interrupted");
    }
    absl::SleepFor(absl::Milliseconds(20));
  }
  if (over) return absl::OkStatus();
  Screen screen(signals);
  while (!over) {
    if (const auto lines = view.lines(screen.size()); lines.has_value()) {
      screen.Draw(*lines, terminal.colour);
    }
    const ScreenEvent event = screen.Wait(kFrame);
    if (event == ScreenEvent::kQuit) return absl::OkStatus();
    if (event == ScreenEvent::kInterrupted) return absl::CancelledError("interrupted");
  }
  return absl::OkStatus();
}

}  // namespace

bool CanShowLive(const Terminal& terminal) {
  const char* kind = std::getenv("TERM");
  return terminal.out_is_terminal && kind != nullptr && *kind != '\0' &&
         std::string(kind) != "dumb";
}

absl::Status ShowLive(const Terminal& terminal, const LiveView& view) {
  std::atomic<bool> stop = false, over = false;
  absl::Status answer;
  std::thread thread([&] {
    answer = view.ask(stop);
    over = true;
  });
  absl::Status shown;
  {
    TerminalSignals signals;
    shown = Show(terminal, view, signals, over);
  }
  // A coordinator that hangs may keep a call for long: from here on Ctrl-C ends the process.
  const bool ended = over;
  stop = true;
  thread.join();
  return ended ? answer : shown;
}

}  // namespace retort
