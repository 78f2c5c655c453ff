#include "worker/agent/worker.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/log.h"
#include "common/status.h"
#include "worker/agent/devices.h"

namespace retort {
namespace {

// Transfers at a time.
constexpr int kMostMovers = 4;
// For idle runners to leave by themselves.
constexpr absl::Duration kRunnerFarewell = absl::Seconds(1);

// Signals that come together are one: Slurm may send one to a job and to each of its steps.
constexpr absl::Duration kSameSignal = absl::Seconds(1);

// For runners of an earlier start to die.
constexpr absl::Duration kLeftoverPatience = absl::Seconds(2);

RunnerCommandLine CommandOf(const WorkerOptions& options, const RunnerLedger& ledger) {
  RunnerCommandLine command;
  command.path = options.runner;
  command.launcher = options.launcher;
  command.environment.push_back(ledger.mark());
  const std::string threads = std::to_string(options.threads);
  for (const char* name : {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"}) {
    command.environment.push_back(absl::StrCat(name, "=", threads));
  }
  return command;
}

// Larger than at every earlier start, even if the machine's clock was set back since.
absl::StatusOr<int64_t> NextIncarnation(const std::string& folder, Now now) {
  const std::string path = folder + "/incarnation";
  int64_t incarnation = absl::ToUnixMillis(now.wall);
  const auto last = ReadFile(path);
  int64_t number = 0;
  if (last.ok() && absl::SimpleAtoi(*last, &number)) {
    incarnation = std::max(incarnation, number + 1);
  }
  RETORT_RETURN_IF_ERROR(WriteFileAtomically(path, std::to_string(incarnation)));
  return incarnation;
}

// Removes files that were being written, under a temporary name, when an earlier start was killed.
void RemoveUnfinished(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("incarnation.") || name.starts_with("runners."))
      unlink(entry.path().c_str());
  }
}

AgentOptions AgentOptionsOf(const WorkerOptions& options, int64_t incarnation, Now now) {
  AgentOptions agent;
  agent.worker = options.id;
  agent.incarnation = incarnation;
  agent.host = options.host;
  agent.version = options.version;
  agent.threads = options.threads;
  agent.allow_torchscript = options.allow_torchscript;
  agent.cache_dir = options.folder + "/cache";
  agent.seed = static_cast<uint64_t>(absl::ToUnixNanos(now.wall));
  agent.drain_timeout = options.drain_timeout;
  agent.stop_grace = options.stop_grace;
  agent.leave_margin = options.leave_margin;
  const int64_t memory = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  agent.slots = ShareSlots(options.devices, options.slots,
                           {std::max<int64_t>(0, memory), options.device_memory_bytes});
  return agent;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Worker>> Worker::Create(const WorkerOptions& options, Clock& clock) {
  RETORT_RETURN_IF_ERROR(MakeFolders(options.folder + "/cache"));
  RemoveUnfinished(options.folder);
  // Before anything else is touched: they may still write.
  RunnerLedger ledger(options.folder + "/runners");
  ledger.EndLeftovers(kLeftoverPatience);
  RETORT_ASSIGN_OR_RETURN(DiskSpool spool,
                          DiskSpool::Create(options.folder + "/attempts", options.spool));
  RETORT_ASSIGN_OR_RETURN(
      auto cache, ArtifactCache::Create(options.folder + "/artifacts", options.cache_bytes));
  RETORT_ASSIGN_OR_RETURN(const int64_t incarnation, NextIncarnation(options.folder, clock.Read()));
  return std::unique_ptr<Worker>(new Worker(options, incarnation, clock, std::move(ledger),
                                            std::move(spool), std::move(cache)));
}

Worker::Worker(const WorkerOptions& options, int64_t incarnation, Clock& clock, RunnerLedger ledger,
               DiskSpool spool, std::unique_ptr<ArtifactCache> cache)
    : working_time_(options.working_time),
      clock_(clock),
      ledger_(std::move(ledger)),
      spool_(std::move(spool)),
      cache_(std::move(cache)),
      link_(options.access,
            // Probes would be more packets than the Syncs (server/rpc/server.cc); over
            // long ways downloads need them, which have a connection of their own.
            LinkOptions{.probe_bandwidth = false,
                        .say = [](const std::string& words) { spdlog::info("{}", words); }}),
      transfers_(options.access),
      remote_([this] { return transfers_.channel(); }) {
  ProcessPool::Answers runners;
  runners.event = [this](int slot, const v1::RunnerEvent& event) {
    agent_->OnRunnerEvent(slot, event, clock_.Read());
  };
  runners.output = [this](int slot, std::string_view bytes) {
    agent_->OnRunnerOutput(slot, bytes, clock_.Read());
  };
  runners.exit = [this](int slot, const std::string& reason) {
    agent_->OnRunnerExit(slot, reason, clock_.Read());
  };
  pool_ = std::make_unique<ProcessPool>(loop_, CommandOf(options, ledger_), options.slots,
                                        std::move(runners), &ledger_);

  ArtifactMover::Answers moves;
  moves.inputs = [this](const AttemptKey& key, absl::StatusOr<InputPaths> paths) {
    loop_.Post(
        [this, key, paths = std::move(paths)] { agent_->OnInputs(key, paths, clock_.Read()); });
  };
  moves.published = [this](const AttemptKey& key, absl::StatusOr<v1::ArtifactRef> weights) {
    loop_.Post([this, key, weights = std::move(weights)] {
      agent_->OnPublished(key, weights, clock_.Read());
    });
  };
  moves.checkpoint = [this](const AttemptKey& key, absl::StatusOr<v1::ArtifactRef> file) {
    loop_.Post([this, key, file = std::move(file)] {
      agent_->OnCheckpointPublished(key, file, clock_.Read());
    });
  };
  mover_ = std::make_unique<ArtifactMover>(
      *cache_, remote_, std::clamp(options.slots, 1, kMostMovers), std::move(moves));

  GrpcCoordinatorClient::Answers answers;
  answers.sync = [this](int64_t number, const absl::StatusOr<v1::SyncResponse>& response) {
    agent_->OnSync(number, response, clock_.Read());
  };
  answers.metric_ack = [this](const v1::MetricAck& ack) {
    agent_->OnMetricAck(ack, clock_.Read());
  };
  answers.metrics_broken = [this](const absl::Status& status) {
    agent_->OnMetricsBroken(status, clock_.Read());
  };
  answers.log_ack = [this](const v1::LogAck& ack) { agent_->OnLogAck(ack, clock_.Read()); };
  answers.logs_broken = [this] { agent_->OnLogsBroken(clock_.Read()); };
  client_ = std::make_unique<GrpcCoordinatorClient>(
      [this] { return link_.channel(); },
      [this](std::function<void()> task) { loop_.Post(std::move(task)); }, std::move(answers));

  agent_ = std::make_unique<Agent>(AgentOptionsOf(options, incarnation, clock_.Read()), *client_,
                                   *pool_, *mover_, spool_);
  spdlog::info("worker {}: {} slots of {} threads, coordinator {}", options.id, options.slots,
               options.threads, link_.address());
}

Worker::~Worker() {
  // What others post from now on is not run any more: nobody calls Wait.
  remote_.Shutdown();
  client_.reset();
  mover_.reset();
}

absl::Status Worker::Run(int signal_fd) {
  loop_.WatchRead(signal_fd, [this, signal_fd] { OnSignal(signal_fd); });
  absl::Duration leave_at = clock_.Read().monotonic + working_time_;
  while (true) {
    const Now now = clock_.Read();
    pool_->Reap(now.monotonic);
    if (now.monotonic >= leave_at) {
      leave_at = absl::InfiniteDuration();
      spdlog::info("the time limit is near");
      agent_->Leave(now);
    }
    agent_->Tick(now);
    KeepCounts();
    if (agent_->done() || at_once_) break;
    const absl::Duration wake = std::min(agent_->NextWake(), leave_at);
    loop_.Wait(std::min(wake - clock_.Read().monotonic, pool_->ReapWithin()));
  }
  loop_.Unwatch(signal_fd);
  if (at_once_) {
    spdlog::warn("leaving at once; {} attempts are lost", agent_->live());
    pool_->KillAll();
  } else {
    pool_->Shutdown(kRunnerFarewell);
  }
  spdlog::info("left");
  return agent_->status();
}

void Worker::KeepCounts() {
  WorkerCounts counts;
  counts.agent = agent_->counts();
  counts.spool_bytes = spool_.points_bytes();
  counts.runner_restarts = pool_->restarts();
  const std::lock_guard lock(counts_mutex_);
  counts_ = std::move(counts);
}

WorkerCounts Worker::counts() const {
  std::unique_lock lock(counts_mutex_);
  WorkerCounts counts = counts_;
  lock.unlock();
  counts.artifact_bytes_in = remote_.bytes_in();
  counts.artifact_bytes_out = remote_.bytes_out();
  return counts;
}

void Worker::OnSignal(int signal_fd) {
  signalfd_siginfo info{};
  while (read(signal_fd, &info, sizeof info) == sizeof info) {
    const Now now = clock_.Read();
    if (first_signal_ == absl::InfiniteDuration()) {
      first_signal_ = now.monotonic;
      agent_->Leave(now);
    } else if (info.ssi_signo == SIGINT) {
      at_once_ = true;
    } else if (now.monotonic >= first_signal_ + kSameSignal) {
      agent_->Hurry(now);
    }
  }
}

}  // namespace retort
