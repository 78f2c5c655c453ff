#include "tests/testing/fake_coordinator.h"

#include <chrono>
#include <utility>

#include "absl/time/clock.h"
#include "common/hash.h"
#include "common/ids.h"

namespace retort {
namespace {

constexpr int kLeaseSeconds = 20;
constexpr std::chrono::milliseconds kPark(2000);

std::string KeyOf(const v1::AttemptId& id) { return id.job() + "/" + std::to_string(id.attempt()); }

}  // namespace

struct FakeCoordinator::State {
  mutable std::mutex mutex;
  std::condition_variable changed;
  // Guarded by mutex.
  bool stopped = true;
  std::deque<v1::Lease> queue;
  std::map<std::string, v1::Lease> unconfirmed;
  std::vector<v1::AttemptId> stops;
  std::vector<v1::SyncRequest> syncs;
  std::map<std::string, v1::FinishedAttempt> finished;
  std::map<std::string, std::vector<v1::MetricPoint>> points;  // by job
  std::map<std::string, std::string> logs;                     // by job
  std::map<std::string, std::string> artifacts;                // by hash
};

class FakeCoordinator::Workers : public v1::WorkerService::Service {
 public:
  explicit Workers(State& state) : state_(state) {}

  grpc::Status Sync(grpc::ServerContext*, const v1::SyncRequest* request,
                    v1::SyncResponse* response) override {
    std::unique_lock lock(state_.mutex);
    state_.syncs.push_back(*request);
    state_.changed.notify_all();
    for (const auto& live : request->live()) state_.unconfirmed.erase(KeyOf(live.id()));
    const auto end = std::chrono::steady_clock::now() + kPark;
    // A newer Sync answers this one; so does anything there is to say.
    while (!Fill(*request, *response) && !state_.stopped &&
           state_.syncs.back().number() == request->number()) {
      if (state_.changed.wait_until(lock, end) == std::cv_status::timeout) break;
    }
    response->set_number(request->number());
    response->mutable_lease()->set_seconds(kLeaseSeconds);
    response->mutable_next_sync()->set_seconds(kLeaseSeconds / 4);
    return grpc::Status::OK;
  }

  grpc::Status StreamMetrics(
      grpc::ServerContext*,
      grpc::ServerReaderWriter<v1::MetricAck, v1::MetricBatch>* stream) override {
    v1::MetricBatch batch;
    while (stream->Read(&batch)) {
      v1::MetricAck ack;
      *ack.mutable_id() = batch.id();
      {
        std::lock_guard lock(state_.mutex);
        auto& points = state_.points[batch.id().job()];
        points.resize(static_cast<size_t>(batch.first_seq()));
        points.insert(points.end(), batch.points().begin(), batch.points().end());
        ack.set_durable_seq(static_cast<int64_t>(points.size()));
        state_.changed.notify_all();
      }
      if (!stream->Write(ack)) break;
    }
    return grpc::Status::OK;
  }

  grpc::Status StreamLogs(grpc::ServerContext*,
                          grpc::ServerReaderWriter<v1::LogAck, v1::LogChunk>* stream) override {
    v1::LogChunk chunk;
    while (stream->Read(&chunk)) {
      v1::LogAck ack;
      *ack.mutable_id() = chunk.id();
      {
        std::lock_guard lock(state_.mutex);
        std::string& log = state_.logs[chunk.id().job()];
        log.resize(static_cast<size_t>(chunk.offset()));
        log += chunk.data();
        ack.set_stored_offset(static_cast<int64_t>(log.size()));
        state_.changed.notify_all();
      }
      if (!stream->Write(ack)) break;
    }
    return grpc::Status::OK;
  }

 private:
  // Called under the lock. True if the response says something.
  bool Fill(const v1::SyncRequest& request, v1::SyncResponse& response) {
    response.Clear();
    for (const v1::FinishedAttempt& finished : request.finished()) {
      state_.unconfirmed.erase(KeyOf(finished.id()));
      const auto got = static_cast<int64_t>(state_.points[finished.id().job()].size());
      const v1::JobResult& result = finished.result();
      const bool held = state_.artifacts.contains(result.weights().sha256());
      if (finished.has_result() && (got < result.metric_points() || !held)) continue;
      state_.finished[KeyOf(finished.id())] = finished;
      *response.add_acknowledged() = finished.id();
      state_.changed.notify_all();
    }
    for (const auto& live : request.live()) {
      for (const v1::AttemptId& stop : state_.stops) {
        if (KeyOf(stop) == KeyOf(live.id())) *response.add_stop() = stop;
      }
    }
    while (static_cast<int>(state_.unconfirmed.size()) < request.wanted() &&
           !state_.queue.empty()) {
      state_.unconfirmed[KeyOf(state_.queue.front().id())] = state_.queue.front();
      state_.queue.pop_front();
    }
    for (const auto& [key, lease] : state_.unconfirmed) *response.add_leases() = lease;
    return response.ByteSizeLong() > 0;
  }

