// The gRPC server: limits, keepalive, health and reflection around the services.
#ifndef RETORT_SERVER_RPC_SERVER_H_
#define RETORT_SERVER_RPC_SERVER_H_

#include <grpcpp/impl/service_type.h>
#include <grpcpp/server.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/access/access_folder.h"

namespace retort {

// Most bytes of a message, either way.
inline constexpr int kMaxMessageBytes = 16 << 20;

// `HOST:PORT` taken apart.
struct ListenAddress {
  std::string host;  // without brackets
  int port = 0;
  bool loopback = false;  // 127.0.0.0/8, ::1 or localhost: nothing leaves the machine
};

// INVALID_ARGUMENT: not HOST:PORT, `[IPv6]:PORT`, or a port outside 0..65535.
absl::StatusOr<ListenAddress> ParseListenAddress(const std::string& listen);

// What the transport bears with of a connection.
struct TransportLimits {
  int concurrent_streams = 1000;
  absl::Duration handshake = absl::Seconds(10);  // until it has said something sensible
  absl::Duration idle = absl::Minutes(10);       // without a call
  size_t bytes = size_t{512} << 20;              // of messages on their way, of all connections
};

// Threads: any, but each method once.
class RpcServer {
 public:
  // Serves `services`, which outlive the server, in clear unless `tls` names files. Health says
  // NOT_SERVING until SetServing, to everybody: it asks for no token. UNAVAILABLE: the address
  // cannot be listened on.
  static absl::StatusOr<std::unique_ptr<RpcServer>> Start(
      const ListenAddress& address, const std::vector<grpc::Service*>& services,
      const TransportLimits& limits = {}, const TlsFiles& tls = {});
  ~RpcServer();

  // `HOST:PORT` with the port that was chosen.
  const std::string& address() const { return address_; }
  int port() const { return port_; }
  void SetServing();
  // Takes no new calls; those that are open get `grace` to end and are then cancelled. Returns when
  // all have ended.
  void Shutdown(absl::Duration grace);

 private:
  RpcServer() = default;

  std::string address_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace retort

#endif  // RETORT_SERVER_RPC_SERVER_H_
