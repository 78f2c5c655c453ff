#include "common/log.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "spdlog/formatter.h"
#include "spdlog/sinks/stdout_sinks.h"

namespace retort {
namespace {

thread_local LogSubject subject_now;

// What a subject leaves out is as around it.
LogSubject Within(const LogSubject& outer, const LogSubject& inner) {
  LogSubject merged = outer;
  if (!inner.sweep.empty()) merged.sweep = inner.sweep;
  if (!inner.worker.empty()) merged.worker = inner.worker;
  if (!inner.job.empty()) merged.job = inner.job;
  if (inner.attempt != 0) merged.attempt = inner.attempt;
  return merged;
}

class JsonFormatter : public spdlog::formatter {
 public:
  JsonFormatter(std::string program, std::string worker)
      : program_(std::move(program)), worker_(std::move(worker)) {}

  void format(const spdlog::details::log_msg& line, spdlog::memory_buf_t& out) override {
    const LogSubject subject = LogAbout::Now();
    const std::string_view worker = subject.worker.empty() ? worker_ : subject.worker;
    nlohmann::ordered_json json;
    json["time"] =
        absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::FromChrono(line.time), absl::UTCTimeZone());
    json["level"] = Word(line.level);
    json["program"] = program_;
    if (!subject.sweep.empty()) json["sweep"] = subject.sweep;
    if (!worker.empty()) json["worker"] = worker;
    if (!subject.job.empty()) json["job"] = subject.job;
    if (subject.attempt != 0) json["attempt"] = subject.attempt;
    json["message"] = std::string_view(line.payload.data(), line.payload.size());
    // Messages may quote what others sent: a wrong byte becomes U+FFFD, and the line stays JSON.
    std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    text += '\n';
    out.append(text.data(), text.data() + text.size());
  }

  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<JsonFormatter>(program_, worker_);
  }

 private:
  static std::string_view Word(spdlog::level::level_enum level) {
    const auto word = spdlog::level::to_string_view(level);
    return {word.data(), word.size()};
  }

  const std::string program_;
  const std::string worker_;
};

}  // namespace

LogAbout::LogAbout(const LogSubject& subject) : outer_(subject_now) {
  subject_now = Within(outer_, subject);
}

LogAbout::~LogAbout() { subject_now = outer_; }

LogSubject LogAbout::Now() { return subject_now; }

std::unique_ptr<spdlog::formatter> MakeJsonFormatter(const std::string& program,
                                                     const std::string& worker) {
  return std::make_unique<JsonFormatter>(program, worker);
}

absl::Status StartLogging(const LogOptions& options) {
  const auto level = spdlog::level::from_str(options.level);
  if (level == spdlog::level::off && options.level != "off") {
    return absl::InvalidArgumentError(absl::StrCat("--log-level ", options.level,
                                                   ": expected trace, debug, info, warn or error"));
  }
  if (options.format != "text" && options.format != "json") {
    return absl::InvalidArgumentError(
        absl::StrCat("--log-format ", options.format, ": expected text or json"));
  }
  auto logger = spdlog::stderr_logger_mt(options.program);
  if (options.format == "json") {
    logger->set_formatter(MakeJsonFormatter(options.program, options.worker));
  } else {
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %L %n %v");
  }
  logger->set_level(level);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  return absl::OkStatus();
}

}  // namespace retort
