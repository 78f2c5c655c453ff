// What the claims come to on the results of the study, whose findings stand in
// deploy/sweeps/study/README.md.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/scaling/study.h"

namespace retort::scaling {
namespace {

using ::testing::HasSubstr;

class StudyClaims : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    const auto claims = JudgeClaims(
        ReadStudy(std::string(RETORT_SOURCE_DIR) + "/deploy/sweeps/study/results.csv"), {});
    ASSERT_TRUE(claims.ok()) << claims.status();
    claims_ = new std::vector<Claim>(*claims);
  }
  static void TearDownTestSuite() {
    delete claims_;
    claims_ = nullptr;
  }

  static const Claim& Of(int number) { return claims_->at(number - 1); }
  static const ClaimPart& Part(int number, const std::string& of, const std::string& scope,
                               const std::string& beside = "") {
    for (const ClaimPart& part : Of(number).parts) {
      if (part.of == of && (scope.empty() || part.scope == scope) &&
          (beside.empty() || part.compared_with == beside))
        return part;
    }
    ADD_FAILURE() << "no part " << of << " of " << scope;
    return Of(number).parts.at(0);
  }

  static inline std::vector<Claim>* claims_ = nullptr;
};

TEST_F(StudyClaims, AnswerAsTheStudyDoes) {
  EXPECT_EQ(Of(1).answer, Answer::kNotResolved);
  EXPECT_EQ(Of(1).reason, "hard: no; soft, dkd, feature: not resolved");
  EXPECT_EQ(Of(2).answer, Answer::kNo);
  EXPECT_EQ(Of(3).reason, "hard, soft, dkd: no; feature: not resolved");
  EXPECT_EQ(Of(4).answer, Answer::kYes);
  EXPECT_EQ(Of(4).parts.size(), 6u);
  EXPECT_EQ(Of(5).answer, Answer::kYes);
  EXPECT_THAT(Of(5).reason, HasSubstr("resnet1d-16/4 by feature beside resnet1d-64/8"));
}

TEST_F(StudyClaims, GainsAreThoseOfTheStudy) {
  // Effect and, in "C1 and its intervals", the intervals of Holm's procedure.
  const ClaimPart& feature = Part(1, "feature", "all");
  EXPECT_NEAR(*feature.effect, 0.21, 0.005);
  EXPECT_NEAR(feature.interval->low, -0.09, 0.01);
  EXPECT_THAT(feature.reason, HasSubstr("arg max yes"));
  const ClaimPart& hard = Part(1, "hard", "all");
  EXPECT_NEAR(*hard.effect, 0.03, 0.005);
  EXPECT_NEAR(hard.interval->low, -0.07, 0.01);
  EXPECT_EQ(hard.answer, Answer::kNo);
  const std::vector<std::pair<std::string, double>> over = {
      {"over one-hot", 0.60},  {"over one-hot low", 0.24},   {"over one-hot high", 0.96},
      {"over gaussian", 0.01}, {"over gaussian low", -0.09}, {"over gaussian high", 0.11}};
  ASSERT_EQ(hard.details.size(), over.size());
  for (size_t i = 0; i < over.size(); ++i) {
    EXPECT_EQ(hard.details[i].first, over[i].first);
    EXPECT_NEAR(hard.details[i].second, over[i].second, 0.011) << over[i].first;
  }
  EXPECT_NEAR(*Part(1, "dkd", "resnet1d").effect, -0.12, 0.005);
  EXPECT_NEAR(*Part(1, "feature", "mlp").effect, 0.23, 0.005);
}

TEST_F(StudyClaims, TheOtherEffectsAreThoseOfTheStudy) {
  EXPECT_NEAR(*Part(2, "dkd", "all", "feature").effect, -0.23, 0.005);
  EXPECT_EQ(Part(2, "dkd", "all", "feature").answer, Answer::kNo);
  EXPECT_EQ(Part(2, "dkd", "all", "soft").answer, Answer::kNo);
  EXPECT_EQ(Part(2, "dkd", "all", "hard").answer, Answer::kNotResolved);
  EXPECT_NEAR(*Part(3, "dkd", "").effect, -0.06, 0.005);
  EXPECT_NEAR(*Part(3, "soft", "").effect, -0.05, 0.005);
  const ClaimPart& one_hot = Part(4, "one-hot", "resnet1d");
  EXPECT_NEAR(*one_hot.effect, -0.32, 0.01);
  EXPECT_EQ(one_hot.details[0].first, "seen");
  EXPECT_NEAR(one_hot.details[0].second, 4.37, 0.005);
  const ClaimPart& edge = Part(5, "resnet1d-16/4 by feature", "resnet1d");
  EXPECT_NEAR(*edge.effect, 0.04, 0.005);
  EXPECT_NEAR(edge.details[0].second, 58, 0.5);
  EXPECT_NEAR(edge.details[1].second, 11.0, 0.05);
}

}  // namespace
}  // namespace retort::scaling
