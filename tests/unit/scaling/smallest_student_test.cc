#include "client/scaling/smallest_student.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/scaling/simulate_claims.h"

namespace retort::scaling {
namespace {

using ::testing::HasSubstr;

// Five ResNets whose error falls from 8.4 to 5.0 BPM.
ClaimTruth Falling() {
  ClaimTruth truth;
  truth.floor = 4.5;
  truth.resnet_gain = {{"dkd", 0.2}, {"soft", 0.1}};
  truth.mlp_gain = truth.resnet_gain;
  return truth;
}

constexpr ClaimNoise kLittle = {
    .subject = 0.1, .arm_subject = 0.01, .arm_fold = 0, .network = 0.01, .rest = 0.01};

SmallestStudent MustFind(const std::vector<TestedNetwork>& networks, double mae_bpm,
                         double confidence = 0.95) {
  const auto found = FindSmallestStudent(networks, mae_bpm, confidence);
  EXPECT_TRUE(found.ok()) << found.status();
  return found.ok() ? *found : SmallestStudent();
}

TEST(FindSmallestStudentTest, IsTheSmallestOfAllMethods) {
  const auto networks = SimulateNetworks(Falling(), {.subjects = 34}, 1, kLittle);
  // By dkd, of 1488 to 55000 parameters: about 6.6, 5.2, 4.4, 4.4, 4.0; the mlps 7.0, 6.2, 5.9.
  const auto found = MustFind(networks, 5.7);
  ASSERT_TRUE(found.smallest);
  EXPECT_EQ(found.candidates[*found.smallest].model, "resnet1d-1");
  EXPECT_EQ(found.candidates[*found.smallest].arm, "dkd");
  EXPECT_EQ(found.candidates[*found.smallest].teacher, "resnet1d-64/8");
  ASSERT_EQ(found.candidates.size(), 8u);
  for (size_t i = 1; i < found.candidates.size(); ++i) {
    EXPECT_LE(found.candidates[i - 1].validation_mae_bpm, found.candidates[i].validation_mae_bpm);
    EXPECT_LE(found.candidates[i].keeps, found.candidates[i - 1].keeps);
  }
  EXPECT_EQ(MustFind(networks, 20).candidates[*MustFind(networks, 20).smallest].params, 1488);
  EXPECT_FALSE(MustFind(networks, 1).smallest);
}

TEST(FindSmallestStudentTest, IsChosenOnValidationNotOnTest) {
  auto networks =
      SimulateNetworks(Falling(), {.subjects = 12, .resnets = 1, .mlps = 0}, 2, kLittle);
  for (TestedNetwork& network : networks) {
    if (network.method == "soft") network.validation_mae_bpm = 1;
  }
  const auto found = MustFind(networks, 100);
  ASSERT_EQ(found.candidates.size(), 1u);
  EXPECT_EQ(found.candidates[0].arm, "soft");
  double mean = 0;
  for (const TestedNetwork& network : networks) {
    if (network.method != "soft") continue;
    for (const SubjectErrors& subject : network.subjects) mean += subject.mae_bpm[0] / 2 / 12;
  }
  EXPECT_NEAR(found.candidates[0].mae_bpm, mean, 1e-9);
}

TEST(FindSmallestStudentTest, StopsAtTheFirstThatIsNotSure) {
  auto networks =
      SimulateNetworks(Falling(), {.subjects = 12, .resnets = 3, .mlps = 0}, 3, kLittle);
  for (TestedNetwork& network : networks) {
    if (network.is_teacher || network.method != "dkd") continue;
    // The largest is first by validation, and far off on test.
    if (network.model == "resnet1d-2") {
      for (SubjectErrors& subject : network.subjects) subject.mae_bpm = {50, 50, 50};
    }
  }
  const auto found = MustFind(networks, 30);
  EXPECT_FALSE(found.smallest);
  EXPECT_GT(found.candidates[0].mae_bpm, 30);
  EXPECT_LT(*found.candidates[1].upper_bpm, 30);
  EXPECT_FALSE(found.candidates[1].keeps);
}

TEST(FindSmallestStudentTest, FewSubjectsAreNeverSure) {
  const auto found =
      MustFind(SimulateNetworks(Falling(), {.subjects = 5, .resnets = 1, .mlps = 0}, 4), 100);
  EXPECT_FALSE(found.smallest);
  EXPECT_THAT(found.candidates[0].problem, HasSubstr("5 subjects"));
}

// All students have an error of 6 BPM on test in truth; none keeps 6 less a hair.
TEST(FindSmallestStudentTest, SeldomNamesOneThatDoesNotKeepTheError) {
  ClaimTruth truth;
  truth.floor = 6;
  truth.a = 0;
  int wrong = 0;
  constexpr int kSweeps = 200;
  for (int i = 0; i < kSweeps; ++i) {
    const auto networks =
        SimulateNetworks(truth, {.subjects = 12, .resnets = 5, .mlps = 0}, 100 + i);
    wrong += MustFind(networks, 5.999).smallest.has_value();
  }
  EXPECT_LE(wrong, kSweeps * 0.09);  // 5 % and three standard errors
}

TEST(FindSmallestStudentTest, RefusesWhatCannotBeAnswered) {
  auto networks = SimulateNetworks(Falling(), {.subjects = 12, .resnets = 1, .mlps = 0}, 5);
  EXPECT_THAT(FindSmallestStudent(networks, -1, 0.95).status().message(), HasSubstr("positive"));
  EXPECT_THAT(FindSmallestStudent(networks, 5, 0.4).status().message(), HasSubstr("0.5"));
  for (TestedNetwork& network : networks) network.validation_mae_bpm.reset();
  EXPECT_THAT(FindSmallestStudent(networks, 5, 0.95).status().message(), HasSubstr("validation"));
}

}  // namespace
}  // namespace retort::scaling
