// What the arithmetic runs on.
#ifndef RETORT_WORKER_DISTILL_MACHINE_H_
#define RETORT_WORKER_DISTILL_MACHINE_H_

#include <string>

#include "retort/v1/runner.pb.h"

namespace retort::distill {

// Name of the CPU as the system gives it, or its architecture.
std::string CpuModel();

// CPU model and host name: latencies are comparable within one.
std::string MachineName();

// What decides the bits of the arithmetic: CPU model, BLAS and its kernel, device, LibTorch
// version.
std::string NumericFingerprint();
// The same with the number of threads, and another device (DeviceText).
std::string NumericFingerprint(int threads, const std::string& device = "cpu");

// Sets the number of threads of this process' arithmetic; once, before any of it.
void SetUpThreads(int threads);
// Changes it later.
void SetThreads(int threads);

// The BLAS that LibTorch calls.
struct BlasSpeed {
  std::string name;
  double gflops = 0;      // of a small matrix product on one thread
  double slow_below = 0;  // this kind of CPU can do more
  bool slow() const { return gflops < slow_below; }
};
// Takes less than 100 ms.
BlasSpeed MeasureBlas();
// What to do if it is slow; empty if all is well.
std::string SlowBlasWarning();

// What `retort-runner doctor` says.
v1::RunnerMachine LookAtMachine();

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_MACHINE_H_