  State& state_;
};

class FakeCoordinator::Artifacts : public v1::ArtifactService::Service {
 public:
  explicit Artifacts(State& state) : state_(state) {}

  grpc::Status UploadStatus(grpc::ServerContext*, const v1::UploadStatusRequest* request,
                            v1::UploadStatusResponse* response) override {
    std::lock_guard lock(state_.mutex);
    const auto it = state_.artifacts.find(request->sha256());
    response->set_complete(it != state_.artifacts.end());
    if (response->complete()) response->set_offset(static_cast<int64_t>(it->second.size()));
    return grpc::Status::OK;
  }

  grpc::Status Upload(grpc::ServerContext*, grpc::ServerReader<v1::UploadRequest>* reader,
                      v1::UploadResponse* response) override {
    v1::UploadRequest request;
    std::string bytes;
    while (reader->Read(&request)) {
      if (request.has_artifact()) *response->mutable_artifact() = request.artifact();
      bytes += request.data();
    }
    const std::string hash = ArtifactHash(Sha256Of(bytes)).hex();
    if (hash != response->artifact().sha256()) {
      return {grpc::StatusCode::INVALID_ARGUMENT, "the bytes have SHA-256 " + hash};
    }
    std::lock_guard lock(state_.mutex);
    state_.artifacts[hash] = std::move(bytes);
    state_.changed.notify_all();
    return grpc::Status::OK;
  }

  grpc::Status Download(grpc::ServerContext*, const v1::DownloadRequest* request,
                        grpc::ServerWriter<v1::DownloadResponse>* writer) override {
    v1::DownloadResponse response;
    {
      std::lock_guard lock(state_.mutex);
      const auto it = state_.artifacts.find(request->sha256());
      if (it == state_.artifacts.end()) {
        return {grpc::StatusCode::NOT_FOUND, "no artifact " + request->sha256()};
      }
      response.set_size_bytes(static_cast<int64_t>(it->second.size()));
      response.set_data(it->second.substr(static_cast<size_t>(request->offset())));
    }
    writer->Write(response);
    return grpc::Status::OK;
  }

 private:
  State& state_;
};

FakeCoordinator::FakeCoordinator()
    : state_(std::make_unique<State>()),
      workers_(std::make_unique<Workers>(*state_)),
      artifacts_(std::make_unique<Artifacts>(*state_)) {}

FakeCoordinator::~FakeCoordinator() { Stop(); }

void FakeCoordinator::Start() {
  {
    std::lock_guard lock(state_->mutex);
    state_->stopped = false;
  }
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:" + std::to_string(port_), grpc::InsecureServerCredentials(),
                           &port_);
  builder.RegisterService(workers_.get());
  builder.RegisterService(artifacts_.get());
  server_ = builder.BuildAndStart();
}

void FakeCoordinator::Stop() {
  if (!server_) return;
  {
    std::lock_guard lock(state_->mutex);
    state_->stopped = true;
    state_->changed.notify_all();
  }
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_.reset();
}

std::string FakeCoordinator::address() const { return "127.0.0.1:" + std::to_string(port_); }

v1::ArtifactRef FakeCoordinator::AddArtifact(const std::string& bytes) {
  v1::ArtifactRef ref;
  ref.set_sha256(ArtifactHash(Sha256Of(bytes)).hex());
  ref.set_size_bytes(static_cast<int64_t>(bytes.size()));
  std::lock_guard lock(state_->mutex);
  state_->artifacts[ref.sha256()] = bytes;
  return ref;
}

void FakeCoordinator::Offer(const v1::Lease& lease) {
  std::lock_guard lock(state_->mutex);
  state_->queue.push_back(lease);
  state_->changed.notify_all();
}

void FakeCoordinator::StopAttempt(const v1::AttemptId& id) {
  std::lock_guard lock(state_->mutex);
  state_->stops.push_back(id);
  state_->changed.notify_all();
}

std::vector<v1::FinishedAttempt> FakeCoordinator::finished() const {
  std::lock_guard lock(state_->mutex);
  std::vector<v1::FinishedAttempt> out;
  for (const auto& [key, finished] : state_->finished) out.push_back(finished);
  return out;
}

std::vector<v1::SyncRequest> FakeCoordinator::syncs() const {
  std::lock_guard lock(state_->mutex);
  return state_->syncs;
}

std::vector<v1::MetricPoint> FakeCoordinator::points(const std::string& job) const {
  std::lock_guard lock(state_->mutex);
  return state_->points[job];
}

std::string FakeCoordinator::log(const std::string& job) const {
  std::lock_guard lock(state_->mutex);
  return state_->logs[job];
}

std::string FakeCoordinator::artifact(const std::string& sha256) const {
  std::lock_guard lock(state_->mutex);
  return state_->artifacts[sha256];
}

bool FakeCoordinator::WaitFor(absl::Duration limit, const std::function<bool()>& condition) const {
  const absl::Time end = absl::Now() + limit;
  while (!condition()) {
    if (absl::Now() > end) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

}  // namespace retort
