#include "client/cli/screen.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace retort {
namespace {

// The alternate screen, without cursor; lines end at the right edge instead of going on below.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[?7l";
constexpr std::string_view kLeave = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

constexpr std::array<int, 4> kSignals = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};

// Where the handler writes, which can reach nothing else. Blocking signals instead would not do:
// libraries start threads before main, which do not inherit it.
volatile sig_atomic_t signal_pipe = -1;

void OnSignal(int signal) {
  const int error = errno;
  const auto byte = static_cast<unsigned char>(signal);
  if (write(signal_pipe, &byte, 1) < 0) {  // full: there is enough to read
  }
  errno = error;
}

void WriteAll(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(STDOUT_FILENO, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // the terminal is gone; SIGHUP says so
    bytes.remove_prefix(static_cast<size_t>(written));
  }
}

std::string PaintedBar(const std::string& text) {
  std::string out;
  char last = 0;
  for (const char c : text) {
    if (c != last) {
      absl::StrAppend(&out, "\x1b[0",
                      c == '#'   ? ";32"
                      : c == '>' ? ";36"
                      : c == 'x' ? ";31"
                                 : "",
                      "m");
    }
    last = c;
    out += c;
  }
  return out + "\x1b[0m";
}

std::string PaintedLine(const ViewLine& line) {
  switch (line.style) {
    case LineStyle::kPlain:
      return line.text;
    case LineStyle::kTitle:
      return "\x1b[1m" + line.text + "\x1b[0m";
    case LineStyle::kHead:
      return "\x1b[1;4m" + line.text + "\x1b[0m";
    case LineStyle::kBar:
      return PaintedBar(line.text);
    case LineStyle::kAlert:
      return "\x1b[31m" + line.text + "\x1b[0m";
    case LineStyle::kFaint:
      return "\x1b[2m" + line.text + "\x1b[0m";
  }
  return line.text;
}

}  // namespace

TerminalSignals::TerminalSignals() {
  if (pipe2(pipe_, O_NONBLOCK | O_CLOEXEC) != 0) return;  // then signals do what they always do
  signal_pipe = pipe_[1];
  struct sigaction action {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &before_[i]);
}

TerminalSignals::~TerminalSignals() {
  if (pipe_[0] < 0) return;
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
  signal_pipe = -1;
  close(pipe_[0]);
  close(pipe_[1]);
}

int TerminalSignals::Take() {
  unsigned char signal = 0;
  return read(pipe_[0], &signal, 1) == 1 ? signal : 0;
}

Screen::Screen(TerminalSignals& signals) : signals_(signals) { Enter(); }

void Screen::Enter() {
  keys_ = isatty(STDIN_FILENO) == 1 && tcgetattr(STDIN_FILENO, &before_) == 0;
  if (keys_) {
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | IEXTEN);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    // Ctrl-Z comes as a key, so that the terminal can be given back before stopping.
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;
    keys_ = tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) == 0;
  }
  WriteAll(kEnter);
  shown_.clear();
  taken_ = true;
}

void Screen::Leave() {
  if (!taken_) return;
  taken_ = false;
  WriteAll(kLeave);
  if (keys_) tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
}

ScreenSize Screen::size() const {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
    return {};
  }
  return {size.ws_col, size.ws_row};
}

void Screen::Draw(const std::vector<ViewLine>& lines, bool colour) {
  std::string bytes = Painted(lines, size().height, colour);
  if (bytes == shown_) return;
  WriteAll(bytes);
  shown_ = std::move(bytes);
}

ScreenEvent Screen::OnKey(char key) {
  constexpr char kCtrlD = 0x04, kCtrlL = 0x0c, kCtrlZ = 0x1a;
  if (key == 'q' || key == 'Q' || key == kCtrlD) return ScreenEvent::kQuit;
  if (key == kCtrlZ) {
    Leave();
    raise(SIGSTOP);  // until `fg`
    Enter();
    return ScreenEvent::kRedraw;
  }
  if (key != kCtrlL) return ScreenEvent::kNothing;
  shown_.clear();
  return ScreenEvent::kRedraw;
}

ScreenEvent Screen::Wait(absl::Duration patience) {
  pollfd files[2] = {{signals_.fd(), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  const auto wait_ms = static_cast<int>(absl::ToInt64Milliseconds(patience));
  if (poll(files, keys_ ? 2 : 1, wait_ms) <= 0) return ScreenEvent::kNothing;
  if (const int signal = signals_.Take(); signal == SIGWINCH) {
    shown_.clear();
    return ScreenEvent::kRedraw;
  } else if (signal != 0) {
    return ScreenEvent::kInterrupted;
  }
  if (!keys_ || files[1].revents == 0) return ScreenEvent::kNothing;
  char key = 0;
  // Readable, and nothing there: the terminal is gone.
  return read(STDIN_FILENO, &key, 1) == 1 ? OnKey(key) : ScreenEvent::kInterrupted;
}

std::string Painted(const std::vector<ViewLine>& lines, int height, bool colour) {
  std::string out = "\x1b[H";
  for (size_t i = 0; i < static_cast<size_t>(height); ++i) {
    // Cleared before it is written: behind a line as wide as the terminal the cursor stands on its
    // last character.
    absl::StrAppend(&out, i == 0 ? "" : "\r\n", "\x1b[K");
    if (i < lines.size()) out += colour ? PaintedLine(lines[i]) : lines[i].text;
  }
  return out;
}

}  // namespace retort
