#include "tests/sim/sim_worker.h"

#include <algorithm>
#include <utility>

#include "tests/sim/training.h"

namespace retort::sim {
namespace {

constexpr absl::Duration kTransferDeadline = absl::Seconds(60);

}  // namespace

SimWorker::SimWorker(World& world, const Settings& settings, SimCoordinator& coordinator,
                     Oracle& oracle, std::string name, int slots)
    : world_(world),
      settings_(settings),
      coordinator_(coordinator),
      node_(world, std::move(name)),
      link_(world, node_, coordinator.node(), settings.network),
      slots_(slots),
      spool_(settings.spool_points),
      runners_(node_, settings, oracle, slots,
               {[this](int slot, const v1::RunnerEvent& event) {
                  Tell([&](Now now) { agent_->OnRunnerEvent(slot, event, now); });
                },
                [this](int slot, std::string_view bytes) {
                  Tell([&](Now now) { agent_->OnRunnerOutput(slot, bytes, now); });
                },
                [this](int slot, const std::string& reason) {
                  Tell([&](Now now) { agent_->OnRunnerExit(slot, reason, now); });
                },
                [this] { return leaving_; }}) {
  coordinator.AddLink(link_);
  oracle.AddWorker(node_.name(), link_);
}

// ------------------------------------------------------------------------------ life

void SimWorker::Start() {
  if (node_.alive()) return;
  node_.Boot();
  const Now now = node_.Read();
  world_.Note("worker starts", node_.name());
  link_.Disturb();  // what the machine had before is given up now
  spool_.Clear();
  AgentOptions options;
  options.worker = node_.name();
  last_incarnation_ = std::max(absl::ToUnixMillis(now.wall), last_incarnation_ + 1);
  options.incarnation = last_incarnation_;
  options.host = node_.name();
  options.version = "sim";
  for (int i = 0; i < slots_; ++i) {
    v1::Slot slot;
    slot.set_index(i);
    slot.set_device("cpu");
    options.slots.push_back(std::move(slot));
  }
  options.seed = world_.random().Next();
  options.stop_grace = absl::Seconds(3);
  options.drain_timeout = world_.random().Time(absl::ZeroDuration(), absl::Seconds(20));
  leaving_ = false;
  wake_at_ = absl::InfiniteDuration();
  last_sync_.reset();
  metrics_.reset();
  logs_.reset();
  CoordinatorClient& client = *this;
  Artifacts& artifacts = *this;
  agent_ = std::make_unique<Agent>(options, client, runners_, artifacts, spool_);
  node_.After(absl::ZeroDuration(), [this] { Drive(); });
}

void SimWorker::Crash() {
  if (!node_.alive()) return;
  world_.Note("worker dies", node_.name());
  link_.Disturb();
  // The coordinator's transport may notice, or not.
  if (last_sync_ && world_.random().Chance(0.5)) {
    coordinator_.node().After(absl::Milliseconds(5), [this, token = last_sync_] {
      coordinator_.ForgetSync(*token, node_.name());
    });
  }
  node_.Die();
  runners_.KillAll();
  world_.After(world_.random().Time(absl::Milliseconds(100), absl::Seconds(30)),
               [this] { Start(); });
}

void SimWorker::Leave() {
  if (!node_.alive() || leaving_) return;
  link_.Disturb();
  leaving_ = true;
  Tell([&](Now now) { agent_->Leave(now); });
}

void SimWorker::Suspend(absl::Duration time) {
  node_.Suspend(time);
  link_.Disturb();
  world_.After(time, [this] { link_.Disturb(); });
}

void SimWorker::CrashRunner() {
  if (node_.alive()) runners_.Kill(static_cast<int>(world_.random().Below(slots_)));
}

void SimWorker::Heal() {
  faulty_ = false;
  link_.Heal();
  spool_.SetFull(false);
  spool_.SetBroken(false);
  runners_.Heal();
  Start();
}

template <typename Event>
void SimWorker::Tell(Event&& event) {
  if (!node_.alive()) return;
  event(node_.Read());
  node_.After(absl::ZeroDuration(), [this] { Drive(); });
}

void SimWorker::Drive() {
  const Now now = node_.Read();
  agent_->Tick(now);
  if (agent_->done()) {
    if (!agent_->status().ok()) {
      world_.Violate("agent: " + node_.name() + " gave up: " + agent_->status().ToString());
    }
    return Crash();
  }
  const absl::Duration wake = node_.TrueTime(agent_->NextWake());
  if (wake >= wake_at_ && wake_at_ > world_.now()) return;
  if (wake == absl::InfiniteDuration()) return;
  // Never twice at one moment: time would stand still.
  wake_at_ = std::max(wake, world_.now() + absl::Microseconds(1));
  node_.At(wake_at_, [this, at = wake_at_] {
    if (wake_at_ != at) return;
    wake_at_ = absl::InfiniteDuration();
    Drive();
  });
}

// ------------------------------------------------------------------------------ coordinator

void SimWorker::Sync(const v1::SyncRequest& request, absl::Duration deadline) {
  world_.Note("sync", node_.name(), request.number(), request.live_size());
  auto token = std::make_shared<core::Token>(0);
  last_sync_ = token;
  Call<v1::SyncResponse>(
      link_, deadline,
      [this, request, token](Respond<v1::SyncResponse> respond) {
        coordinator_.Sync(request, token, std::move(respond));
      },
      [this, number = request.number(), token](absl::StatusOr<v1::SyncResponse> response) {
        world_.Note(response.ok() ? "synced" : "sync failed", node_.name(), number,
                    response.ok() ? response->leases_size() : 0);
        if (absl::IsDeadlineExceeded(response.status()) && !link_.cut() &&
            coordinator_.node().alive()) {
          coordinator_.node().After(absl::Milliseconds(1), [this, token] {
            coordinator_.ForgetSync(*token, node_.name());
          });
        }
        Tell([&](Now now) { agent_->OnSync(number, response, now); });
      });
}

void SimWorker::SendMetrics(const v1::MetricBatch& batch) { Send(metrics_, batch); }
void SimWorker::SendLog(const v1::LogChunk& chunk) { Send(logs_, chunk); }

template <typename Message, typename Ack>
void SimWorker::Send(StreamPtr<Message, Ack>& stream, const Message& message) {
  if (!stream) {
    stream = std::make_shared<Stream<Message, Ack>>();
    stream->reset_id = link_.OnReset([this, opened = stream] { Break(opened); });
  }
  const auto sent = stream;
  if (sent->broken) return;
  const absl::Duration travel = link_.Travel(true);
  if (travel == absl::InfiniteDuration() || link_.BreaksStream() || !coordinator_.node().alive()) {
    return Break(sent);
  }
  sent->last_up = std::max(sent->last_up, world_.now() + travel);
  coordinator_.node().At(sent->last_up, [this, sent, message] {
    // A stream that broke may still bring what was on its way.
    if (sent->broken && world_.random().Chance(0.5)) return;
    sent->queue.push_back(message);
    if (!sent->serving) Serve(sent);
  });
}

template <typename Message, typename Ack>
void SimWorker::Serve(const StreamPtr<Message, Ack>& stream) {
  if (stream->queue.empty()) return;
  stream->serving = true;
  const Message message = std::move(stream->queue.front());
  stream->queue.pop_front();
  Ask(message, [this, stream](absl::StatusOr<Ack> ack) {
    stream->serving = false;
    if (!ack.ok()) return Break(stream);
    const absl::Duration travel = link_.Travel(false);
    if (travel == absl::InfiniteDuration() || link_.BreaksStream()) return Break(stream);
    stream->last_down = std::max(stream->last_down, world_.now() + travel);
    node_.At(stream->last_down, [this, stream, ack = *std::move(ack)] {
      if (!stream->broken && IsOpen(stream)) Hear(ack);
    });
    Serve(stream);
  });
}

template <typename Message, typename Ack>
void SimWorker::Break(const StreamPtr<Message, Ack>& stream) {
  if (stream->broken) return;
  stream->broken = true;
  link_.Forget(stream->reset_id);
  if (!node_.alive()) return;
  node_.After(FailsAfter(link_, absl::Seconds(40)), [this, stream] { Broken(stream); });
}

void SimWorker::Ask(const v1::MetricBatch& batch, Respond<v1::MetricAck> respond) {
  coordinator_.Metrics(batch, std::move(respond));
}
void SimWorker::Ask(const v1::LogChunk& chunk, Respond<v1::LogAck> respond) {
  coordinator_.Log(chunk, std::move(respond));
}
void SimWorker::Hear(const v1::MetricAck& ack) {
  Tell([&](Now now) { agent_->OnMetricAck(ack, now); });
}
void SimWorker::Hear(const v1::LogAck& ack) {
  Tell([&](Now now) { agent_->OnLogAck(ack, now); });
}
void SimWorker::Broken(const MetricStream& stream) {
  if (metrics_ != stream) return;
  metrics_.reset();
  Tell([&](Now now) { agent_->OnMetricsBroken(absl::UnavailableError("the stream broke"), now); });
}
void SimWorker::Broken(const LogStream& stream) {
  if (logs_ != stream) return;
  logs_.reset();
  Tell([&](Now now) { agent_->OnLogsBroken(now); });
}

// ------------------------------------------------------------------------------ artifacts

void SimWorker::Fetch(const AttemptKey& key, const std::vector<v1::ArtifactRef>& inputs) {
  std::vector<std::string> missing;
  InputPaths paths;
  for (const v1::ArtifactRef& input : inputs) {
    paths[input.sha256()] = "/cache/" + input.sha256();
    if (!cache_.contains(input.sha256())) missing.push_back(input.sha256());
  }
  const auto answer = [this, key, paths](const absl::Status& status) {
    absl::StatusOr<InputPaths> result = paths;
    if (!status.ok()) result = status;
    Tell([&](Now now) { agent_->OnInputs(key, result, now); });
  };
  if (missing.empty()) {
    node_.After(absl::Milliseconds(1), [answer] { answer(absl::OkStatus()); });
    return;
  }
  if (faulty_ && settings_.transfer_fails > 0 && world_.random().Chance(settings_.transfer_fails)) {
    world_.Count(Fault::kTransferFails, node_.name());
    node_.After(absl::Milliseconds(50), [answer] { answer(absl::UnavailableError("reset")); });
    return;
  }
  Call<bool>(
      link_, kTransferDeadline,
      [this, missing](Respond<bool> respond) {
        const absl::Status status = coordinator_.Download(missing);
        respond(status.ok() ? absl::StatusOr<bool>(true) : status);
      },
      [this, missing, answer](absl::StatusOr<bool> done) {
        if (done.ok()) cache_.insert(missing.begin(), missing.end());
        answer(done.status());
      });
}

void SimWorker::Publish(const AttemptKey& key, const std::string& path) {
  Upload(path, [this, key](const absl::StatusOr<v1::ArtifactRef>& weights) {
    Tell([&](Now now) { agent_->OnPublished(key, weights, now); });
  });
}

void SimWorker::PublishCheckpoint(const AttemptKey& key, const std::string& path) {
  Upload(path, [this, key](const absl::StatusOr<v1::ArtifactRef>& file) {
    Tell([&](Now now) { agent_->OnCheckpointPublished(key, file, now); });
  });
}

void SimWorker::Upload(const std::string& path, Respond<v1::ArtifactRef> answer) {
  const auto uploaded = [this, path, answer](const absl::Status& status) {
    if (!status.ok()) return answer(status);
    cache_.insert(path);
    v1::ArtifactRef artifact;
    artifact.set_sha256(path);
    artifact.set_size_bytes(100);
    answer(artifact);
  };
  if (faulty_ && settings_.transfer_fails > 0 && world_.random().Chance(settings_.transfer_fails)) {
    world_.Count(Fault::kTransferFails, node_.name());
    node_.After(absl::Milliseconds(50), [uploaded] { uploaded(absl::UnavailableError("reset")); });
    return;
  }
  Call<bool>(
      link_, kTransferDeadline,
      [this, path](Respond<bool> respond) {
        coordinator_.TakeArtifact(path);
        respond(true);
      },
      [uploaded](absl::StatusOr<bool> done) { uploaded(done.status()); });
}

std::vector<std::string> SimWorker::Held(int most) const {
  std::vector<std::string> held;
  for (const std::string& hash : cache_) {
    if (static_cast<int>(held.size()) == most) break;
    held.push_back(hash);
  }
  return held;
}

}  // namespace retort::sim
