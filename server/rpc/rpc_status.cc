#include "server/rpc/rpc_status.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "common/status.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace retort {
namespace {

// Trailing metadata is bounded (8 KiB by default), and messages quote what callers sent.
constexpr size_t kMaxMessageBytes = 2048;

bool IsFieldPath(const std::string& text) {
  return !text.empty() && text.size() <= 200 &&
         absl::ascii_isalpha(static_cast<unsigned char>(text[0])) &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '[' || c == ']';
         });
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());
  std::string message = MessageOf(status);
  if (message.size() > kMaxMessageBytes) message = message.substr(0, kMaxMessageBytes) + "...";

  google::rpc::Status details;
  details.set_code(static_cast<int>(code));
  details.set_message(message);
  google::rpc::ErrorInfo info;
  info.set_reason(absl::StatusCodeToString(status.code()));
  info.set_domain("retort");
  details.add_details()->PackFrom(info);
  const size_t colon = message.find(": ");
  if (status.code() == absl::StatusCode::kInvalidArgument && colon != std::string::npos &&
      IsFieldPath(message.substr(0, colon))) {
    google::rpc::BadRequest bad;
    auto* violation = bad.add_field_violations();
    violation->set_field(message.substr(0, colon));
    violation->set_description(message.substr(colon + 2));
    details.add_details()->PackFrom(bad);
  }
  return grpc::Status(code, message, details.SerializeAsString());
}

}  // namespace retort
