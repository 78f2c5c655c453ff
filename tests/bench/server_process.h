// A real retort-server in a temporary folder, and what the system says of it.
#ifndef RETORT_TESTS_BENCH_SERVER_PROCESS_H_
#define RETORT_TESTS_BENCH_SERVER_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace retort::bench {

// Removed with all it holds when destroyed.
class TemporaryFolder {
 public:
  // Below `parent`; TMPDIR, or else /tmp, if that is empty.
  explicit TemporaryFolder(const std::string& parent = "");
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Killed when destroyed.
class ServerProcess {
 public:
  // `folder` is the coordinator's; it listens on a free port of 127.0.0.1.
  explicit ServerProcess(std::string folder) : folder_(std::move(folder)) {}
  ~ServerProcess();

  // Starts it and waits until calls are answered.
  absl::Status Start();
  // SIGKILL, and waits for its end.
  void Kill();
  // SIGTERM, and waits; an error if it does not end well.
  absl::Status Stop();

  const std::string& address() const { return address_; }
  // Processor time so far, of all threads.
  absl::Duration CpuTime() const;
  // The most resident memory so far, bytes.
  int64_t PeakMemory() const;
  int64_t Memory() const;

 private:
  int64_t StatusField(const std::string& name) const;

  const std::string folder_;
  std::string address_;
  pid_t pid_ = -1;
};

// Processor time of this process so far.
absl::Duration OwnCpuTime();

}  // namespace retort::bench

#endif  // RETORT_TESTS_BENCH_SERVER_PROCESS_H_
