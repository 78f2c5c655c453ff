#include "worker/agent/devices.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace retort {
namespace {

constexpr char kGpu[] = "cuda:";
constexpr int kLastGpu = 127;  // that LibTorch can name

bool IsDevice(const std::string& text) {
  if (text == "cpu") return true;
  if (!IsGpu(text)) return false;
  const std::string digits = text.substr(sizeof(kGpu) - 1);
  int number = 0;
  return absl::SimpleAtoi(digits, &number) && number >= 0 && number <= kLastGpu &&
         absl::StrCat(number) == digits;
}

}  // namespace

bool IsGpu(const std::string& device) { return device.starts_with(kGpu); }

absl::StatusOr<std::vector<std::string>> ParseDevices(const std::string& text) {
  std::vector<std::string> devices = absl::StrSplit(text, ',');
  for (const std::string& device : devices) {
    if (IsDevice(device)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("--device: '", device, "'; expected cpu or cuda:N with N from 0 to ", kLastGpu,
                     ", or several separated by commas, such as cuda:0,cuda:1"));
  }
  return devices;
}

std::vector<v1::Slot> ShareSlots(const std::vector<std::string>& devices, int count,
                                 const Memories& memories) {
  std::vector<v1::Slot> slots(static_cast<size_t>(count));
  for (size_t i = 0; i < slots.size(); ++i) {
    slots[i].set_index(static_cast<int32_t>(i));
    slots[i].set_device(devices[i % devices.size()]);
  }
  for (v1::Slot& slot : slots) {
    const auto same = std::count_if(slots.begin(), slots.end(), [&](const v1::Slot& other) {
      return other.device() == slot.device();
    });
    slot.set_memory_bytes(IsGpu(slot.device()) ? memories.device_bytes / same
                                               : memories.host_bytes / count);
  }
  return slots;
}

}  // namespace retort
