#include "worker/agent/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace retort {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(DevicesTest, ReadsOneOrSeveral) {
  EXPECT_THAT(*ParseDevices("cpu"), ElementsAre("cpu"));
  EXPECT_THAT(*ParseDevices("cuda:0,cuda:12,cpu"), ElementsAre("cuda:0", "cuda:12", "cpu"));
}

TEST(DevicesTest, SaysWhatIsWrongAndWhatWouldBeRight) {
  for (const std::string bad : {"", "gpu", "cuda", "cuda:", "cuda:-1", "cuda:+1", "cuda:01",
                                "cuda:128", "cuda:0 ", "CPU"}) {
    const auto devices = ParseDevices("cpu," + bad);
    ASSERT_FALSE(devices.ok()) << bad;
    const std::string message(devices.status().message());
    EXPECT_THAT(message, HasSubstr("--device: '" + bad + "'; expected cpu or cuda:N"));
  }
}

TEST(DevicesTest, SlotsHaveTheDevicesInTurnAndShareTheirMemory) {
  const auto slots =
      ShareSlots({"cuda:0", "cuda:1", "cpu"}, 4, {.host_bytes = 400, .device_bytes = 90});
  std::vector<std::string> devices;
  std::vector<int64_t> memory;
  for (const auto& slot : slots) {
    EXPECT_EQ(slot.index(), static_cast<int>(devices.size()));
    devices.push_back(slot.device());
    memory.push_back(slot.memory_bytes());
  }
  EXPECT_THAT(devices, ElementsAre("cuda:0", "cuda:1", "cpu", "cuda:0"));
  EXPECT_THAT(memory, ElementsAre(45, 90, 100, 45));
  EXPECT_EQ(ShareSlots({"cuda:0"}, 1, {.host_bytes = 400})[0].memory_bytes(), 0) << "not known";
}

}  // namespace
}  // namespace retort
