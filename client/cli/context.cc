#include "client/cli/context.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <iostream>

#include "absl/strings/str_format.h"
#include "common/status.h"

namespace retort {
namespace {

// Set by a signal handler, which can reach nothing else.
volatile sig_atomic_t interrupted = 0;

void OnInterrupt(int) {
  if (interrupted) _exit(kInterrupted);
  interrupted = 1;
}

}  // namespace

ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kDone;
    case absl::StatusCode::kNotFound:
      return kNotFound;
    case absl::StatusCode::kUnavailable:
      return kUnavailable;
    case absl::StatusCode::kDeadlineExceeded:
      return kTimedOut;
    case absl::StatusCode::kCancelled:
      return kInterrupted;
    default:
      return kUsage;
  }
}

Terminal Terminal::OfProcess() {
  Terminal terminal{std::cout, std::cerr};
  terminal.out_is_terminal = isatty(STDOUT_FILENO) == 1;
  terminal.err_is_terminal = isatty(STDERR_FILENO) == 1;
  const char* no_colour = std::getenv("NO_COLOR");
  const char* kind = std::getenv("TERM");
  const bool plain = (no_colour != nullptr && *no_colour != '\0') || kind == nullptr ||
                     std::string(kind) == "dumb";
  terminal.colour = terminal.out_is_terminal && !plain;
  winsize size{};
  const int fd = terminal.out_is_terminal ? STDOUT_FILENO : STDERR_FILENO;
  if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) terminal.width = size.ws_col;
  return terminal;
}

void Context::Fail(const absl::Status& status) {
  if (status.ok()) return;
  terminal.err << "retort: " << MessageOf(status) << std::endl;
  if (absl::IsUnavailable(status)) {
    terminal.err
        << (source.access.tls || !source.path.empty()
                ? "Is it running, and does the access file speak of it? See --access.\n"
                : "Start one with retort-server, or name another with --coordinator "
                  "HOST:PORT; one on another machine asks for its access file, --access.\n")
        << std::flush;
  }
  exit_code = ExitCodeOf(status);
}

bool WasInterrupted() { return interrupted != 0; }

void CatchInterrupts() {
  struct sigaction action {};
  action.sa_handler = OnInterrupt;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGHUP, &action, nullptr);
}

std::string ShortName(const std::string& resource) {
  return resource.substr(resource.rfind('/') + 1);
}

Json Number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

std::string Fixed(double value, int digits) {
  return std::isfinite(value) ? absl::StrFormat("%.*f", digits, value) : "-";
}

std::string Roughly(absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  if (seconds < 90) return absl::StrFormat("%.0f s", seconds);
  if (seconds < 90 * 60) return absl::StrFormat("%.0f min", seconds / 60);
  return absl::StrFormat("%.1f h", seconds / 3600);
}

std::string Escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool control = (byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f;
    if (control) {
      absl::StrAppendFormat(&out, "\\x%02x", byte);
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace retort
