#include "worker/agent/doctor.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/program.h"
#include "common/status.h"

namespace retort {
namespace {

constexpr char kWhere[] = "worker";

// Devices that are asked for and not there.
std::vector<std::string> Missing(const std::vector<std::string>& devices, size_t gpus) {
  std::set<std::string> missing;
  for (const std::string& device : devices) {
    size_t number = 0;
    if (device.starts_with("cuda:") &&
        (!absl::SimpleAtoi(device.substr(5), &number) || number >= gpus)) {
      missing.insert(device);
    }
  }
  return {missing.begin(), missing.end()};
}

google::protobuf::util::JsonParseOptions ReadAlsoNewer() {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  return options;
}

v1::Checkup JudgeGpus(const std::vector<std::string>& gpus,
                      const std::vector<std::string>& devices) {
  const std::string found =
      gpus.empty() ? "LibTorch sees no GPU" : absl::StrCat(absl::StrJoin(gpus, ", "));
  const std::vector<std::string> missing = Missing(devices, gpus.size());
  if (!missing.empty()) {
    return MakeCheckup(kWhere, "gpu", v1::CHECKUP_STATE_ERROR,
                       absl::StrCat(found, "; --device says ", absl::StrJoin(missing, ", ")),
                       "Debian's LibTorch knows CPUs alone: build with the upstream one "
                       "(deploy/guide.md), and see nvidia-smi");
  }
  const bool used = std::any_of(devices.begin(), devices.end(), [](const std::string& device) {
    return device.starts_with("cuda:");
  });
  if (!gpus.empty() && !used) {
    return MakeCheckup(kWhere, "gpu", v1::CHECKUP_STATE_WARNING, found + ": not used",
                       "--device cuda:0 uses the first");
  }
  return MakeCheckup(kWhere, "gpu", v1::CHECKUP_STATE_OK, found);
}

}  // namespace

absl::StatusOr<v1::RunnerMachine> AskRunner(const std::string& runner) {
  RETORT_ASSIGN_OR_RETURN(const ProgramAnswer answer, RunProgram({.command = {runner, "doctor"}}));
  v1::RunnerMachine machine;
  const bool read =
      google::protobuf::util::JsonStringToMessage(answer.out, &machine, ReadAlsoNewer()).ok();
  if (answer.exit_code != 0 || !read || machine.libtorch().empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(runner, ": exit code ", answer.exit_code,
                     answer.err.empty() ? ", and nothing that a runner says" : ": " + answer.err));
  }
  return machine;
}

std::vector<v1::Checkup> JudgeRunner(const absl::StatusOr<v1::RunnerMachine>& facts,
                                     const std::vector<std::string>& devices) {
  if (!facts.ok()) {
    return {MakeCheckup(kWhere, "runner", v1::CHECKUP_STATE_ERROR, MessageOf(facts.status()),
                        "it must be retort-runner, and its libraries must be installed "
                        "(deploy/install.sh)")};
  }
  std::vector<v1::Checkup> checkups;
  checkups.push_back(
      MakeCheckup(kWhere, "runner", v1::CHECKUP_STATE_OK,
                  absl::StrCat("LibTorch ", facts->libtorch(), " on ", facts->cpu())));
  const std::string speed =
      absl::StrFormat("%s: %.0f GFLOP/s on one thread", facts->blas(), facts->gflops());
  if (facts->gflops() < facts->slow_below()) {
    checkups.push_back(MakeCheckup(
        kWhere, "blas", v1::CHECKUP_STATE_WARNING, speed,
        absl::StrFormat("this CPU can do more than %.0f: install libopenblas0-pthread, or see "
                        "what else runs here",
                        facts->slow_below())));
  } else {
    checkups.push_back(MakeCheckup(kWhere, "blas", v1::CHECKUP_STATE_OK, speed));
  }
  checkups.push_back(JudgeGpus({facts->gpus().begin(), facts->gpus().end()}, devices));
  return checkups;
}

v1::Checkup JudgeThreads(int slots, int threads, int cores, bool gpus) {
  const std::string found =
      absl::StrCat(slots, " slots of ", threads, " threads, ", cores, " cores");
  if (gpus || slots * threads <= cores) {
    return MakeCheckup(kWhere, "slots", v1::CHECKUP_STATE_OK, found);
  }
  return MakeCheckup(kWhere, "slots", v1::CHECKUP_STATE_WARNING, found,
                     "fewer --slots or --threads: beyond the cores they take turns, and all are "
                     "slower for it");
}

}  // namespace retort
