// Logging of the long-lived programs: to standard error, so that standard output stays data.
//
// As text for people, or as JSON, one object a line, for what collects logs. What a line is about
// is told by LogAbout, and stands in fields of its own there; as text, messages name it themselves.
#ifndef RETORT_COMMON_LOG_H_
#define RETORT_COMMON_LOG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "spdlog/spdlog.h"

namespace retort {

struct LogOptions {
  std::string program;          // `retort-server`
  std::string level = "info";   // trace, debug, info, warn or error
  std::string format = "text";  // or json
  std::string worker = {};      // of a worker's own program: stands in each line of JSON
};

// Call once at the start of main. INVALID_ARGUMENT names the flag, --log-level or --log-format.
absl::Status StartLogging(const LogOptions& options);

// Whom or what a line is about; empty or 0: nothing of this kind.
struct LogSubject {
  std::string_view sweep = {};   // its id
  std::string_view worker = {};  // its name
  std::string_view job = {};     // 64 hexadecimal digits
  int32_t attempt = 0;
};

// While it lives, lines of this thread are about the subject, and about what those around it say
// of what it leaves out. What it is given has to live as long. Costs as good as nothing.
class LogAbout {
 public:
  explicit LogAbout(const LogSubject& subject);
  ~LogAbout();
  LogAbout(const LogAbout&) = delete;
  LogAbout& operator=(const LogAbout&) = delete;

  // What lines of this thread are about now.
  static LogSubject Now();

 private:
  const LogSubject outer_;
};

// What JSON lines are made by; `program` and `worker` as in LogOptions.
std::unique_ptr<spdlog::formatter> MakeJsonFormatter(const std::string& program,
                                                     const std::string& worker);

}  // namespace retort

#endif  // RETORT_COMMON_LOG_H_
