// What a worker finds when it looks after its machine: facts, and what is to be said of them.
#ifndef RETORT_WORKER_AGENT_DOCTOR_H_
#define RETORT_WORKER_AGENT_DOCTOR_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/checkups.h"
#include "retort/v1/runner.pb.h"

namespace retort {

// Runs `retort-runner doctor`. INVALID_ARGUMENT, NOT_FOUND and others: it cannot be run, or says
// something else.
absl::StatusOr<v1::RunnerMachine> AskRunner(const std::string& runner);

// Pure. `devices`: what the slots compute on, in turn.
std::vector<v1::Checkup> JudgeRunner(const absl::StatusOr<v1::RunnerMachine>& facts,
                                     const std::vector<std::string>& devices);
// More threads than cores take turns, and all are slower for it.
v1::Checkup JudgeThreads(int slots, int threads, int cores, bool gpus);

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_DOCTOR_H_
