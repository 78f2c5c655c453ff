#include "worker/flags.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/access/access.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/metrics/endpoint.h"
#include "common/names.h"
#include "common/status.h"
#include "worker/agent/devices.h"
#include "worker/agent/slurm.h"

namespace retort {
namespace {

constexpr char kExamples[] =
    "Examples:\n"
    "  retort-worker\n"
    "      for a coordinator of the same user on this machine, a slot a core\n"
    "  retort-worker --access worker.access --slots 8\n"
    "      for the coordinator whose access file was copied here\n"
    "  retort-worker --access worker.access --device cuda:0,cuda:1 --device-memory-gib 80\n"
    "      a slot on each of two GPUs\n"
    "  retort-worker --metrics 127.0.0.1:9642 --log-format json\n"
    "      with what Prometheus and a collector of logs read\n"
    "  retort-worker doctor --access worker.access --device cuda:0\n"
    "      looks whether all is well for it, and starts nothing";

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "unknown";
}

// The host and six digits that tell the folders of one host apart: the same after each start.
std::string DefaultId(const std::string& host, const std::string& folder) {
  std::string id;
  for (const char c : absl::AsciiStrToLower(host.substr(0, 50))) {
    const bool allowed = absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-';
    id += allowed ? c : '-';
  }
  if (id.empty() || !absl::ascii_isalnum(static_cast<unsigned char>(id[0]))) id = "w" + id;
  return id + "-" + ArtifactHash(Sha256Of(folder)).hex().substr(0, 6);
}

}  // namespace

