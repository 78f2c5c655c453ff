#include "worker/agent/process_pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/log.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr size_t kReadAtOnce = 1 << 20;
constexpr size_t kMostLineBytes = 16 << 20;
// From the end of its events to a kill: a runner that leaves has that long to do so.
constexpr absl::Duration kExitPatience = absl::Seconds(2);
constexpr absl::Duration kReapEvery = absl::Milliseconds(10);
constexpr absl::Duration kCheckEvery = absl::Seconds(1);

}  // namespace

ProcessPool::ProcessPool(EventLoop& loop, RunnerCommandLine command, int slots, Answers answers,
                         RunnerLedger* ledger)
    : loop_(loop),
      command_(std::move(command)),
      answers_(std::move(answers)),
      ledger_(ledger),
      runners_(static_cast<size_t>(slots)),
      had_runner_(static_cast<size_t>(slots)) {}

ProcessPool::~ProcessPool() {
  for (Runner& runner : runners_) {
    if (!runner.process) continue;
    loop_.Unwatch(runner.process->event_fd());
    loop_.Unwatch(runner.process->output_fd());
    loop_.Unwatch(runner.process->command_fd());
  }
  KillAll();
}

void ProcessPool::Run(int slot, const v1::RunJob& job) {
  const LogAbout about({.job = job.job(), .attempt = job.attempt()});
  Runner& runner = runners_[slot];
  if (runner.process && (runner.closed || runner.killed || runner.process->Reap())) {
    // It is going, or has just died while idle: it must not take a job with it.
    loop_.Unwatch(runner.process->event_fd());
    loop_.Unwatch(runner.process->output_fd());
    loop_.Unwatch(runner.process->command_fd());
    runner = Runner{};
  }
  if (!runner.process) {
    auto process = RunnerProcess::Start(command_);
    if (!process.ok()) {
      loop_.Post(
          [this, slot, reason = MessageOf(process.status())] { answers_.exit(slot, reason); });
      return;
    }
    runner = Runner{};
    runner.process = *std::move(process);
    restarts_ += had_runner_[static_cast<size_t>(slot)];
    had_runner_[static_cast<size_t>(slot)] = true;
    spdlog::info("slot {}: runner has pid {}", slot, runner.process->pid());
    if (ledger_ != nullptr) ledger_->Add(runner.process->pid());
    Watch(slot);
  }
  v1::RunnerCommand command;
  *command.mutable_run() = job;
  runner.process->Send(command);
  FlushCommands(slot);
}

void ProcessPool::Stop(int slot) {
  Runner& runner = runners_[slot];
  if (!runner.process) return;
  v1::RunnerCommand command;
  command.mutable_stop();
  runner.process->Send(command);
  FlushCommands(slot);
}

void ProcessPool::Kill(int slot) {
  Runner& runner = runners_[slot];
  if (!runner.process) return;
  runner.killed = true;
  runner.process->Kill();
}

void ProcessPool::SetReading(int slot, bool reading) {
  Runner& runner = runners_[slot];
  if (!runner.process || runner.reading == reading) return;
  runner.reading = reading;
  if (!reading) {
    loop_.Unwatch(runner.process->event_fd());
    return;
  }
  Watch(slot);
  // Lines may wait here already, of which the pipe would not tell.
  loop_.Post([this, slot, process = runner.process.get()] {
    if (runners_[slot].process.get() == process) Dispatch(slot);
  });
}

void ProcessPool::Watch(int slot) {
  Runner& runner = runners_[slot];
  if (!runner.closed) {
    loop_.WatchRead(runner.process->event_fd(), [this, slot] { OnEvents(slot); });
  }
  loop_.WatchRead(runner.process->output_fd(), [this, slot] { OnOutput(slot); });
}

void ProcessPool::FlushCommands(int slot) {
  RunnerProcess& process = *runners_[slot].process;
  if (process.Flush()) {
    loop_.WatchWrite(process.command_fd(), [this, slot] { FlushCommands(slot); });
  } else {
    loop_.Unwatch(process.command_fd());
  }
}

void ProcessPool::OnOutput(int slot) {
  Runner& runner = runners_[slot];
  const PipeBytes got = runner.process->ReadOutput(kReadAtOnce);
  if (got.end) loop_.Unwatch(runner.process->output_fd());
  if (!got.bytes.empty()) answers_.output(slot, got.bytes);
}

