#include "common/access/link.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/client_interceptor.h>
#include <sys/stat.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/status.h"

namespace retort {
namespace {

using grpc::experimental::InterceptionHookPoints;

constexpr absl::Duration kFilePeriod = absl::Seconds(1);
// Longer than any call takes.
constexpr absl::Duration kRetirement = absl::Minutes(30);
// An address is given this long before the next one is tried.
constexpr absl::Duration kAddressPatience = absl::Seconds(2);

// Puts the token on each call. A header of our own rather than gRPC's call credentials, which are
// not sent on a plain channel: on loopback calls are in clear and yet carry a token.
class TokenInterceptor : public grpc::experimental::Interceptor {
 public:
  explicit TokenInterceptor(std::string header) : header_(std::move(header)) {}
  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::PRE_SEND_INITIAL_METADATA)) {
      methods->GetSendInitialMetadata()->insert({"authorization", header_});
    }
    methods->Proceed();
  }

 private:
  const std::string header_;
};

class TokenInterceptorFactory : public grpc::experimental::ClientInterceptorFactoryInterface {
 public:
  explicit TokenInterceptorFactory(const std::string& token)
      : header_(absl::StrCat("Bearer ", token)) {}
  grpc::experimental::Interceptor* CreateClientInterceptor(
      grpc::experimental::ClientRpcInfo*) override {
    return new TokenInterceptor(header_);
  }

 private:
  const std::string header_;
};

grpc::ChannelArguments ArgumentsOf(const Access& access, const LinkOptions& options) {
  const auto ms = [](absl::Duration duration) {
    return static_cast<int>(absl::ToInt64Milliseconds(duration));
  };
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(options.message_bytes);
  arguments.SetMaxSendMessageSize(options.message_bytes);
  // A connection that died unnoticed is found while a call waits.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, ms(options.keepalive));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, ms(options.keepalive_timeout));
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, options.probe_bandwidth ? 1 : 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, ms(options.first_reconnect));
  // The name misleads: it is how long one attempt to connect may take. Where there are others to
  // try, an address that does not answer is not waited for.
  const bool others = access.addresses.size() > 1;
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
                   ms(others ? kAddressPatience : options.connect_timeout));
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, ms(options.most_reconnect));
  // Two channels of a process to one address are two connections: a new one never waits for the
  // backoff of an old one.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (!access.server_name.empty()) arguments.SetSslTargetNameOverride(access.server_name);
  return arguments;
}

std::shared_ptr<grpc::ChannelCredentials> CredentialsOf(const Access& access) {
  if (!access.tls) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = access.ca;
  options.pem_cert_chain = access.certificate;
  options.pem_private_key = access.key;
  return grpc::SslCredentials(options);
}

}  // namespace

std::shared_ptr<grpc::Channel> OpenChannel(const Access& access, size_t address,
                                           const LinkOptions& options) {
  const std::string& target = access.addresses.at(address);
  const grpc::ChannelArguments arguments = ArgumentsOf(access, options);
  if (access.token.empty()) {
    return grpc::CreateCustomChannel(target, CredentialsOf(access), arguments);
  }
  std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<TokenInterceptorFactory>(access.token));
  return grpc::experimental::CreateCustomChannelWithInterceptors(
      target, CredentialsOf(access), arguments, std::move(interceptors));
}

Link::Link(AccessSource source, const LinkOptions& options)
    : options_(options), source_(std::move(source)), mark_(MarkOf(source_.path)) {
  Reopen();
}

std::shared_ptr<grpc::Channel> Link::channel() {
  std::lock_guard lock(mutex_);
  FollowFile();
  LeaveDeadAddress();
  return channel_;
}

std::string Link::address() const {
  std::lock_guard lock(mutex_);
  return source_.access.addresses[address_];
}

bool Link::anonymous() const {
  std::lock_guard lock(mutex_);
  return source_.access.token.empty();
}

Link::FileMark Link::MarkOf(const std::string& path) {
  struct stat info {};
  if (path.empty() || stat(path.c_str(), &info) != 0) return {};
  return {static_cast<int64_t>(info.st_ino), info.st_size, info.st_mtim.tv_sec,
          info.st_mtim.tv_nsec};
}

void Link::Reopen() {
  opened_ = absl::Now();
  while (!retired_.empty() && opened_ - retired_.front().first > kRetirement) retired_.pop_front();
  if (channel_ != nullptr) retired_.emplace_back(opened_, std::move(channel_));
  channel_ = OpenChannel(source_.access, address_, options_);
}

void Link::Say(const std::string& words) const {
  if (options_.say) options_.say(words);
}

void Link::FollowFile() {
  const absl::Time now = absl::Now();
  if (source_.path.empty() || (now >= looked_ && now - looked_ < kFilePeriod)) return;
  looked_ = now;
  const FileMark mark = MarkOf(source_.path);
  if (mark == mark_ || mark == FileMark{}) return;
  mark_ = mark;
  auto access = ReadAgain(source_);
  if (!access.ok()) {
    Say(absl::StrCat(MessageOf(access.status()), "; what it said before counts"));
    return;
  }
  if (*access == source_.access) return;
  Say(source_.path + " was replaced; calls use it from now on");
  source_.access = *std::move(access);
  address_ = 0;
  Reopen();
}

void Link::LeaveDeadAddress() {
  if (source_.access.addresses.size() < 2 || absl::Now() - opened_ < kAddressPatience) return;
  const grpc_connectivity_state state = channel_->GetState(/*try_to_connect=*/false);
  if (state != GRPC_CHANNEL_TRANSIENT_FAILURE && state != GRPC_CHANNEL_CONNECTING) return;
  address_ = (address_ + 1) % source_.access.addresses.size();
  Say("the coordinator is tried at " + source_.access.addresses[address_]);
  Reopen();
}

}  // namespace retort
