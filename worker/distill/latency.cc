#include "worker/distill/latency.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "common/spec/safetensors.h"
#include "worker/distill/files.h"
#include "worker/distill/machine.h"
#include "worker/distill/machine_lock.h"

namespace retort::distill {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRuns = 300;
constexpr int kWarmUpRuns = 20;
constexpr std::chrono::milliseconds kWarmUp{50};
constexpr std::chrono::minutes kPatience{1};

double MillisecondsSince(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

v1::ModelCost Measure(Network& network, int samples) {
  torch::NoGradGuard no_grad;
  network.eval();
  const torch::Tensor window = torch::linspace(-1, 1, samples).sin().view({1, 1, samples});
  const auto begin = Clock::now();
  for (int i = 0; i < kWarmUpRuns || Clock::now() - begin < kWarmUp; ++i) network.Forward(window);
  std::vector<double> times_ms;
  for (int i = 0; i < kRuns; ++i) {
    const auto at = Clock::now();
    network.Forward(window);
    times_ms.push_back(MillisecondsSince(at));
  }
  std::sort(times_ms.begin(), times_ms.end());
  v1::ModelCost measured;
  measured.set_latency_ms((times_ms[kRuns / 2 - 1] + times_ms[kRuns / 2]) / 2);
  measured.set_latency_p95_ms(times_ms[kRuns * 95 / 100]);
  measured.set_latency_machine(MachineName());
  return measured;
}

// One file per architecture, length of window, machine and library.
std::string CachePath(const std::string& cache_dir, const v1::ModelSpec& model, int samples) {
  const std::string key = ArchitectureName(model) + "|" + std::to_string(samples) + "|" +
                          MachineName() + "|" + NumericFingerprint();
  char name[64];
  std::snprintf(name, sizeof(name), "/latency/%016llx.json",
                static_cast<unsigned long long>(Fnv1a(key)));
  return cache_dir + name;
}

bool ReadCache(const std::string& path, v1::ModelCost& cost) {
  const auto text = ReadWholeFile(path);
  v1::ModelCost known;
  if (!text.ok() || !google::protobuf::util::JsonStringToMessage(*text, &known).ok() ||
      !(known.latency_ms() > 0) || known.latency_machine() != MachineName()) {
    return false;
  }
  cost.MergeFrom(known);
  return true;
}

void WriteCache(const std::string& path, const v1::ModelCost& measured) {
  std::string json;
  // A message of finite numbers cannot fail to print.
  (void)google::protobuf::util::MessageToJsonString(measured, &json);
  const auto written = WriteFileWhole(path, json + "\n");
  if (!written.ok()) {
    std::fprintf(stderr, "the latency is not cached: %s\n", written.error().c_str());
  }
}

}  // namespace

void FillLatency(Network& network, const v1::ModelSpec& model, int samples, int threads,
                 const LatencyPlace& place, const std::atomic<bool>& stop, v1::ModelCost& cost) {
  const std::string path = CachePath(place.cache_dir, model, samples);
  if (ReadCache(path, cost)) return;
  const bool done = MeasureAlone(place.lock_folder, stop, kPatience, [&] {
    // Another runner may have measured it while this one waited.
    if (ReadCache(path, cost)) return;
    SetThreads(1);
    const v1::ModelCost measured = Measure(network, samples);
    SetThreads(threads);
    WriteCache(path, measured);
    cost.MergeFrom(measured);
  });
  if (!done && !stop) {
    std::fprintf(stderr, "the latency was not measured: other runners did not let go of %s\n",
                 place.lock_folder.c_str());
  }
}

}  // namespace retort::distill
