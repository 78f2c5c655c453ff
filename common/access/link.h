// The way to a coordinator: channels that carry the token, and that follow the access file.
#ifndef RETORT_COMMON_ACCESS_LINK_H_
#define RETORT_COMMON_ACCESS_LINK_H_

#include <grpcpp/channel.h>
#include <grpcpp/support/channel_arguments.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "common/access/access.h"

namespace retort {

// How a program holds its connection.
struct LinkOptions {
  int message_bytes = 16 << 20;  // most, either way
  absl::Duration keepalive = absl::Seconds(30);
  absl::Duration keepalive_timeout = absl::Seconds(10);
  absl::Duration first_reconnect = absl::Milliseconds(200);
  absl::Duration most_reconnect = absl::Milliseconds(500);
  absl::Duration connect_timeout = absl::Seconds(5);  // of one address
  // Measures the bandwidth of the way by pings, so that large answers come fast over long ways.
  bool probe_bandwidth = true;
  // Told of changes, for a log; called on the thread of a call.
  std::function<void(const std::string&)> say = {};
};

// A channel for an access's address with the number `address`, by its token. Does not wait.
std::shared_ptr<grpc::Channel> OpenChannel(const Access& access, size_t address,
                                           const LinkOptions& options = {});

// Gives the channel for a call. While the coordinator cannot be reached the addresses take turns,
// and when the access file is replaced the next call uses what it says now: a new token, address or
// certificate needs no restart. A file that cannot be read changes nothing.
// Threads: any.
class Link {
 public:
  explicit Link(AccessSource source, const LinkOptions& options = {});

  // Never null. Looks at the file at most once a second.
  std::shared_ptr<grpc::Channel> channel();
  // The address of the present channel.
  std::string address() const;
  // True if no token is sent.
  bool anonymous() const;

 private:
  struct FileMark {
    int64_t inode = 0, size = 0, seconds = 0, nanoseconds = 0;
    friend bool operator==(const FileMark&, const FileMark&) = default;
  };
  static FileMark MarkOf(const std::string& path);

  void Reopen();            // under mutex_
  void FollowFile();        // under mutex_
  void LeaveDeadAddress();  // under mutex_

  void Say(const std::string& words) const;

  const LinkOptions options_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  AccessSource source_;
  FileMark mark_;
  size_t address_ = 0;
  absl::Time looked_ = absl::InfinitePast();
  absl::Time opened_ = absl::InfinitePast();
  std::shared_ptr<grpc::Channel> channel_;
  // Left behind, and when: gRPC 1.51 releases a call on a thread of its own after its callback has
  // returned, and aborts if the channel goes at that moment (seen).
  std::deque<std::pair<absl::Time, std::shared_ptr<grpc::Channel>>> retired_;
};

}  // namespace retort

#endif  // RETORT_COMMON_ACCESS_LINK_H_
