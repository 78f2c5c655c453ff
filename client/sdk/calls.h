// One call to the coordinator, repeated while it is away.
#ifndef RETORT_CLIENT_SDK_CALLS_H_
#define RETORT_CLIENT_SDK_CALLS_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/status.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/sdk/client.h"
#include "common/backoff.h"

namespace retort {

// A call's status; UNAVAILABLE names the address.
inline absl::Status FromGrpc(const grpc::Status& status, const std::string& address) {
  if (status.ok()) return absl::OkStatus();
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  // An answer of the coordinator itself carries details; without them nobody answered.
  if (code == absl::StatusCode::kUnavailable && status.error_details().empty()) {
    return absl::UnavailableError(
        absl::StrCat("no coordinator answers at ", address, " (", status.error_message(), ")"));
  }
  return absl::Status(code, status.error_message());
}

// Waits, less long if the channel connects meanwhile. Somebody has to wait for it: gRPC 1.51 looks
// only every five seconds at a connection that is being made and that no call waits for.
inline void WaitForChannel(grpc::Channel& channel, absl::Duration time) {
  if (channel.GetState(/*try_to_connect=*/true) == GRPC_CHANNEL_READY) {
    absl::SleepFor(time);  // it is not the connection that is wanting
  } else {
    (void)channel.WaitForConnected(absl::ToChronoTime(absl::Now() + time));
  }
}

// Runs `attempt` (-> grpc::Status) until it is not UNAVAILABLE or patience ends. `channel` gives
// the channel of the next call: it may be another one by then.
template <typename Attempt>
absl::Status Repeat(const ClientOptions& options, const std::string& address,
                    const std::function<std::shared_ptr<grpc::Channel>()>& channel,
                    const Attempt& attempt) {
  absl::BitGen random;
  const absl::Time give_up = absl::Now() + options.patience;
  for (int failures = 0;; ++failures) {
    const grpc::Status status = attempt();
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return FromGrpc(status, address);
    // At most a second, or a coordinator that comes and goes is missed when it is there.
    const absl::Duration delay = BackoffDelay(failures, absl::Uniform<double>(random, 0, 1),
                                              absl::Milliseconds(100), absl::Seconds(1));
    if (absl::Now() + delay > give_up) return FromGrpc(status, address);
    WaitForChannel(*channel(), delay);
  }
}

// One unary call.
template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Call(const ClientOptions& options, const std::string& address,
                              const std::function<std::shared_ptr<grpc::Channel>()>& channel,
                              grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                           Response*),
                              const Request& request) {
  Response response;
  const absl::Status status = Repeat(options, address, channel, [&] {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + options.deadline));
    return (Stub(channel()).*method)(&context, request, &response);
  });
  if (!status.ok()) return status;
  return response;
}

}  // namespace retort

#endif  // RETORT_CLIENT_SDK_CALLS_H_
