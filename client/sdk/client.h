// The C++ library for clients of a coordinator.
#ifndef RETORT_CLIENT_SDK_CLIENT_H_
#define RETORT_CLIENT_SDK_CLIENT_H_

#include <grpcpp/channel.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/access/access.h"
#include "retort/v1/admin_service.grpc.pb.h"
#include "retort/v1/artifact_service.grpc.pb.h"
#include "retort/v1/sweep_service.grpc.pb.h"

namespace retort {

struct ClientOptions {
  // Of one call that does not stream.
  absl::Duration deadline = absl::Seconds(60);
  // How long a call is repeated while the coordinator is away.
  absl::Duration patience = absl::Seconds(15);
};

// How a wait for a sweep goes on.
struct SweepProgress {
  v1::Sweep sweep;                             // the latest that is known
  absl::Duration away = absl::ZeroDuration();  // how long the coordinator has not answered
};

// Calls a coordinator. Calls are repeated only where it is away (UNAVAILABLE), after a capped,
// jittered wait, and mutations carry a request id, so that a repeat has no second effect. Errors
// are the coordinator's, or UNAVAILABLE with the address if it does not answer. Threads: any, at
// once.
class Client {
 public:
  // By an access file, or what ChooseAccess made of what the user said. Nothing is sent yet.
  // Follows the file when it is replaced.
  explicit Client(const AccessSource& source, ClientOptions options = {});
  // HOST:PORT, with the access file that its coordinator left for this user on this machine; else
  // in clear and without a token.
  explicit Client(const std::string& address, ClientOptions options = {});
  // For channels made elsewhere, such as in-process ones.
  Client(std::shared_ptr<grpc::Channel> channel, std::string address, ClientOptions options = {});

  // The same way to the coordinator, one connection, with other patience.
  Client With(const ClientOptions& options) const;

  // For messages.
  const std::string& address() const { return address_; }

  // OK once the coordinator answers. UNAVAILABLE if it does not within `timeout`. `keep_waiting`
  // is asked several times a second; false ends the wait with CANCELLED.
  absl::Status WaitUntilServing(absl::Duration timeout,
                                const std::function<bool()>& keep_waiting = {});

  // Uploads what the coordinator lacks of the files, datasets and given teachers (paths by
  // SHA-256), and creates the sweep. With `validate_only` nothing is uploaded or created: what
  // would happen is told.
  absl::StatusOr<v1::CreateSweepResponse> Submit(
      const v1::SweepSpec& spec, const std::map<std::string, std::string>& file_paths,
      bool validate_only = false);

  // Sweeps, by their short name (`ieee`).
  absl::StatusOr<v1::Sweep> GetSweep(std::string_view sweep);
  absl::StatusOr<std::vector<v1::Sweep>> ListSweeps();
  absl::StatusOr<v1::Sweep> PauseSweep(std::string_view sweep);
  absl::StatusOr<v1::Sweep> ResumeSweep(std::string_view sweep);
  absl::StatusOr<v1::Sweep> CancelSweep(std::string_view sweep);

  // Waits until the sweep is done or cancelled. `on_progress` is called at least twice a second, on
  // the caller's thread, and ends the wait with CANCELLED by returning false. An away coordinator
  // is waited for, without end: the callback sees for how long. DEADLINE_EXCEEDED after `timeout`.
  absl::StatusOr<v1::Sweep> WaitForSweep(
      std::string_view sweep, absl::Duration timeout,
      const std::function<bool(const SweepProgress&)>& on_progress);