void AddFlags(CLI::App& app, Flags& flags) {
  const CLI::AsNumberWithUnit seconds(
      std::map<std::string, double>{{"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}},
      CLI::AsNumberWithUnit::CASE_SENSITIVE);
  app.set_version_flag("--version", std::string("retort-worker ") + RETORT_VERSION);
  app.footer(kExamples);
  app.add_option("--access", flags.access,
                 "access file of the coordinator, worker.access; that of a coordinator of the same "
                 "user on this machine is found without")
      ->envname("RETORT_ACCESS");
  app.add_option("--coordinator", flags.coordinator,
                 "HOST:PORT of the coordinator instead of the addresses in the access file; "
                 "127.0.0.1:7641 if neither is given")
      ->envname("RETORT_COORDINATOR");
  app.add_option("--id", flags.id,
                 "name of this worker, [a-z0-9.-]; made of the host and the folder when left out")
      ->envname("RETORT_WORKER_ID");
  app.add_option("--folder", flags.folder, "cache, spool and logs; one worker each")
      ->envname("RETORT_WORKER_FOLDER")
      ->capture_default_str();
  app.add_option(
         "--slots", flags.slots,
         "jobs at a time; when left out, the number of cores, or one a device if one is a GPU")
      ->envname("RETORT_SLOTS")
      ->check(CLI::Range(1, 1024));
  app.add_option("--device", flags.device,
                 "what the slots compute on, in turn: cpu, cuda:N, or several (cuda:0,cuda:1)")
      ->envname("RETORT_DEVICES")
      ->capture_default_str();
  app.add_option("--device-memory-gib", flags.device_memory_gib,
                 "GiB of each GPU that its slots share; 0: not known, any job may be sent")
      ->envname("RETORT_DEVICE_MEMORY_GIB")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  app.add_option("--threads", flags.threads, "CPU threads of each slot")
      ->envname("RETORT_THREADS")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--runner", flags.runner,
                 "runner program; retort-runner beside this one if left out")
      ->envname("RETORT_RUNNER");
  app.add_option("--cache-gib", flags.cache_gib, "most GiB of datasets and weights kept on disk")
      ->envname("RETORT_CACHE_GIB")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  app.add_option("--drain-timeout", flags.drain_timeout_s,
                 "how long running jobs may go on after SIGTERM (30s, 5m)")
      ->envname("RETORT_DRAIN_TIMEOUT")
      ->transform(seconds)
      ->check(CLI::Range(0.0, 86400.0))
      ->default_str("30s");
  app.add_option("--time-limit", flags.time_limit_s,
                 "leave by itself, so that all is reported before this long after the start (4h)")
      ->envname("RETORT_TIME_LIMIT")
      ->transform(seconds)
      ->check(CLI::Range(0.0, 1e9));
  app.add_flag("--slurm", flags.slurm,
               "as a job of Slurm: slots, devices, time limit and the end of the name come from "
               "what Slurm says of the job, unless they are given here");
  app.add_flag("--remove-folder", flags.remove_folder,
               "remove the folder after leaving in order: for one that nobody comes back to");
  app.add_option("--log-level", flags.log_level, "trace, debug, info, warn, error")
      ->envname("RETORT_LOG_LEVEL")
      ->capture_default_str();
  app.add_option("--log-format", flags.log_format,
                 "text, or json: an object a line, with the ids of worker, job and attempt")
      ->envname("RETORT_LOG_FORMAT")
      ->capture_default_str();
  app.add_flag("--allow-torchscript", flags.allow_torchscript,
               "take jobs whose teacher is a TorchScript module: loading one runs the code in it")
      ->envname("RETORT_ALLOW_TORCHSCRIPT");
  app.add_option("--metrics", flags.metrics,
                 "HOST:PORT on which Prometheus may ask for /metrics; not served if left out")
      ->envname("RETORT_WORKER_METRICS");
  app.add_flag("--metrics-in-clear", flags.metrics_in_clear,
               "allow an address for --metrics that other machines reach: it asks nobody who they "
               "are, and tells counts, no names")
      ->envname("RETORT_METRICS_IN_CLEAR");
  app.add_flag("--insecure", flags.insecure,
               "speak with a coordinator on another machine in clear and unauthenticated")
      ->envname("RETORT_INSECURE");
}

absl::StatusOr<std::string> FindRunner(const std::string& given) {
  std::error_code error;
  std::string path = given;
  if (path.empty()) {
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    path = (self.parent_path() / "retort-runner").string();
  }
  if (access(path.c_str(), X_OK) == 0 && std::filesystem::is_regular_file(path, error)) {
    return std::filesystem::absolute(path, error).string();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--runner: ", path, " is no program; expected the path of retort-runner"));
}

absl::Status TakeSlurmShare(Flags& flags) {
  RETORT_ASSIGN_OR_RETURN(const SlurmShare share, ReadSlurmShare([](const char* name) {
                            const char* value = std::getenv(name);
                            return std::string(value == nullptr ? "" : value);
                          }));
  flags.id = absl::StrCat(flags.id.empty() ? "slurm" : flags.id, "-", share.task);
  if (share.gpus > 0 && flags.device == "cpu") {
    flags.device = "cuda:0";
    for (int i = 1; i < share.gpus; ++i) absl::StrAppend(&flags.device, ",cuda:", i);
  } else if (flags.slots == 0 && flags.device == "cpu") {
    flags.slots = std::max(1, share.cpus / flags.threads);
  }
  if (share.end && flags.time_limit_s == 0) {
    flags.time_limit_s = std::max(1.0, absl::ToDoubleSeconds(*share.end - absl::Now()));
  }
  return absl::OkStatus();
}

absl::StatusOr<WorkerOptions> Resolve(Flags& flags) {
  if (flags.slurm) RETORT_RETURN_IF_ERROR(TakeSlurmShare(flags));
  if (!flags.metrics.empty()) {
    RETORT_RETURN_IF_ERROR(CheckMetricsAddress(flags.metrics, flags.metrics_in_clear));
  }
  WorkerOptions options;
  RETORT_ASSIGN_OR_RETURN(
      options.access, ChooseAccess({flags.access, flags.coordinator, flags.insecure}, {"worker"}));
  RETORT_ASSIGN_OR_RETURN(options.runner, FindRunner(flags.runner));
  RETORT_RETURN_IF_ERROR(Annotate(MakeFolders(flags.folder), "--folder"));
  options.folder = std::filesystem::canonical(flags.folder).string();
  options.host = HostName();
  options.id = flags.id.empty() ? DefaultId(options.host, options.folder) : flags.id;
  RETORT_RETURN_IF_ERROR(Annotate(CheckWorkerId(options.id), "--id"));
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  RETORT_ASSIGN_OR_RETURN(options.devices, ParseDevices(flags.device));
  options.device_memory_bytes = static_cast<int64_t>(flags.device_memory_gib * (int64_t{1} << 30));
  const auto gpus = std::count_if(options.devices.begin(), options.devices.end(), IsGpu);
  options.slots = flags.slots > 0 ? flags.slots
                  : gpus > 0      ? static_cast<int>(options.devices.size())
                                  : cores;
  options.threads = flags.threads;
  options.allow_torchscript = flags.allow_torchscript;
  options.cache_bytes = static_cast<int64_t>(flags.cache_gib * (int64_t{1} << 30));
  options.drain_timeout = absl::Seconds(flags.drain_timeout_s);
  if (flags.time_limit_s > 0) {
    RETORT_ASSIGN_OR_RETURN(options.working_time,
                            WorkingTime(absl::Seconds(flags.time_limit_s), options.leaving()));
  }
  options.version = RETORT_VERSION;
  return options;
}

}  // namespace retort
