#include "worker/distill/machine_lock.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "synthetic.h"

namespace retort::distill {
namespace {

using std::chrono::milliseconds;

TEST(MachineLockTest, AMeasurementRunsWhenNothingTrains) {
  const std::atomic<bool> stop = false;
  bool measured = false;
  EXPECT_TRUE(
      MeasureAlone(EmptyFolder("lock"), stop, milliseconds(1000), [&] { measured = true; }));
  EXPECT_TRUE(measured);
}

TEST(MachineLockTest, AMeasurementWaitsForTrainersAndTheyForIt) {
  const std::string folder = EmptyFolder("lock");
  const std::atomic<bool> stop = false;
  std::atomic<int> in_step = 0;
  std::atomic<bool> done = false;
  std::atomic<int> steps = 0;
  const auto train = [&] {
    TrainingShare share(folder, stop);
    while (!done) {
      share.Yield();
      ++in_step;
      std::this_thread::sleep_for(milliseconds(1));
      --in_step;
      ++steps;
    }
  };
  std::thread a(train), b(train);
  while (steps < 10) std::this_thread::sleep_for(milliseconds(1));
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(MeasureAlone(folder, stop, milliseconds(10000), [&] {
      const int before = steps;
      for (int j = 0; j < 10; ++j) {
        EXPECT_EQ(in_step, 0);
        std::this_thread::sleep_for(milliseconds(1));
      }
      EXPECT_EQ(steps, before);
    }));
  }
  const int after = steps;
  while (steps < after + 10) std::this_thread::sleep_for(milliseconds(1));
  done = true;
  a.join();
  b.join();
}

TEST(MachineLockTest, AMeasurementGivesUpWhenATrainerDoesNotLetGo) {
  const std::string folder = EmptyFolder("lock");
  const std::atomic<bool> stop = false;
  const TrainingShare share(folder, stop);
  EXPECT_FALSE(MeasureAlone(folder, stop, milliseconds(30), [] { FAIL(); }));
}

TEST(MachineLockTest, StoppingEndsAWait) {
  const std::string folder = EmptyFolder("lock");
  std::atomic<bool> stop = false;
  const TrainingShare share(folder, stop);
  std::thread stopper([&] {
    std::this_thread::sleep_for(milliseconds(20));
    stop = true;
  });
  EXPECT_FALSE(MeasureAlone(folder, stop, milliseconds(60000), [] { FAIL(); }));
  stopper.join();
}

}  // namespace
}  // namespace retort::distill
