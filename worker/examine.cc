#include "worker/examine.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
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
#include "common/files.h"
#include "common/status.h"
#include "worker/agent/devices.h"
#include "worker/agent/doctor.h"

namespace retort {
namespace {

int64_t SizeOfFiles(const std::filesystem::path& folder) {
  std::error_code error;
  int64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder, error)) {
    const auto size = entry.file_size(error);
    if (!error) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

// True if a worker holds it.
bool IsLocked(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd.valid() && flock(fd.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace

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
  // The folder itself is not made: looking changes nothing. It will be on this disk.
  std::error_code error;
  std::filesystem::path folder = std::filesystem::absolute(flags.folder, error);
  const auto cached = SizeOfFiles(folder / "artifacts");
  while (!std::filesystem::exists(folder, error) && folder.has_relative_path()) {
    folder = folder.parent_path();
  }
  const int64_t cache = static_cast<int64_t>(flags.cache_gib * (int64_t{1} << 30));
  checkups.push_back(JudgeFolder(kWhere, LookAtFolder(folder.string()),
                                 std::max<int64_t>(0, cache - cached),
                                 "what the cache (--cache-gib) does not hold yet"));
  if (IsLocked(flags.folder + "/lock")) {
    checkups.push_back(MakeCheckup(
        kWhere, "folder", v1::CHECKUP_STATE_OK,
        "a retort-worker runs in " + flags.folder + "; a second one needs a folder of its own"));
  }
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const auto devices = ParseDevices(flags.device);
  if (!devices.ok()) refused("gpu", devices.status());
  const bool gpus = devices.ok() && std::any_of(devices->begin(), devices->end(), IsGpu);
  const int slots = flags.slots > 0 ? flags.slots
                    : gpus          ? static_cast<int>(devices->size())
                                    : cores;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  checkups.push_back(JudgeDescriptors(
      kWhere, static_cast<int64_t>(std::min<rlim_t>(limit.rlim_cur, rlim_t{1} << 40)),
      256 + 16 * slots));
  checkups.push_back(JudgeThreads(slots, flags.threads, cores, gpus));
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
