// What the slots of a worker compute on.
#ifndef RETORT_WORKER_AGENT_DEVICES_H_
#define RETORT_WORKER_AGENT_DEVICES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "retort/v1/resources.pb.h"

namespace retort {

// Devices separated by commas: `cpu`, `cuda:N`. INVALID_ARGUMENT names --device, what is wrong and
// what would be right. Whether a GPU is there is for the runner to say.
absl::StatusOr<std::vector<std::string>> ParseDevices(const std::string& text);

bool IsGpu(const std::string& device);

struct Memories {
  int64_t host_bytes = 0;
  int64_t device_bytes = 0;  // of each GPU; 0: not known
};

// `count` slots, which have the devices in turn. A slot on the CPU has its share of the host's
// memory among all slots, since runners on a GPU use that too; one on a GPU its share of the GPU's
// memory, among the slots on the same one.
std::vector<v1::Slot> ShareSlots(const std::vector<std::string>& devices, int count,
                                 const Memories& memories);

}  // namespace retort

#endif  // RETORT_WORKER_AGENT_DEVICES_H_
