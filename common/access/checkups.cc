#include "common/access/checkups.h"

#include <fcntl.h>
#include <grpcpp/client_context.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/access/link.h"
#include "common/checkups.h"
#include "common/files.h"
#include "common/status.h"
#include "retort/v1/admin_service.grpc.pb.h"

namespace retort {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(3);

// Connects to one of the addresses that a name has.
absl::Status Connect(const addrinfo& to, absl::Duration patience) {
  const UniqueFd fd(socket(to.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return absl::UnavailableError(std::strerror(errno));
  if (connect(fd.get(), to.ai_addr, to.ai_addrlen) == 0) return absl::OkStatus();
  if (errno != EINPROGRESS) return absl::UnavailableError(std::strerror(errno));
  pollfd wait{fd.get(), POLLOUT, 0};
  if (poll(&wait, 1, static_cast<int>(absl::ToInt64Milliseconds(patience))) <= 0) {
    return absl::UnavailableError(
        absl::StrCat("no answer within ", absl::FormatDuration(patience)));
  }
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  return error == 0 ? absl::OkStatus() : absl::UnavailableError(std::strerror(error));
}

v1::Checkup JudgeAddress(const std::string& where, const std::string& address,
                         const absl::Status& reached, bool only_one) {
  if (reached.ok()) {
    return MakeCheckup(where, "address", v1::CHECKUP_STATE_OK, address + " is open");
  }
  // The others may do; then this one only costs time.
  return MakeCheckup(
      where, "address", only_one ? v1::CHECKUP_STATE_ERROR : v1::CHECKUP_STATE_WARNING,
      absl::StrCat(address, ": ", reached.message()),
      "is the coordinator running, does it listen there (--listen), is this its address "
      "(--advertise), and does a firewall let it through?");
}

std::string AdviceOn(const grpc::Status& status) {
  switch (status.error_code()) {
    case grpc::StatusCode::UNAUTHENTICATED:
      return "ask for a new access file: this token is wrong, was revoked or has expired";
    case grpc::StatusCode::PERMISSION_DENIED:
      return "ask for an access file of a role that may do it";
    case grpc::StatusCode::UNIMPLEMENTED:
      return "another version answers, or something else than a coordinator";
    default:
      return "if the port is open: is it this coordinator's, and is its certificate of the "
             "authority in the access file?";
  }
}

}  // namespace

absl::Status Reach(const std::string& address, absl::Duration patience) {
  RETORT_RETURN_IF_ERROR(CheckAddress(address));
  if (absl::StartsWith(address, "unix:")) return absl::OkStatus();
  const size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.front() == '[') host = host.substr(1, host.size() - 2);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), address.substr(colon + 1).c_str(), &hints, &found);
  if (error != 0) {
    return absl::UnavailableError(absl::StrCat("the name has no address: ", gai_strerror(error)));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owned(found, freeaddrinfo);
  absl::Status status;
  for (const addrinfo* to = found; to != nullptr; to = to->ai_next) {
    status = Connect(*to, patience);
    if (status.ok()) break;
  }
  return status;
}

WayCheckups CheckWay(const std::string& where, const AccessSource& source,
                     const std::string& version) {
  WayCheckups way;
  const auto add = [&way](v1::Checkup checkup) { way.checkups.push_back(std::move(checkup)); };
  struct stat info {};
  if (source.path.empty()) {
    add(MakeCheckup(where, "access", v1::CHECKUP_STATE_OK, "no access file, no token", ""));
  } else if (stat(source.path.c_str(), &info) == 0) {
    add(MakeCheckup(where, "access", v1::CHECKUP_STATE_OK,
                    absl::StrCat(source.path, ", role ", source.access.role,
                                 source.access.tls ? ", encrypted" : ", in clear")));
    add(JudgeSecret(where, source.path, info.st_mode));
  }
  std::string open;
  size_t number = 0;
  for (size_t i = 0; i < source.access.addresses.size(); ++i) {
    const std::string& address = source.access.addresses[i];
    const absl::Status reached = Reach(address, kPatience);
    if (reached.ok() && open.empty()) {
      open = address;
      number = i;
    }
    add(JudgeAddress(where, address, reached, source.access.addresses.size() == 1));
  }
  if (open.empty()) {
    add(MakeCheckup(where, "coordinator", v1::CHECKUP_STATE_ERROR, "no address can be reached",
                    "see above"));
    return way;
  }
  way.open = true;
  const auto stub = v1::AdminService::NewStub(OpenChannel(source.access, number));
  grpc::Status status;
  v1::ServerInfo server;
  absl::Time asked, answered;
  // The first call also connects; the second one measures.
  for (int i = 0; i < 2 && (i == 0 || status.ok()); ++i) {
    grpc::ClientContext context;
    context.set_wait_for_ready(false);
    context.set_deadline(absl::ToChronoTime(absl::Now() + kPatience));
    asked = absl::Now();
    status = stub->GetServerInfo(&context, {}, &server);
    answered = absl::Now();
  }
  if (!status.ok()) {
    add(MakeCheckup(where, "coordinator", v1::CHECKUP_STATE_ERROR,
                    absl::StrCat(open, ": ", status.error_message()), AdviceOn(status)));
    return way;
  }
  way.reached = true;
  add(MakeCheckup(where, "coordinator", v1::CHECKUP_STATE_OK, absl::StrCat(open, " lets us in")));
  add(JudgeVersion(where, version, server.version()));
  const absl::Duration half = (answered - asked) / 2;
  add(JudgeClock(where, absl::FromUnixMillis(server.time_ms()) - (asked + half), half));
  return way;
}

}  // namespace retort
