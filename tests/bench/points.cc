#include <grpcpp/create_channel.h>
#include <grpcpp/support/client_callback.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/status.h"
#include "retort/v1/worker_service.grpc.pb.h"
#include "tests/bench/benchmarks.h"
#include "tests/bench/client.h"
#include "tests/bench/fleet.h"
#include "tests/bench/report.h"
#include "tests/bench/server_process.h"

namespace retort::bench {
namespace {

constexpr int kSeries = 10;
constexpr absl::Duration kRenewal = absl::Seconds(5);
constexpr absl::Duration kQueryPeriod = absl::Milliseconds(250);
constexpr absl::Duration kLimit = absl::Seconds(30);

std::string SeriesName(int64_t number) { return absl::StrCat("train.series_", number); }

// Sends the points of one attempt, a few batches ahead of what was acknowledged. Point n is of
// series n mod 10, step n / 10, value n.
class PointStream final : public grpc::ClientBidiReactor<v1::MetricBatch, v1::MetricAck> {
 public:
  PointStream(const std::string& address, const std::string& worker, const v1::AttemptId& id,
              const PointsOptions& options)
      : options_(options), end_(options.points / options.streams) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    stub_ = v1::WorkerService::NewStub(
        grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments));
    batch_.set_worker(worker);
    *batch_.mutable_id() = id;
  }

  void Start() {
    stub_->async()->StreamMetrics(&context_, this);
    AddHold();  // writes are started by what reads
    StartRead(&ack_);
    {
      std::lock_guard lock(mutex_);
      WriteMore();
    }
    StartCall();
  }
  // Waits for the end; an error if points were not acknowledged.
  absl::Status Wait() {
    std::unique_lock lock(mutex_);
    over_.wait(lock, [this] { return ended_; });
    if (status_.ok() && acknowledged_ >= end_) return absl::OkStatus();
    return absl::InternalError(absl::StrCat("a stream ended with ", acknowledged_.load(), " of ",
                                            end_, " points: ", status_.error_message()));
  }
  int64_t acknowledged() const { return acknowledged_; }

  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (ok) WriteMore();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return RemoveHold();
    std::lock_guard lock(mutex_);
    acknowledged_ = ack_.refused() ? -1 : ack_.durable_seq();
    if (acknowledged_ < 0 || acknowledged_ >= end_) {
      if (!closed_) StartWritesDone();
      closed_ = true;
    } else {
      WriteMore();
    }
    StartRead(&ack_);
  }
  void OnDone(const grpc::Status& status) override {
    std::lock_guard lock(mutex_);
    status_ = status;
    ended_ = true;
    over_.notify_all();
  }

 private:
  void WriteMore() {
    const int64_t allowed = acknowledged_ + int64_t{options_.window} * options_.batch;
    if (writing_ || closed_ || sent_ >= end_ || sent_ + options_.batch > allowed) return;
    const int64_t count = std::min<int64_t>(options_.batch, end_ - sent_);
    batch_.set_first_seq(sent_);
    batch_.clear_points();
    for (int64_t i = sent_; i < sent_ + count; ++i) {
      v1::MetricPoint* point = batch_.add_points();
      point->set_series(SeriesName(i % kSeries));
      point->set_step(i / kSeries);
      point->set_value(static_cast<double>(i));
      point->set_unix_ms(1'700'000'000'000 + i);
    }
    sent_ += count;
    writing_ = true;
    StartWrite(&batch_);
  }

  const PointsOptions options_;
  const int64_t end_;
  std::unique_ptr<v1::WorkerService::Stub> stub_;
  grpc::ClientContext context_;
  v1::MetricAck ack_;
  std::atomic<int64_t> acknowledged_{0};

  std::mutex mutex_;
  // Guarded by mutex_.
  v1::MetricBatch batch_;
  int64_t sent_ = 0;
  bool writing_ = false;
  bool closed_ = false;
  bool ended_ = false;
  grpc::Status status_;
  std::condition_variable over_;
};

// Asks for one series of a job, over and over, and checks what it is told.
class Asker {
 public:
  Asker(const std::string& address, std::string job, const PointStream& stream)
      : client_(address), job_(std::move(job)), stream_(stream), thread_([this] { Run(); }) {}
  // Ends the asking; an error if an answer was wrong.
  absl::Status Stop() {
    stopping_ = true;
    thread_.join();
    return status_;
  }
  std::vector<double>& times_ms() { return times_ms_; }

 private:
  void Run() {
    while (!stopping_ && status_.ok()) {
      status_ = Ask();
      absl::SleepFor(kQueryPeriod);
    }
  }
  absl::Status Ask() {
    const int64_t durable = std::max<int64_t>(0, stream_.acknowledged()) / kSeries;
    const absl::Time start = absl::Now();
    RETORT_ASSIGN_OR_RETURN(const std::vector<double> row,
                            client_.Numbers(absl::StrCat(
                                "SELECT count(*), coalesce(max(step), -1), coalesce(max(value), 0) "
                                "FROM metrics WHERE job = '",
                                job_, "' AND series = '", SeriesName(3), "'")));
    times_ms_.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    const bool whole = row[0] == row[1] + 1 && (row[0] == 0 || row[2] == row[1] * kSeries + 3);
    if (whole && row[0] >= static_cast<double>(durable)) return absl::OkStatus();
    return absl::InternalError(absl::StrCat("metrics answered ", row[0], " points up to step ",
                                            row[1], ", value ", row[2], "; ", durable,
                                            " were durable"));
  }

