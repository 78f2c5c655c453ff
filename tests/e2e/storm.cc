#include "tests/e2e/storm.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "tests/e2e/processes.h"

namespace retort::e2e {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(10);
// A worker that is asked to go drains, waits for its runners and tells the coordinator, which may
// be away.
constexpr absl::Duration kGoPatience = absl::Seconds(40);
// One that has just been started knows no signals yet, and dies of them.
constexpr absl::Duration kInfancy = absl::Seconds(3);
constexpr char kDrainTimeout[] = "500ms";

}  // namespace

Storm::Storm(Cluster& cluster, const StormOptions& options)
    : cluster_(cluster),
      options_(options),
      random_(options.seed),
      mark_("RETORT_TEST_STORM=" + NewUuid()),
      log_(cluster.folder() + "/storm.log"),
      begin_(WallNow()) {
  // What is started from here on inherits it.
  setenv("RETORT_TEST_STORM", mark_.substr(mark_.find('=') + 1).c_str(), 1);
  members_.resize(static_cast<size_t>(options.workers) + 1);
  for (int i = 1; i <= options.workers; ++i) members_[i].id = absl::StrCat("w", i);
}

void Storm::Begin() {
  cluster_.set_lease(absl::FormatDuration(options_.lease));
  cluster_.FixAddress();
  cluster_.StartServer();
  members_[0].started = WallNow();
  for (size_t i = 1; i < members_.size(); ++i) Start(members_[i]);
}

void Storm::Start(Member& member) {
  member.down = member.frozen = member.leaving = false;
  member.started = WallNow();
  if (member.id.empty()) {
    cluster_.LaunchServer();
  } else {
    member.worker = cluster_.StartWorker(member.id, options_.slots, options_.epoch_ms,
                                         {{"RETORT_DRAIN_TIMEOUT", kDrainTimeout}});
  }
}

Process& Storm::process(Member& member) {
  return member.id.empty() ? cluster_.server() : *member.worker;
}

bool Storm::IsUp(const Member& member) const {
  return !member.down && !member.frozen && !member.leaving;
}

void Storm::Rage(absl::Duration length) {
  const absl::Time end = WallNow() + length;
  absl::Time next = WallNow();
  while (WallNow() < end) {
    if (WallNow() >= next) {
      Strike();
      next = WallNow() - options_.mean_gap * std::log(1 - Random01());
    }
    Tend();
    Pause(kTick);
  }
}

void Storm::Calm() {
  while (!frozen_runners_.empty() ||
         !std::all_of(members_.begin(), members_.end(), [&](const Member& m) { return IsUp(m); })) {
    Tend();
    Pause(kTick);
  }
}

void Storm::Tend() {
  const absl::Time now = WallNow();
  for (Member& member : members_) {
    Process& p = process(member);
    if (member.leaving && !p.Running()) {
      EXPECT_EQ(p.Wait(absl::ZeroDuration()).value_or(-1), 0) << member.id << " was asked to go";
      member.leaving = false;
      member.down = true;
      member.due = now + Absence();
    } else if (member.leaving && now > member.due) {
      ADD_FAILURE() << member.id << " was asked to go and has not within "
                    << absl::FormatDuration(kGoPatience);
      p.Signal(SIGKILL);
    } else if (IsUp(member) && !p.Running()) {
      ADD_FAILURE() << (member.id.empty() ? "the coordinator" : member.id)
                    << " left by itself with " << p.Wait(absl::ZeroDuration()).value_or(-1);
      member.down = true;
      member.due = now;
    }
    if (member.due > now) continue;
    if (member.frozen) {
      p.Signal(SIGCONT);
      member.frozen = false;
    } else if (member.down) {
      Start(member);
    }
  }
  std::erase_if(frozen_runners_, [&](const auto& runner) {
    if (runner.second > now) return false;
    kill(runner.first, SIGCONT);
    return true;
  });
}