void ProcessPool::OnEvents(int slot) {
  Runner& runner = runners_[slot];
  PipeBytes got = runner.process->ReadEvents(kReadAtOnce);
  runner.events += got.bytes;
  if (got.end) {
    runner.closed = true;
    loop_.Unwatch(runner.process->event_fd());
  }
  Dispatch(slot);
}

// Hands on the whole lines that are there, until the agent wants no more.
void ProcessPool::Dispatch(int slot) {
  Runner& runner = runners_[slot];
  RunnerProcess* const process = runner.process.get();
  size_t at = 0;
  while (runner.reading && runner.complaint.empty()) {
    const size_t end = runner.events.find('\n', at);
    if (end == std::string::npos) break;
    const std::string_view line = std::string_view(runner.events).substr(at, end - at);
    const auto event = ParseEvent(line);
    at = end + 1;
    if (!event.ok()) {
      Break(slot, MessageOf(event.status()));
      break;
    }
    // What it printed before belongs to the log of the job that ends here.
    if (event->has_finished() || event->has_failed()) OnOutput(slot);
    answers_.event(slot, *event);
    if (runner.process.get() != process) return;  // it was replaced
  }
  runner.events.erase(0, at);
  if (runner.complaint.empty() && runner.events.size() > kMostLineBytes &&
      runner.events.find('\n') == std::string::npos) {
    Break(slot, absl::StrCat("it sent a line of more than ", kMostLineBytes, " bytes"));
  }
}

void ProcessPool::Break(int slot, const std::string& complaint) {
  Runner& runner = runners_[slot];
  spdlog::error("slot {}: runner: {}; it is killed", slot, complaint);
  runner.complaint = complaint;
  runner.events.clear();
  runner.process->Kill();
}

void ProcessPool::Reap(absl::Duration now) {
  for (size_t i = 0; i < runners_.size(); ++i) {
    const int slot = static_cast<int>(i);
    Runner& runner = runners_[i];
    if (!runner.process) continue;
    // While the agent does not read, events before the end may still wait.
    if (!runner.reading && !runner.killed) continue;
    if (runner.closed && !runner.closed_at) runner.closed_at = now;
    const auto ended = runner.process->Reap();
    if (!ended) {
      if (runner.closed_at && now >= *runner.closed_at + kExitPatience) runner.process->Kill();
      continue;
    }
    if (!runner.closed && !runner.killed) OnEvents(slot);  // its last words
    if (!runner.reading && !runner.killed) continue;       // and they found no room
    OnOutput(slot);
    // A grandchild outside the group can hold the pipe open; it says nothing that counts.
    loop_.Unwatch(runner.process->event_fd());
    loop_.Unwatch(runner.process->output_fd());
    loop_.Unwatch(runner.process->command_fd());
    std::string reason = absl::StrCat("the runner ended: ", *ended);
    if (!runner.complaint.empty()) {
      absl::StrAppend(&reason, ": ", runner.complaint);
    } else if (*ended == "killed by signal 9 (Killed)" && !runner.killed) {
      reason += "; perhaps the machine ran out of memory";
    }
    runner = Runner{};
    answers_.exit(slot, reason);
  }
}

absl::Duration ProcessPool::ReapWithin() const {
  absl::Duration within = absl::InfiniteDuration();
  for (const Runner& runner : runners_) {
    if (!runner.process) continue;
    within =
        std::min(within, runner.closed || runner.killed || !runner.complaint.empty() ? kReapEvery
                                                                                     : kCheckEvery);
  }
  return within;
}

void ProcessPool::KillAll() {
  for (Runner& runner : runners_) {
    if (runner.process) runner.process->Kill();
  }
}

void ProcessPool::Shutdown(absl::Duration patience) {
  for (Runner& runner : runners_) {
    if (runner.process) runner.process->CloseCommands();
  }
  for (absl::Duration waited; waited < patience; waited += kReapEvery) {
    const bool all_gone = std::all_of(runners_.begin(), runners_.end(), [](const Runner& runner) {
      return !runner.process || runner.process->Reap().has_value();
    });
    if (all_gone) return;
    absl::SleepFor(kReapEvery);
  }
  KillAll();
}

}  // namespace retort
