// A terminal that is taken for a full-screen view, and given back as it was.
#ifndef RETORT_CLIENT_CLI_SCREEN_H_
#define RETORT_CLIENT_CLI_SCREEN_H_

#include <signal.h>
#include <termios.h>

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/watch_view.h"

namespace retort {

// SIGINT, SIGTERM, SIGHUP and SIGWINCH as something to be read: nothing ends the process between
// taking a terminal and giving it back. One at a time in a process.
class TerminalSignals {
 public:
  TerminalSignals();
  ~TerminalSignals();
  TerminalSignals(const TerminalSignals&) = delete;
  TerminalSignals& operator=(const TerminalSignals&) = delete;

  // The next signal that came, or 0.
  int Take();
  // Readable once there is one.
  int fd() const { return pipe_[0]; }

 private:
  int pipe_[2] = {-1, -1};
  struct sigaction before_[4] = {};
};

// What a person or the system did.
enum class ScreenEvent {
  kNothing,      // until the time was over
  kQuit,         // q, or Ctrl-D
  kInterrupted,  // Ctrl-C, SIGTERM; or the terminal is gone
  kRedraw,       // another size, back from Ctrl-Z, or Ctrl-L
};

// The terminal of standard output, on its alternate screen without a cursor; keys are read from
// standard input if that is a terminal too. Threads: one.
class Screen {
 public:
  // `signals` must outlive it.
  explicit Screen(TerminalSignals& signals);
  ~Screen() { Leave(); }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  ScreenSize size() const;
  // Shows these lines, from the top; nothing is written if they are what is shown.
  void Draw(const std::vector<ViewLine>& lines, bool colour);
  // Waits for something to happen. At Ctrl-Z the process stops, with the terminal given back.
  ScreenEvent Wait(absl::Duration patience);

 private:
  void Enter();
  void Leave();
  ScreenEvent OnKey(char key);

  TerminalSignals& signals_;
  bool taken_ = false;
  bool keys_ = false;  // standard input is a terminal, and its settings were changed
  termios before_{};
  std::string shown_;
};

// The bytes that show the lines from the top left and clear the rest of the screen's `height`.
std::string Painted(const std::vector<ViewLine>& lines, int height, bool colour);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_SCREEN_H_