void Storm::End() {
  Calm();
  Pause(kInfancy);
  for (size_t i = 1; i < members_.size(); ++i) members_[i].worker->Signal(SIGTERM);
  for (size_t i = 1; i < members_.size(); ++i) {
    EXPECT_EQ(members_[i].worker->Wait(kGoPatience).value_or(-1), 0) << members_[i].id;
  }
  cluster_.server().Signal(SIGTERM);
  EXPECT_EQ(cluster_.server().Wait(absl::Seconds(20)).value_or(-1), 0) << "coordinator";
  unsetenv("RETORT_TEST_STORM");
}

int Storm::kills() const {
  int sum = 0;
  for (const auto& [kind, count] : counts_) sum += kind.starts_with("kill") ? count : 0;
  return sum;
}

void Storm::Strike() {
  Member& coordinator = members_[0];
  Member& worker = AnyWorker();
  const absl::Duration beyond_lease = options_.lease * (1.2 + Random01());
  const absl::Duration brief = options_.lease * 0.5 * Random01();
  switch (random_() % 20) {
    case 0:
    case 1:
    case 2:
      return Kill(coordinator);
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
      return Kill(worker);
    case 8:
      return Freeze(coordinator, beyond_lease);
    case 9:
      return Freeze(coordinator, brief);
    case 10:
    case 11:
      return Freeze(worker, beyond_lease);
    case 12:
      return Freeze(worker, brief);
    case 13:
      return AskToGo(worker);
    case 14:
      return AskToGo(coordinator);
    case 15:
      return KillRunner(/*only_freeze=*/true);
    default:
      return KillRunner(/*only_freeze=*/false);
  }
}

void Storm::Kill(Member& member) {
  if (member.down || member.leaving) return;  // a frozen one dies as well
  Note(member.id.empty() ? "kill coordinator" : "kill agent", member.id);
  process(member).Signal(SIGKILL);
  process(member).Wait(absl::Seconds(10));
  member.frozen = false;
  member.down = true;
  member.due = WallNow() + Absence();
}

void Storm::Freeze(Member& member, absl::Duration time) {
  if (!IsUp(member)) return;
  const bool longer = time > options_.lease;
  Note(absl::StrCat("suspend ", member.id.empty() ? "coordinator" : "agent",
                    longer ? " beyond its lease" : ""),
       member.id);
  process(member).Signal(SIGSTOP);
  member.frozen = true;
  member.due = WallNow() + time;
}

void Storm::AskToGo(Member& member) {
  if (!IsUp(member) || WallNow() < member.started + kInfancy) return;
  Note(member.id.empty() ? "SIGTERM coordinator" : "SIGTERM agent", member.id);
  process(member).Signal(SIGTERM);
  member.leaving = true;
  member.due = WallNow() + kGoPatience;
}

void Storm::KillRunner(bool only_freeze) {
  std::vector<pid_t> agents;
  for (size_t i = 1; i < members_.size(); ++i) {
    if (IsUp(members_[i])) agents.push_back(members_[i].worker->pid());
  }
  const std::vector<pid_t> runners = RunnersOf(agents);
  if (runners.empty()) return;
  const pid_t pid = runners[random_() % runners.size()];
  Note(only_freeze ? "suspend runner" : "kill runner", absl::StrCat(pid));
  kill(pid, only_freeze ? SIGSTOP : SIGKILL);
  if (only_freeze) frozen_runners_.emplace_back(pid, WallNow() + options_.lease * Random01());
}

void Storm::Note(const std::string& kind, const std::string& whom) {
  ++counts_[kind];
  log_ << absl::ToDoubleSeconds(WallNow() - begin_) << " " << kind << " " << whom << std::endl;
}

absl::Duration Storm::Absence() {
  const double r = Random01();
  if (r < 0.4) return absl::ZeroDuration();
  return r < 0.85 ? options_.lease * 0.5 * Random01() : options_.lease * (1 + Random01());
}

Storm::Member& Storm::AnyWorker() { return members_[1 + random_() % (members_.size() - 1)]; }

double Storm::Random01() { return std::uniform_real_distribution<double>(0, 1)(random_); }

}  // namespace retort::e2e