  Client client_;
  const std::string job_;
  const PointStream& stream_;
  std::vector<double> times_ms_;
  absl::Status status_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

// Takes a lease for every worker.
absl::StatusOr<std::vector<AttemptBytes>> TakeLeases(Fleet& fleet) {
  std::vector<AttemptBytes> leases(static_cast<size_t>(fleet.workers()));
  for (int i = 0; i < fleet.workers(); ++i) fleet.Send(i, 1);
  for (int have = 0; have < fleet.workers();) {
    Fleet::Event event;
    RETORT_ASSIGN_OR_RETURN(const bool came, fleet.Next(absl::Now() + kLimit, event));
    if (!came) return absl::DeadlineExceededError("no lease came");
    auto& lease = leases[static_cast<size_t>(event.worker)];
    have += static_cast<int>(event.answer.leases.size());
    if (!event.answer.leases.empty()) lease = event.answer.leases[0];
    fleet.Send(event.worker, 1, {},
               lease.empty() ? std::vector<AttemptBytes>() : std::vector{lease});
  }
  return leases;
}

// Renews leases until all streams have what they sent acknowledged.
absl::Status RenewUntil(Fleet& fleet, const std::vector<AttemptBytes>& leases,
                        const std::function<bool()>& done) {
  absl::Time renewal = absl::Now() + kRenewal;
  while (!done()) {
    Fleet::Event event;
    RETORT_RETURN_IF_ERROR(fleet.Next(absl::Now() + absl::Milliseconds(5), event).status());
    if (absl::Now() < renewal) continue;
    renewal = absl::Now() + kRenewal;
    for (int i = 0; i < fleet.workers(); ++i)
      fleet.Send(i, 0, {}, {leases[static_cast<size_t>(i)]});
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status MeasurePoints(const PointsOptions& options, const std::string& parent) {
  const TemporaryFolder folder(parent);
  ServerProcess server(folder.path());
  RETORT_RETURN_IF_ERROR(server.Start());
  Client client(server.address());
  RETORT_ASSIGN_OR_RETURN(const std::string weights, client.Upload("weights"));
  Fleet fleet({.address = server.address(), .workers = options.streams, .weights_sha256 = weights});
  RETORT_RETURN_IF_ERROR(client.Submit("points", options.streams, 1));
  RETORT_ASSIGN_OR_RETURN(const std::vector<AttemptBytes> leases, TakeLeases(fleet));

  std::vector<std::unique_ptr<PointStream>> streams;
  for (int i = 0; i < options.streams; ++i) {
    v1::AttemptId id;
    id.ParseFromString(leases[static_cast<size_t>(i)]);
    streams.push_back(
        std::make_unique<PointStream>(server.address(), absl::StrCat("w", i), id, options));
  }
  v1::AttemptId first;
  first.ParseFromString(leases[0]);
  const absl::Duration server_cpu = server.CpuTime(), own_cpu = OwnCpuTime();
  const absl::Time start = absl::Now();
  for (auto& stream : streams) stream->Start();
  Asker asker(server.address(), first.job(), *streams[0]);
  const int64_t each = options.points / options.streams;
  const absl::Status renewed = RenewUntil(fleet, leases, [&streams, each] {
    return std::all_of(streams.begin(), streams.end(), [each](const auto& stream) {
      return stream->acknowledged() < 0 || stream->acknowledged() >= each;
    });
  });
  const double wall_s = absl::ToDoubleSeconds(absl::Now() - start);
  const absl::Status asked = asker.Stop();
  for (auto& stream : streams) RETORT_RETURN_IF_ERROR(stream->Wait());
  RETORT_RETURN_IF_ERROR(renewed);
  RETORT_RETURN_IF_ERROR(asked);
  const absl::Duration server_used = server.CpuTime() - server_cpu,
                       own_used = OwnCpuTime() - own_cpu;
  RETORT_ASSIGN_OR_RETURN(const std::vector<double> stored,
                          client.Numbers("SELECT count(*) FROM metrics"));
  const int64_t sent = each * options.streams;
  if (stored[0] != static_cast<double>(sent)) {
    return absl::InternalError(
        absl::StrCat(sent, " points were acknowledged, ", stored[0], " are there"));
  }
  Row row{"metric_points", static_cast<double>(sent) / wall_s, "points/s", options.target};
  row.settings = {{"points", sent},
                  {"streams", options.streams},
                  {"batch", options.batch},
                  {"batches_ahead", options.window},
                  {"queries", asker.times_ms().size()},
                  {"query_p50_ms", Percentile(asker.times_ms(), 0.5)},
                  {"query_max_ms", Percentile(asker.times_ms(), 1)},
                  {"coordinator_cpu_s", absl::ToDoubleSeconds(server_used)},
                  {"generator_cpu_s", absl::ToDoubleSeconds(own_used)},
                  {"wall_s", wall_s},
                  {"coordinator_peak_mib", static_cast<double>(server.PeakMemory()) / (1 << 20)}};
  RETORT_RETURN_IF_ERROR(server.Stop());
  Print(row, folder.path());
  return absl::OkStatus();
}

}  // namespace retort::bench
