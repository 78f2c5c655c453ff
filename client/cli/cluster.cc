#include "client/cli/cluster.h"

#include <signal.h>

#include <cstdio>
#include <filesystem>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/files.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr absl::Duration kStartPatience = absl::Seconds(30);
constexpr int kMaxDeaths = 5;  // within a minute

absl::Status Died(const std::string& what, const std::string& how, const std::string& log) {
  const std::string lines = LastLines(log, 8);
  return absl::UnavailableError(absl::StrCat(what, " ended (", how, "); its log, ", log,
                                             ", ends:\n", lines.empty() ? "(nothing)" : lines));
}

}  // namespace

absl::StatusOr<Cluster> Cluster::Start(const ClusterOptions& options,
                                       const std::function<bool()>& keep_waiting) {
  Cluster cluster(options);
  RETORT_ASSIGN_OR_RETURN(const std::string program, FindProgram("retort-server"));
  const std::string address_file = options.folder + "/coordinator.address";
  (void)std::remove(address_file.c_str());
  cluster.server_.what = "coordinator";
  cluster.server_.log = options.folder + "/coordinator.log";
  const auto listen_on = [&](const std::string& address) {
    return std::vector<std::string>{program,     "--folder", options.folder + "/coordinator",
                                    "--listen",  address,    "--address-file",
                                    address_file};
  };
  cluster.server_.args = listen_on("127.0.0.1:0");
  RETORT_RETURN_IF_ERROR(cluster.Launch(cluster.server_));
  const absl::Time until = absl::Now() + kStartPatience;
  while (cluster.address_.empty()) {
    if (const auto ended = cluster.server_.process->Ended(); ended.has_value()) {
      return Died("coordinator", *ended, cluster.server_.log);
    }
    if (!keep_waiting()) return absl::CancelledError("interrupted");
    if (absl::Now() > until) return Died("coordinator", "said no address", cluster.server_.log);
    absl::SleepFor(absl::Milliseconds(20));
    if (const auto text = ReadFile(address_file); text.ok()) {
      cluster.address_ = std::string(absl::StripAsciiWhitespace(*text));
    }
  }
  RETORT_ASSIGN_OR_RETURN(
      cluster.access_,
      ChooseAccess({options.folder + "/coordinator/access/admin.access", "", false}, {}));
  // Started again, it takes the address that the workers know.
  cluster.server_.args = listen_on(cluster.address_);
  return cluster;
}

absl::Status Cluster::StartWorkers() {
  RETORT_ASSIGN_OR_RETURN(const std::string program, FindProgram("retort-worker"));
  for (int i = 0; i < options_.workers; ++i) {
    Member worker;
    worker.what = absl::StrCat("worker ", i);
    worker.log = absl::StrCat(options_.folder, "/worker-", i, ".log");
    worker.args = {program,
                   "--access",
                   options_.folder + "/coordinator/access/worker.access",
                   "--id",
                   absl::StrCat("local-", i),
                   "--folder",
                   absl::StrCat(options_.folder, "/worker-", i),
                   "--slots",
                   absl::StrCat(options_.slots),
                   "--threads",
                   absl::StrCat(options_.threads),
                   "--device",
                   options_.device,
                   "--drain-timeout",
                   "1s"};
    if (options_.allow_torchscript) worker.args.push_back("--allow-torchscript");
    RETORT_RETURN_IF_ERROR(Launch(workers_.emplace_back(std::move(worker))));
  }
  return absl::OkStatus();
}

absl::Status Cluster::Launch(Member& member) {
  RETORT_ASSIGN_OR_RETURN(auto process, ChildProcess::Start(member.args, member.log));
  member.process.emplace(std::move(process));
  return absl::OkStatus();
}

absl::Status Cluster::TendOne(Member& member, absl::Time now,
                              const std::function<void(const std::string&)>& say) {
  if (!member.process.has_value()) return absl::OkStatus();
  const auto ended = member.process->Ended();
  if (!ended.has_value()) return absl::OkStatus();
  std::erase_if(member.deaths, [&](absl::Time death) { return now - death > absl::Minutes(1); });
  member.deaths.push_back(now);
  if (member.deaths.size() >= kMaxDeaths) return Died(member.what, *ended, member.log);
  say(absl::StrCat("retort: the ", member.what, " died (", *ended,
                   "); started again, nothing is lost"));
  return Launch(member);
}

absl::Status Cluster::Tend(absl::Time now, const std::function<void(const std::string&)>& say) {
  RETORT_RETURN_IF_ERROR(TendOne(server_, now, say));
  for (Member& worker : workers_) RETORT_RETURN_IF_ERROR(TendOne(worker, now, say));
  return absl::OkStatus();
}

void Cluster::Stop() {
  for (Member& worker : workers_) {
    if (worker.process.has_value()) worker.process->Signal(SIGTERM);
  }
  for (Member& worker : workers_) {
    if (worker.process.has_value()) worker.process->WaitOrKill(absl::Seconds(15));
  }
  workers_.clear();
  if (server_.process.has_value()) {
    server_.process->Signal(SIGTERM);
    server_.process->WaitOrKill(absl::Seconds(10));
    server_.process.reset();
  }
}

}  // namespace retort
