#include "common/spec/training_memory.h"

#include <gtest/gtest.h>

namespace retort {
namespace {

constexpr double kMiB = 1 << 20;

v1::TrainingSpec Spec(int base, int blocks, int batch = 128) {
  v1::TrainingSpec spec;
  spec.mutable_model()->mutable_resnet1d()->set_base(base);
  spec.mutable_model()->mutable_resnet1d()->set_blocks(blocks);
  spec.mutable_method()->mutable_scratch();
  spec.mutable_train()->set_batch(batch);
  spec.mutable_train()->set_optimizer(v1::OPTIMIZER_ADAM);
  return spec;
}

// The data that the measurements were made with.
TrainingData Demo() { return {200, 2, 580, 1.8 * kMiB, 1.8 * kMiB}; }

double MiB(const v1::TrainingSpec& spec, const TrainingData& data = Demo()) {
  const auto bytes = TrainingMemoryBytes(spec, data);
  EXPECT_TRUE(bytes.ok());
  return static_cast<double>(*bytes) / kMiB;
}

// Peak RSS of real runners, in MiB: an estimate that is below makes machines swap, one that is far
// above keeps slots empty.
TEST(TrainingMemoryTest, LiesLittleAboveWhatRunnersWereSeenToTake) {
  struct Seen {
    int base, blocks, batch;
    double peak;
  };
  for (const Seen& seen : {Seen{4, 4, 128, 191},
                           {32, 8, 128, 325},
                           {32, 8, 512, 479},
                           {64, 8, 128, 539},
                           {128, 8, 128, 789}}) {
    const double estimate = MiB(Spec(seen.base, seen.blocks, seen.batch));
    EXPECT_GT(estimate, seen.peak) << seen.base << "/" << seen.blocks << " " << seen.batch;
    EXPECT_LT(estimate, 1.5 * seen.peak) << seen.base << "/" << seen.blocks << " " << seen.batch;
  }
}

TEST(TrainingMemoryTest, GrowsWithBatchNetworkDataAndTeacher) {
  const double plain = MiB(Spec(32, 8));
  EXPECT_GT(MiB(Spec(32, 8, 256)), plain + 50);
  EXPECT_GT(MiB(Spec(64, 8)), plain + 50);
  TrainingData large = Demo();
  large.dataset_bytes = large.largest_dataset = 100 * kMiB;
  EXPECT_GT(MiB(Spec(32, 8), large), plain + 290);
  v1::TrainingSpec student = Spec(4, 4);
  const double alone = MiB(student);
  student.mutable_method()->mutable_soft();
  *student.mutable_teacher_model() = Spec(32, 8).model();
  EXPECT_GT(MiB(student), alone + 50);
}

// Of auto the whole batch counts: a slot that holds it is tried first.
TEST(TrainingMemoryTest, AMicrobatchNeedsWhatABatchOfItsSizeDoes) {
  v1::TrainingSpec spec = Spec(32, 8, 512);
  const double whole = MiB(spec);
  spec.mutable_train()->set_microbatch(128);
  EXPECT_EQ(MiB(spec), MiB(Spec(32, 8, 128)));
  spec.mutable_train()->set_microbatch(0);
  EXPECT_EQ(MiB(spec), whole);
}

TEST(TrainingMemoryTest, RefusesANetworkWithoutSizes) {
  EXPECT_FALSE(TrainingMemoryBytes(v1::TrainingSpec(), Demo()).ok());
}

}  // namespace
}  // namespace retort
