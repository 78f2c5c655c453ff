#include "tests/sim/sim_coordinator.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

#include "common/status.h"
#include "server/rpc/convert.h"
#include "tests/sim/training.h"

namespace retort::sim {
namespace {

constexpr int kDatasetSize = 9;
// How long the strand takes for what came in.
constexpr absl::Duration kLongestTurn = absl::Milliseconds(3);

}  // namespace

SimCoordinator::SimCoordinator(World& world, const Settings& settings, SimStore& store,
                               Oracle& oracle)
    : world_(world),
      settings_(settings),
      store_(store),
      oracle_(oracle),
      node_(world, "coordinator") {
  options_.core.lease = settings.lease;
  options_.core.chore_size = settings.chore_size;
  options_.max_batch = settings.most_batch;
  artifacts_.insert(kDatasetHash);
}

void SimCoordinator::Start() {
  node_.Boot();
  store_.Restart();
  world_.Note("coordinator starts");
  strand_ = std::make_unique<Strand>(store_, options_);
  ExpanderOptions options;
  options.chunk_jobs = settings_.chunk_jobs;
  options.max_sweeps = 8;
  expander_ = std::make_unique<Expander>(
      store_.reader(), options, [this](core::Input input, Expander::Then then) {
        Post(std::move(input), [this, then](absl::StatusOr<Answer> answer) {
          then(std::move(answer), node_.Read());
          PokeExpander();
        });
      });
  inbox_.clear();
  take_at_ = absl::InfiniteDuration();
  turns_.clear();
  unanswered_.clear();
  logs_.clear();
  busy_until_ = world_.now();
  run_at_ = expand_at_ = absl::InfiniteDuration();
  Poke();
}

void SimCoordinator::Crash() {
  if (!node_.alive()) return;
  node_.Die();
  world_.Note("coordinator dies");
  for (Link* link : links_) link->Reset();
  const absl::Duration away = world_.random().Chance(0.2)
                                  ? world_.random().Time(absl::Seconds(1), 2 * settings_.lease)
                                  : world_.random().Time(absl::Milliseconds(50), absl::Seconds(2));
  world_.After(away, [this] {
    if (!node_.alive()) Start();
  });
}

const core::State* SimCoordinator::state() const {
  return node_.alive() && strand_->serving() ? &strand_->state() : nullptr;
}

// ------------------------------------------------------------------------------ the loop

void SimCoordinator::Post(core::Input input, AnswerDone done) {
  Enqueue({.input = std::move(input)}, std::move(done));
}

void SimCoordinator::Enqueue(Strand::Item item, AnswerDone done) {
  item.token = std::visit(
      [this](auto& input) -> core::Token {
        if constexpr (requires { input.token; }) {
          if (input.token == 0) input.token = ++last_token_;
          return input.token;
        } else {
          return ++last_token_;
        }
      },
      item.input);
  item.done = AfterCommit(std::move(done));
  take_at_ = std::min(take_at_, IsUrgent(item.input) ? world_.now() : world_.now() + kGather);
  inbox_.push_back(std::move(item));
  Poke();
}

AnswerDone SimCoordinator::AfterCommit(AnswerDone done) {
  if (!done) return nullptr;
  return [this, done = std::move(done)](absl::StatusOr<Answer> answer) {
    if (store_.crashed()) return;
    node_.At(world_.now(), [done, answer = std::move(answer)] { done(answer); });
  };
}

void SimCoordinator::Poke() {
  absl::Duration due = node_.TrueTime(strand_->NextWake());
  if (strand_->Room() > 0) due = std::min(due, take_at_);
  const absl::Duration at = std::max({due, busy_until_, world_.now()});
  if (at >= run_at_ || at == absl::InfiniteDuration()) return;
  run_at_ = at;
  node_.At(at, [this, at] {
    if (run_at_ != at) return;  // asked for earlier since
    run_at_ = absl::InfiniteDuration();
    Run();
  });
}

// The lanes of the inbox are drained side by side, so that inputs of different kinds overtake each
// other.
std::vector<Strand::Item> SimCoordinator::TakeBatch() {
  std::vector<Strand::Item> items;
  const auto size = static_cast<ptrdiff_t>(std::min(inbox_.size(), strand_->Room()));
  if (world_.random().Chance(0.5)) {
    std::stable_partition(inbox_.begin(), inbox_.end(), [](const Strand::Item& item) {
      return std::holds_alternative<core::Sync>(item.input) ||
             std::holds_alternative<core::SyncGone>(item.input);
    });
  }
  items.assign(std::make_move_iterator(inbox_.begin()),
               std::make_move_iterator(inbox_.begin() + size));
  inbox_.erase(inbox_.begin(), inbox_.begin() + size);
  take_at_ = inbox_.empty() ? absl::InfiniteDuration() : world_.now();
  return items;
}

void SimCoordinator::Run() {
  const Now now = node_.Read();
  if (!strand_->serving() && now.monotonic >= strand_->NextWake()) {
    if (strand_->Load(now).ok()) {
      strand_->Serve(now);
      oracle_.SetTime(now);
      oracle_.OnServe();
      for (const core::SweepKey sweep : strand_->Expanding()) expander_->Resume(sweep);
      PokeExpander();
    }
  }
  // What went wrong is tried again after a while (StrandOptions::most_backoff).
  if (store_.sick() || most_commit_ > kQuickCommit) {
    settling_until_ = world_.now() + 2 * options_.most_backoff + most_commit_;
  }
  std::vector<Strand::Item> items = TakeBatch();
  world_.Note("batch", "", static_cast<int64_t>(items.size()), inbox_.size());
  turns_.push_back({now, world_.now(), HeardIn(items)});
  strand_->Take(std::move(items), now);
  turns_.back().records = strand_->open_records();
  busy_until_ = world_.now() + world_.random().Time(absl::Microseconds(10), kLongestTurn);
  BeginCommit();
  if (!node_.alive()) return;
  strand_->Publish();
  Poke();
}

std::vector<std::string> SimCoordinator::HeardIn(const std::vector<Strand::Item>& items) const {
  std::vector<std::string> heard;
  if (!strand_->serving()) return heard;
  for (const Strand::Item& item : items) {
    const auto* sync = std::get_if<core::Sync>(&item.input);
    if (sync == nullptr || item.look) continue;
    const core::WorkerKey key = strand_->state().FindWorker(sync->worker);
    if (!key) continue;
    const core::Worker& worker = strand_->state().worker(key);
    const bool newer = sync->incarnation > worker.row.incarnation;
    const bool same = sync->incarnation == worker.row.incarnation && sync->number >= worker.number;
    if (newer || same) heard.push_back(sync->worker);
  }
  return heard;
}

void SimCoordinator::BeginCommit() {
  const Strand::Records* records = strand_->BeginCommit();
  if (records == nullptr && strand_->committing()) return;
  std::vector<Oracle::Turn> turns = std::exchange(turns_, {});
  if (records == nullptr) {
    oracle_.BeginBatch(std::move(turns));
    return oracle_.EndBatch();
  }
  const absl::Duration end =
      world_.now() + world_.random().Time(absl::Microseconds(100), most_commit_);
  if (world_.random().Chance(0.5)) {
    const store::CommitResult result = Commit(*records, std::move(turns));
    if (node_.alive()) node_.At(end, [this, result] { EndCommit(result); });
  } else {
    node_.At(end, [this, records, turns = std::move(turns)] {
      const store::CommitResult result = Commit(*records, turns);
      if (node_.alive()) EndCommit(result);
    });
  }
}

store::CommitResult SimCoordinator::Commit(const Strand::Records& records,
                                           std::vector<Oracle::Turn> turns) {
  oracle_.BeginBatch(std::move(turns));
  store::CommitResult result = store_.Commit(records);
  oracle_.EndBatch();
  if (store_.crashed()) Crash();
  return result;
}

void SimCoordinator::EndCommit(const store::CommitResult& result) {
  strand_->EndCommit(result, node_.Read());
  strand_->Publish();
  // What was decided meanwhile was taken back too.
  if (strand_->open_records() == 0) {
    oracle_.BeginBatch(std::exchange(turns_, {}));
    oracle_.EndBatch();
  }
  BeginCommit();
  if (!node_.alive()) return;
  strand_->Publish();
  Poke();
}

void SimCoordinator::PokeExpander() {
  const absl::Duration at = node_.TrueTime(expander_->NextWake());
  if (at >= expand_at_ || at == absl::InfiniteDuration()) return;
  expand_at_ = at;
  node_.At(at + world_.random().Time(absl::Microseconds(10), absl::Milliseconds(3)), [this, at] {
    if (expand_at_ != at) return;
    expand_at_ = absl::InfiniteDuration();
    expander_->Work(node_.Read());
    PokeExpander();
  });
}

// ------------------------------------------------------------------------------ workers

void SimCoordinator::Sync(const v1::SyncRequest& request, const std::shared_ptr<core::Token>& token,
                          Respond<v1::SyncResponse> respond) {
  v1::SyncResponse settled;
  std::vector<absl::Status> refused;
  auto sync = ToSync(request, &settled, &refused);
  if (!sync.ok() || !refused.empty()) {
    const absl::Status why = sync.ok() ? refused.front() : sync.status();
    world_.Violate("wire: an agent's Sync is refused: " + why.ToString());
    return respond(why);
  }
  for (core::FinishedReport& report : sync->finished) {
    report.weights_held = report.result != nullptr && Holds(report.weights.hash.hex());
  }
  for (core::CheckpointReport& report : sync->checkpoints) {
    report.held = Holds(report.checkpoint.file.hash.hex());
  }
  *token = sync->token = ++last_token_;
  const std::string worker = request.worker();
  unanswered_.insert(sync->token);
  Watch(sync->token, worker, settings_.lease / 4 + absl::Seconds(5), false);
  Enqueue({.input = *std::move(sync)},
          [this, worker, respond = std::move(respond)](absl::StatusOr<Answer> answer) {
            if (!answer.ok()) return respond(answer.status());
            respond(ToResponse(std::get<core::SyncReply>(*answer)));
          });
  // What is said is checked at the moment of the commit, before anything else is decided.
  inbox_.back().done = [this, worker, id = *token,
                        inner = std::move(inbox_.back().done)](absl::StatusOr<Answer> answer) {
    unanswered_.erase(id);
    if (answer.ok() && !store_.crashed()) {
      oracle_.OnSyncReply(worker, std::get<core::SyncReply>(*answer));
    }
    inner(std::move(answer));
  };
}

// Nobody is held back for ever: a quarter of a lease, and what a sick disk, a long queue or a
// standstill costs.
void SimCoordinator::Watch(core::Token token, const std::string& worker, absl::Duration time,
                           bool suspected) {
  node_.After(time, [this, token, worker, suspected] {
    if (!unanswered_.contains(token)) return;
    const bool excused = !inbox_.empty() || store_.sick() || most_commit_ > kQuickCommit ||
                         !strand_->serving() || settling_until_ > world_.now();
    if (excused || !suspected) return Watch(token, worker, absl::Seconds(10), !excused);
    world_.Violate("parked: a Sync of " + worker + " is held back for ever");
  });
}

absl::StatusOr<v1::SyncResponse> SimCoordinator::ToResponse(const core::SyncReply& reply) {
  v1::SyncResponse response;
  FromSyncReply(reply, &response);
  std::vector<core::JobKey> keys;
  for (const core::Grant& grant : reply.grants) keys.push_back(grant.key);
  if (keys.empty()) return response;
  RETORT_ASSIGN_OR_RETURN(const std::vector<std::string> specs, store_.reader().JobSpecs(keys));
  for (size_t i = 0; i < specs.size(); ++i) {
    v1::Lease* lease = response.add_leases();
    RETORT_RETURN_IF_ERROR(FromGrant(reply.grants[i], specs[i], lease));
    for (const std::string& hex : FilesOf(lease->spec())) {
      v1::ArtifactRef* input = lease->add_inputs();
      input->set_sha256(hex);
      input->set_size_bytes(kDatasetSize);
    }
  }
  return response;
}

void SimCoordinator::ForgetSync(core::Token token, const std::string& worker) {
  if (token == 0) return;
  Enqueue({.input = core::SyncGone{.token = token, .worker = worker}, .forget = token}, nullptr);
}

void SimCoordinator::Metrics(const v1::MetricBatch& batch, Respond<v1::MetricAck> respond) {
  auto metrics = ToMetrics(v1::MetricBatch(batch));
  if (!metrics.ok()) {
    world_.Violate("wire: an agent's points are refused: " + metrics.status().ToString());
    return respond(metrics.status());
  }
  Post(*std::move(metrics), [respond = std::move(respond)](absl::StatusOr<Answer> answer) {
    if (!answer.ok()) return respond(answer.status());
    v1::MetricAck ack;
    FromMetricReply(std::get<core::MetricReply>(*answer), &ack);
    respond(ack);
  });
  inbox_.back().done = [this, worker = batch.worker(),
                        inner = std::move(inbox_.back().done)](absl::StatusOr<Answer> answer) {
    if (answer.ok() && !store_.crashed()) {
      oracle_.OnMetricReply(std::get<core::MetricReply>(*answer), worker);
    }
    inner(std::move(answer));
  };
}

void SimCoordinator::Log(const v1::LogChunk& chunk, Respond<v1::LogAck> respond) {
  const std::string key = chunk.id().job() + "/" + std::to_string(chunk.id().attempt());
  int64_t& stored = logs_[key];
  const auto end = chunk.offset() + static_cast<int64_t>(chunk.data().size());
  if (chunk.offset() <= stored) stored = std::max(stored, end);
  v1::LogAck ack;
  *ack.mutable_id() = chunk.id();
  ack.set_stored_offset(stored);
  respond(ack);
}

absl::Status SimCoordinator::Download(const std::vector<std::string>& hashes) {
  for (const std::string& hash : hashes) {
    if (Holds(hash)) continue;
    Post(core::ArtifactLost{*ArtifactHash::FromHex(hash)}, nullptr);
    return absl::NotFoundError("artifact " + hash + " is not here");
  }
  return absl::OkStatus();
}

bool SimCoordinator::LoseArtifact(bool noticed) {
  std::vector<std::string> weights;
  for (const std::string& hash : artifacts_) {
    if (hash != kDatasetHash) weights.push_back(hash);
  }
  if (weights.empty()) return false;
  const std::string hash = world_.random().OneOf(weights);
  artifacts_.erase(hash);
  if (noticed && node_.alive()) Post(core::ArtifactLost{*ArtifactHash::FromHex(hash)}, nullptr);
  return true;
}

// ------------------------------------------------------------------------------ clients

void SimCoordinator::CreateSweep(const std::string& request_id, const v1::SweepSpec& spec,
                                 Respond<Answer> respond) {
  const absl::Status checked = CheckSweepSpec(spec);
  if (!checked.ok()) return respond(checked);
  expander_->Create(request_id, std::make_shared<const v1::SweepSpec>(spec),
                    [this, request_id, respond](absl::StatusOr<Answer> answer) {
                      if (store_.crashed()) return;
                      if (answer.ok()) oracle_.OnRequestReply(request_id, *answer);
                      respond(std::move(answer));
                    });
  PokeExpander();
}

void SimCoordinator::Change(const std::string& request_id, absl::StatusOr<core::Input> input,
                            Respond<Answer> respond) {
  if (!input.ok()) return respond(input.status());
  Post(*std::move(input), std::move(respond));
  inbox_.back().done = [this, request_id,
                        inner = std::move(inbox_.back().done)](absl::StatusOr<Answer> answer) {
    if (answer.ok() && !store_.crashed()) oracle_.OnRequestReply(request_id, *answer);
    inner(std::move(answer));
  };
}

}  // namespace retort::sim
