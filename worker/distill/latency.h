// How long a network takes for one window.
#ifndef RETORT_WORKER_DISTILL_LATENCY_H_
#define RETORT_WORKER_DISTILL_LATENCY_H_

#include <atomic>
#include <string>

#include "retort/v1/result.pb.h"
#include "worker/distill/models.h"

namespace retort::distill {

struct LatencyPlace {
  std::string cache_dir;    // latencies are kept in its folder `latency`, one file per architecture
                            // and machine
  std::string lock_folder;  // see machine_lock.h
};

// Fills in the latency fields of `cost`: from the cache, or measured with nothing else training.
// They stay unset, with a warning, if the machine could not be had alone for it within a minute.
// The network must be on the CPU, whatever trained it. Leaves the process with `threads` threads.
// The caller must hold no TrainingShare.
void FillLatency(Network& network, const v1::ModelSpec& model, int samples, int threads,
                 const LatencyPlace& place, const std::atomic<bool>& stop, v1::ModelCost& cost);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_LATENCY_H_
