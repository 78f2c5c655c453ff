// The services as strangers meet them: each call is let through only if the caller's token may make
// it. A call without a line here answers UNIMPLEMENTED: what is forgotten stays shut.
#ifndef RETORT_SERVER_RPC_GUARDED_H_
#define RETORT_SERVER_RPC_GUARDED_H_

#include <grpcpp/impl/service_type.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "retort/v1/admin_service.grpc.pb.h"
#include "retort/v1/artifact_service.grpc.pb.h"
#include "retort/v1/sweep_service.grpc.pb.h"
#include "retort/v1/worker_service.grpc.pb.h"
#include "server/access/tokens.h"

namespace retort {

// How many lines the log gets of refused calls: strangers must not be able to fill it.
// Threads: any.
class RefusalLines {
 public:
  static constexpr int kMostInAMinute = 20;

  // How many refusals the log did not get since it last got one; nothing if it gets this one
  // neither.
  std::optional<int64_t> Admit(absl::Time now);

 private:
  std::mutex mutex_;
  // Guarded by mutex_.
  absl::Time minute_ = absl::InfinitePast();  // when it began
  int written_ = 0;                           // in it
  int64_t left_out_ = 0;
};

// Looks at who calls. Threads: any.
class Guard {
 public:
  // `now` gives wall time.
  Guard(const TokenStore& tokens, std::function<absl::Time()> now)
      : tokens_(tokens), now_(std::move(now)) {}

  // UNAUTHENTICATED: no token, or none that is good; PERMISSION_DENIED: its role may not make the
  // call. `call`: `SweepService/GetSweep`.
  absl::Status Admit(const grpc::ServerContextBase& context, const char* call) const;

 private:
  void Log(const grpc::ServerContextBase& context, const char* call, std::string_view why) const;

  const TokenStore& tokens_;
  const std::function<absl::Time()> now_;
  mutable RefusalLines lines_;
};

// The same services behind the guard. All that is given outlives it.
class GuardedServices {
 public:
  GuardedServices(const Guard& guard, v1::SweepService::CallbackService& sweeps,
                  v1::WorkerService::CallbackService& workers,
                  v1::ArtifactService::CallbackService& artifacts,
                  v1::AdminService::CallbackService& admin);
  ~GuardedServices();
  std::vector<grpc::Service*> all() const;

 private:
  std::vector<std::unique_ptr<grpc::Service>> services_;
};

}  // namespace retort

#endif  // RETORT_SERVER_RPC_GUARDED_H_
