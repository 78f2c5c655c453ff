#include "tests/bench/report.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace retort::bench {
namespace {

std::string CpuModel() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "unknown";
}

// Type of the mount with the longest path that the folder lies below.
std::string Filesystem(const std::string& folder) {
  std::ifstream file("/proc/mounts");
  std::string best, type;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string device, where, kind;
    words >> device >> where >> kind;
    if (folder.rfind(where, 0) == 0 && where.size() >= best.size()) {
      best = where;
      type = kind;
    }
  }
  return type;
}

nlohmann::json Machine(const std::string& folder) {
  utsname system{};
  uname(&system);
  double load[1] = {0};
  getloadavg(load, 1);
  return {{"cpu", CpuModel()},
          {"cores", sysconf(_SC_NPROCESSORS_ONLN)},
          {"filesystem", Filesystem(folder)},
          {"kernel", system.release},
          {"load_1min", load[0]}};
}

}  // namespace

void Print(const Row& row, const std::string& folder) {
  nlohmann::ordered_json line;
  line["name"] = row.name;
  line["value"] = row.value;
  line["unit"] = row.unit;
  if (row.target.has_value()) {
    line["target"] = *row.target;
    line["met"] = row.better == Better::kMore ? row.value >= *row.target : row.value <= *row.target;
  } else {
    line["target"] = nullptr;
    line["met"] = nullptr;
  }
  line["settings"] = row.settings;
  line["machine"] = Machine(folder);
  std::printf("%s\n", line.dump().c_str());
  std::fflush(stdout);
}

double Percentile(std::vector<double>& sample, double share) {
  if (sample.empty()) return 0;
  std::sort(sample.begin(), sample.end());
  const auto rank = static_cast<size_t>(std::ceil(share * static_cast<double>(sample.size())));
  return sample[std::clamp<size_t>(rank, 1, sample.size()) - 1];
}

}  // namespace retort::bench
