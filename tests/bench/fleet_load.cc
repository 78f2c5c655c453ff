#include <deque>

#include "absl/time/clock.h"
#include "common/status.h"
#include "tests/bench/benchmarks.h"
#include "tests/bench/client.h"
#include "tests/bench/fleet.h"
#include "tests/bench/report.h"
#include "tests/bench/server_process.h"

namespace retort::bench {
namespace {

constexpr double kTargetShare = 0.1;

}  // namespace

absl::Status MeasureFleetLoad(const FleetLoadOptions& options, const std::string& parent) {
  const TemporaryFolder folder(parent);
  ServerProcess server(folder.path());
  RETORT_RETURN_IF_ERROR(server.Start());
  Client client(server.address());
  RETORT_ASSIGN_OR_RETURN(const std::string weights, client.Upload("weights"));
  RETORT_RETURN_IF_ERROR(client.Submit("long", options.workers, 1));
  Fleet fleet({.address = server.address(),
               .workers = options.workers,
               .connections = options.connections,
               .weights_sha256 = weights});

  // Each worker's next Sync is due a period after its last; the first ones are spread over a
  // period.
  std::vector<std::vector<AttemptBytes>> live(static_cast<size_t>(options.workers));
  std::deque<std::pair<absl::Time, int>> due;
  const absl::Time begin = absl::Now();
  for (int i = 0; i < options.workers; ++i)
    due.emplace_back(begin + options.period * i / options.workers, i);
  // Leases are taken in the first period and reported in the second; what follows is measured.
  const absl::Time measured = begin + 2 * options.period + absl::Seconds(1);
  const absl::Time end = measured + options.length;
  absl::Duration server_cpu, own_cpu;
  int64_t calls = 0, leases = 0, stops = 0;
  bool measuring = false;
  absl::Duration late;
  while (absl::Now() < end) {
    if (!measuring && absl::Now() >= measured) {
      measuring = true;
      server_cpu = server.CpuTime();
      own_cpu = OwnCpuTime();
      calls = fleet.calls();
    }
    const absl::Time now = absl::Now();
    while (due.front().first <= now) {
      const auto [time, worker] = due.front();
      due.pop_front();
      if (measuring) late = std::max(late, now - time);
      const auto& mine = live[static_cast<size_t>(worker)];
      fleet.Send(worker, mine.empty() ? 1 : 0, {}, mine);
      due.emplace_back(time + options.period, worker);
    }
    Fleet::Event event;
    RETORT_ASSIGN_OR_RETURN(const bool came, fleet.Next(std::min(due.front().first, end), event));
    if (!came) continue;
    stops += event.answer.stopped;
    leases += static_cast<int64_t>(event.answer.leases.size());
    if (!event.answer.leases.empty()) live[static_cast<size_t>(event.worker)] = event.answer.leases;
  }
  const double wall_s = absl::ToDoubleSeconds(absl::Now() - measured);
  const double share = absl::ToDoubleSeconds(server.CpuTime() - server_cpu) / wall_s;
  const double own_share = absl::ToDoubleSeconds(OwnCpuTime() - own_cpu) / wall_s;
  RETORT_ASSIGN_OR_RETURN(const v1::Sweep sweep, client.Sweep("long"));
  if (stops != 0 || sweep.counts().running() != options.workers) {
    return absl::InternalError("jobs were lost: " + sweep.counts().ShortDebugString());
  }
  Row row{"fleet_cpu_share", share, "cores", kTargetShare, Better::kLess};
  row.settings = {{"workers", options.workers},
                  {"connections", options.connections},
                  {"period_s", absl::ToDoubleSeconds(options.period)},
                  {"measured_s", wall_s},
                  {"syncs_per_s", static_cast<double>(fleet.calls() - calls) / wall_s},
                  {"generator_cpu_share", own_share},
                  {"latest_send_ms", absl::ToDoubleMilliseconds(late)},
                  {"leases", leases},
                  {"coordinator_mib", static_cast<double>(server.Memory()) / (1 << 20)}};
  RETORT_RETURN_IF_ERROR(server.Stop());
  Print(row, folder.path());
  return absl::OkStatus();
}

}  // namespace retort::bench