  // Jobs of a sweep (all jobs if empty) in the order of expansion; every page. `full`: with specs
  // and results.
  absl::StatusOr<std::vector<v1::Job>> ListJobs(std::string_view sweep,
                                                const std::vector<v1::JobState>& states = {},
                                                bool full = false);
  // By id or a unique prefix of at least 6 digits.
  absl::StatusOr<v1::Job> GetJob(std::string_view id);
  // Why a job is in its state, by id or a unique prefix of at least 6 digits.
  absl::StatusOr<v1::Explanation> ExplainJob(std::string_view id);
  // Queues a sweep's jobs in these states again, of these with one of the causes as their last
  // failure (all if empty); or jobs by id. Returns the number of jobs that changed.
  absl::StatusOr<int64_t> RetryJobs(std::string_view sweep, const std::vector<v1::JobState>& states,
                                    const std::vector<v1::FailureCause>& causes = {});
  absl::StatusOr<int64_t> RetryJobs(const std::vector<std::string>& ids,
                                    const std::vector<v1::FailureCause>& causes = {});
  absl::StatusOr<int64_t> CancelJobs(const std::vector<std::string>& ids);
  // Points of a job by series, then step. All series if none is named; of each at most `max_points`
  // (2 to 100,000; 0: 1000), thinned evenly.
  absl::StatusOr<std::vector<v1::MetricPoint>> ReadMetrics(std::string_view id,
                                                           const std::vector<std::string>& series,
                                                           int max_points = 0);
  // Calls `on_data` with pieces of the log in order, until its end, or with `follow` the attempt's.
  // `attempt` 0 is the latest; a negative `offset` counts from the end. CANCELLED if `on_data`
  // returns false; with `follow` it is called with nothing at least once a second.
  absl::Status TailLogs(std::string_view id, int attempt, int64_t offset, bool follow,
                        const std::function<bool(std::string_view)>& on_data);

  absl::StatusOr<std::vector<v1::Worker>> ListWorkers();
  absl::StatusOr<v1::Worker> DrainWorker(std::string_view worker);
  absl::StatusOr<v1::Worker> ReleaseWorker(std::string_view worker);

  // Runs one SELECT; `on_part` gets the answer in parts, the columns in the first. 0: the
  // coordinator's limit of rows.
  absl::Status Query(std::string_view sql, int64_t max_rows,
                     const std::function<void(const v1::QueryResponse&)>& on_part);

  // Upkeep of the coordinator. `on_progress` is called at least once a second, on the caller's
  // thread, and ends the task with CANCELLED by returning false. Findings of a check are no error.
  using TaskWatch = std::function<bool(const v1::TaskProgress&)>;
  absl::StatusOr<v1::CheckReport> Check(bool quick, const TaskWatch& on_progress = {});
  // `folder`: an absolute path on the coordinator's machine.
  absl::StatusOr<v1::BackupReport> Backup(const std::string& folder,
                                          const TaskWatch& on_progress = {});
  absl::StatusOr<v1::CollectGarbageResponse> CollectGarbage(bool dry_run);

  // `lifetime` zero: until it is revoked.
  absl::StatusOr<v1::CreateTokenResponse> CreateToken(v1::Role role, const std::string& label,
                                                      absl::Duration lifetime);
  absl::StatusOr<std::vector<v1::Token>> ListTokens();
  absl::StatusOr<v1::Token> RevokeToken(const std::string& id);
  // What the coordinator finds when it looks after its machine and workers.
  absl::StatusOr<std::vector<v1::Checkup>> Diagnose();

  // Uploads a file unless the coordinator holds it. The bytes must have the hash.
  absl::Status Upload(const std::string& path, const std::string& sha256);
  // Writes an artifact to a file, which is there only if it is whole. DATA_LOSS: another hash.
  absl::Status Download(const std::string& sha256, const std::string& path);

 private:
  // Made for each call, since the channel may be another one by then.
  std::unique_ptr<v1::SweepService::Stub> sweeps() const;
  std::unique_ptr<v1::ArtifactService::Stub> artifacts() const;
  std::unique_ptr<v1::AdminService::Stub> admin() const;

  std::string address_;
  ClientOptions options_;
  std::function<std::shared_ptr<grpc::Channel>()> channel_;
};

}  // namespace retort

#endif  // RETORT_CLIENT_SDK_CLIENT_H_
