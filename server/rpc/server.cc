#include "server/rpc/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <mutex>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/access/access.h"

namespace retort {
namespace {

// Health and reflection are switched on for all servers of the process, once.
void EnableStandardServices() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

void SetLimits(grpc::ServerBuilder& builder, const TransportLimits& limits) {
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  // Dead peers are noticed, and live ones may ping while they wait.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
  // No pings that measure the way to a worker: each is another two packets and two wakes for each
  // of its Syncs. Without them the window is that of the message that is being read: an upload, in
  // messages of 1 MiB, has 9 MB/s where an answer takes 100 ms, with them 60.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits.concurrent_streams);
  // Connections that never say anything sensible, or anything at all, do not stay.
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                             static_cast<int>(absl::ToInt64Milliseconds(limits.handshake)));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS,
                             static_cast<int>(absl::ToInt64Milliseconds(limits.idle)));
  // Beyond it the transport takes no more bytes in, and gives up connections.
  grpc::ResourceQuota quota("retort");
  quota.Resize(limits.bytes);
  builder.SetResourceQuota(quota);
  // A second server on the port is an error, not a sharing of its calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

// Certificates are read again while the server runs, so that they are renewed without a restart;
// connections that are open keep theirs.
std::shared_ptr<grpc::ServerCredentials> CredentialsOf(const TlsFiles& tls) {
  if (tls.certificate.empty()) return grpc::InsecureServerCredentials();
  constexpr unsigned int kLookEverySeconds = 5;
  grpc::experimental::TlsServerCredentialsOptions options(
      std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
          tls.key, tls.certificate, tls.client_ca, kLookEverySeconds));
  options.watch_identity_key_cert_pairs();
  if (!tls.client_ca.empty()) {
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(options);
}

}  // namespace

absl::StatusOr<ListenAddress> ParseListenAddress(const std::string& listen) {
  ListenAddress address;
  const size_t colon = listen.rfind(':');
  const std::string port = colon == std::string::npos ? "" : listen.substr(colon + 1);
  std::string host = listen.substr(0, colon == std::string::npos ? 0 : colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const bool good_host = !host.empty() && (bracketed || host.find(':') == std::string::npos) &&
                         host.find_first_of(" /[]") == std::string::npos;
  if (!good_host || !absl::SimpleAtoi(port, &address.port) || address.port < 0 ||
      address.port > 65535) {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", listen,
        "' is not an address to listen on; expected HOST:PORT, such as 127.0.0.1:7641 or [::1]:0"));
  }
  address.host = host;
  address.loopback = IsLoopback(listen);
  return address;
}

absl::StatusOr<std::unique_ptr<RpcServer>> RpcServer::Start(
    const ListenAddress& address, const std::vector<grpc::Service*>& services,
    const TransportLimits& limits, const TlsFiles& tls) {
  EnableStandardServices();
  const std::string host =
      absl::StrContains(address.host, ":") ? absl::StrCat("[", address.host, "]") : address.host;
  grpc::ServerBuilder builder;
  SetLimits(builder, limits);
  int port = 0;
  builder.AddListeningPort(absl::StrCat(host, ":", address.port), CredentialsOf(tls), &port);
  for (grpc::Service* service : services) builder.RegisterService(service);
  std::unique_ptr<RpcServer> server(new RpcServer());
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || port == 0) {
    return absl::UnavailableError(
        absl::StrCat(host, ":", address.port,
                     ": cannot be listened on; is it in use, or not an address of this machine?"));
  }
  server->address_ = absl::StrCat(host, ":", port);
  server->port_ = port;
  server->server_->GetHealthCheckService()->SetServingStatus(false);
  return server;
}

RpcServer::~RpcServer() { Shutdown(absl::ZeroDuration()); }

void RpcServer::SetServing() { server_->GetHealthCheckService()->SetServingStatus(true); }

void RpcServer::Shutdown(absl::Duration grace) {
  if (server_ == nullptr) return;
  server_->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  server_.reset();
}

}  // namespace retort
