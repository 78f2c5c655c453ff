#include "worker/runner/serve.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <thread>
#include <variant>

#include "worker/distill/attempt.h"
#include "worker/distill/machine.h"
#include "worker/runner/inbox.h"
#include "worker/runner/protocol.h"

namespace retort::runner {
namespace {

// A command's line holds one spec; this is far above the largest.
constexpr size_t kMaxLineBytes = 16 << 20;

// Puts each line into the inbox until the descriptor closes.
void ReadCommands(int fd, Inbox& inbox) {
  std::string pending;
  char buffer[65536];
  for (;;) {
    const ssize_t n = ::read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    pending.append(buffer, static_cast<size_t>(n));
    size_t begin = 0;
    for (size_t end; (end = pending.find('\n', begin)) != std::string::npos; begin = end + 1) {
      if (end > begin) inbox.Put(pending.substr(begin, end - begin));
    }
    pending.erase(0, begin);
    if (pending.size() > kMaxLineBytes) return;
  }
}

// Writes events; remembers whether that failed.
class EventWriter {
 public:
  explicit EventWriter(int fd) : fd_(fd) {}

  void Write(const v1::RunnerEvent& event) {
    const std::string line = PrintEvent(event);
    size_t done = 0;
    while (!broken_ && done < line.size()) {
      const ssize_t n = ::write(fd_, line.data() + done, line.size() - done);
      if (n < 0 && errno == EINTR) continue;
      broken_ = n <= 0;
      if (!broken_) done += static_cast<size_t>(n);
    }
  }
  bool broken() const { return broken_; }

 private:
  int fd_;
  bool broken_ = false;
};

v1::RunnerEvent RunAttempt(const Wiring& wiring, const v1::RunJob& job, Inbox& inbox,
                           distill::AttemptRunner& attempts, EventWriter& events) {
  distill::AttemptHooks hooks{
      .stop = inbox.stop(), .lock_folder = wiring.lock_folder, .unix_ms = wiring.unix_ms};
  hooks.on_started = [&] {
    v1::RunnerEvent event;
    event.mutable_started();
    events.Write(event);
  };
  hooks.on_progress = [&](const v1::RunnerProgress& progress) {
    v1::RunnerEvent event;
    *event.mutable_progress() = progress;
    events.Write(event);
  };
  hooks.on_checkpoint = [&](const v1::RunnerCheckpoint& checkpoint) {
    v1::RunnerEvent event;
    *event.mutable_checkpoint() = checkpoint;
    events.Write(event);
  };
  hooks.log = [](const std::string& line) { std::printf("%s\n", line.c_str()); };
  auto outcome = attempts.Run(job, hooks);
  v1::RunnerEvent event;
  if (auto* finished = std::get_if<v1::RunnerFinished>(&outcome)) {
    *event.mutable_finished() = std::move(*finished);
  } else {
    const auto& failure = std::get<v1::Failure>(outcome);
    event = FailedEvent(failure.cause(), failure.message());
    std::printf("failed: %s\n", event.failed().message().c_str());
  }
  return event;
}

}  // namespace

void Serve(const Wiring& wiring) {
  Inbox inbox;
  EventWriter events(wiring.events_fd);
  v1::RunnerEvent ready;
  ready.mutable_ready()->set_version(RETORT_VERSION);
  ready.mutable_ready()->set_numeric_fingerprint(distill::NumericFingerprint());
  events.Write(ready);

  // Detached: it waits in read() until `leave` ends the process.
  std::thread([&wiring, &inbox] {
    ReadCommands(wiring.commands_fd, inbox);
    wiring.leave();
  }).detach();

  distill::AttemptRunner attempts;
  while (!events.broken()) {
    const Inbox::Item item = inbox.Take();
    if (const auto* job = std::get_if<v1::RunJob>(&item)) {
      const v1::RunnerEvent outcome = RunAttempt(wiring, *job, inbox, attempts, events);
      // Idle before the agent hears of it, so that its next stop cannot hit the next attempt.
      inbox.Done();
      events.Write(outcome);
    } else {
      inbox.Done();
      events.Write(FailedEvent(v1::FAILURE_CAUSE_INVALID, std::get<Error>(item).message));
    }
  }
}

}  // namespace retort::runner
