#include "worker/examine.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "absl/strings/str_format.h"
#include "common/access/access.h"
#include "common/access/checkups.h"
#include "common/checkups.h"
#include "common/fields.h"
#include "common/status.h"
#include "worker/agent/devices.h"
#include "worker/agent/doctor.h"

namespace retort {

std::vector<v1::Checkup> Examine(Flags flags) {
  constexpr char kWhere[] = "worker";
  std::vector<v1::Checkup> checkups;
  const auto refused = [&](const std::string& what, const absl::Status& status) {
    checkups.push_back(MakeCheckup(kWhere, what, v1::CHECKUP_STATE_ERROR, MessageOf(status),
                                   "retort-worker would not start with these flags"));
  };
  if (flags.slurm) {
    if (const absl::Status share = TakeSlurmShare(flags); !share.ok()) refused("slurm", share);
  }
  const auto source = ChooseAccess({flags.access, flags.coordinator, flags.insecure}, {"worker"});
  if (source.ok()) {
    WayCheckups way = CheckWay(kWhere, *source, RETORT_VERSION);
    std::move(way.checkups.begin(), way.checkups.end(), std::back_inserter(checkups));
  } else {
    refused("access", source.status());
  }
  // The folder itself is not made: looking changes nothing.
  std::error_code error;
  const std::string folder = std::filesystem::exists(flags.folder, error)
                                 ? flags.folder
                                 : std::filesystem::absolute(flags.folder).parent_path().string();
  checkups.push_back(JudgeFolder(kWhere, LookAtFolder(folder),
                                 static_cast<int64_t>(flags.cache_gib * (int64_t{1} << 30)),
                                 "the cache (--cache-gib)"));
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  checkups.push_back(JudgeDescriptors(
      kWhere, static_cast<int64_t>(std::min<rlim_t>(limit.rlim_cur, rlim_t{1} << 40)),
      256 + 16 * std::max(1, flags.slots)));
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const auto devices = ParseDevices(flags.device);
  if (!devices.ok()) refused("gpu", devices.status());
  const bool gpus = devices.ok() && std::any_of(devices->begin(), devices->end(), IsGpu);
  checkups.push_back(
      JudgeThreads(flags.slots > 0 ? flags.slots : cores, flags.threads, cores, gpus));
  const auto runner = FindRunner(flags.runner);
  const auto facts = runner.ok() ? AskRunner(*runner) : runner.status();
  for (v1::Checkup& checkup :
       JudgeRunner(facts, devices.ok() ? *devices : std::vector<std::string>())) {
    checkups.push_back(std::move(checkup));
  }
  return checkups;
}

int TellCheckups(const std::vector<v1::Checkup>& checkups, bool json) {
  bool well = true;
  for (const v1::Checkup& checkup : checkups) {
    const std::string state = EnumWord(*v1::CheckupState_descriptor(), checkup.state());
    well = well && checkup.state() != v1::CHECKUP_STATE_ERROR;
    if (json) {
      std::cout << nlohmann::ordered_json{{"where", checkup.where()},
                                          {"what", checkup.what()},
                                          {"state", state},
                                          {"found", checkup.found()},
                                          {"advice", checkup.advice()}}
                       .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
                << "\n";
      continue;
    }
    std::cout << absl::StrFormat("%-8s %-12s %s\n", state, checkup.what(), checkup.found());
    if (!checkup.advice().empty()) {
      std::cout << absl::StrFormat("%21s -> %s\n", "", checkup.advice());
    }
  }
  std::cout.flush();
  return well ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace retort
