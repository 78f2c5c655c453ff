#include "client/scaling/claims.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "client/scaling/contrast.h"
#include "tests/unit/scaling/simulate_claims.h"

namespace retort::scaling {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::vector<Claim> MustJudge(const std::vector<TestedNetwork>& networks,
                             const ClaimOptions& options = {}) {
  const auto claims = JudgeClaims(networks, options);
  EXPECT_TRUE(claims.ok()) << claims.status();
  return claims.ok() ? *claims : std::vector<Claim>(5);
}

std::string ErrorOf(const std::vector<TestedNetwork>& networks, const ClaimOptions& options = {}) {
  const auto claims = JudgeClaims(networks, options);
  EXPECT_EQ(claims.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(claims.status().message());
}

// Gains that differ as all claims say, and errors that follow a law.
ClaimTruth AllTrue() {
  ClaimTruth truth;
  truth.resnet_gain = {{"dkd", 0.45}, {"feature", 0.3}, {"hard", 0.3}, {"soft", 0.3}};
  truth.mlp_gain = {{"dkd", 0.3}, {"feature", 0.1}, {"hard", 0.1}, {"soft", 0.1}};
  truth.a = 3000;
  truth.teacher_bpm = 4.2;
  return truth;
}

constexpr ClaimNoise kLittle = {.arm_subject = 0.02, .arm_fold = 0, .network = 0.01, .rest = 0.01};

// Sweeps of small networks without a law, for what needs none: quick.
constexpr ClaimSweep kQuick = {.subjects = 12, .folds = 4, .seeds = 2, .resnets = 3, .mlps = 3};

TEST(JudgeClaims, FindWhatIsTrue) {
  const auto claims = MustJudge(SimulateNetworks(AllTrue(), {.subjects = 34}, 1, kLittle));
  ASSERT_EQ(claims.size(), 5u);
  for (const Claim& claim : claims)
    EXPECT_EQ(claim.answer, Answer::kYes) << claim.number << ": " << claim.reason;
  EXPECT_EQ(claims[0].parts.size(), 12u);  // four methods for all, mlp and resnet1d
  EXPECT_EQ(claims[1].parts.size(), 3u);
  EXPECT_EQ(claims[2].parts.size(), 4u);
  EXPECT_THAT(claims[2].parts[0].scope, HasSubstr("resnet1d-1 and mlp-0"));
  EXPECT_EQ(claims[3].parts.size(), 6u);
}

TEST(JudgeClaims, FindWhatIsFalse) {
  // Nobody gains, error does not depend on size, and the teacher is far ahead of everybody.
  ClaimTruth truth;
  truth.floor = 8;
  truth.a = 0;
  truth.teacher_bpm = 2;
  const auto claims = MustJudge(SimulateNetworks(truth, {.subjects = 34}, 2, kLittle));
  EXPECT_EQ(claims[0].answer, Answer::kNo) << claims[0].reason;
  EXPECT_EQ(claims[1].answer, Answer::kNo) << claims[1].reason;
  EXPECT_EQ(claims[2].answer, Answer::kNo) << claims[2].reason;
  EXPECT_NE(claims[3].answer, Answer::kYes) << claims[3].reason;
  EXPECT_EQ(claims[4].answer, Answer::kNo) << claims[4].reason;
}

// How often some part of a claim is answered so, in simulated sweeps.
template <typename IsWrong>
int CountSweeps(const ClaimTruth& truth, const ClaimSweep& sweep, int count, IsWrong is_wrong) {
  int wrong = 0;
  for (int i = 0; i < count; ++i) {
    const auto claims = MustJudge(SimulateNetworks(truth, sweep, 1000 + i));
    wrong += is_wrong(claims);
  }
  return wrong;
}

bool AnyPart(const Claim& claim, Answer answer) {
  for (const ClaimPart& part : claim.parts) {
    if (part.answer == answer && (part.scope == "all" || claim.number > 2)) return true;
  }
  return false;
}

TEST(JudgeClaims, WithoutAnyGainThereIsHardlyEverAYes) {
  constexpr int kSweeps = 40;
  for (const int seeds : {1, 2}) {
    ClaimSweep sweep = kQuick;
    sweep.seeds = seeds;
    const int wrong = CountSweeps(ClaimTruth(), sweep, kSweeps, [](const auto& claims) {
      return AnyPart(claims[0], Answer::kYes) || AnyPart(claims[1], Answer::kYes) ||
             AnyPart(claims[2], Answer::kYes);
    });
    EXPECT_LE(wrong, 0.1 * kSweeps) << seeds << " seeds";  // 7.5 % of three claims at most
  }
}

TEST(JudgeClaims, WithAGainAtTheMarginThereIsHardlyEverANo) {
  constexpr int kSweeps = 40;
  ClaimTruth truth;
  // Of some 7 BPM: twice the margin of C1; and ResNets gain the margin of C3 more.
  for (auto& [method, gain] : truth.resnet_gain) gain = 0.075 + 0.045;
  for (auto& [method, gain] : truth.mlp_gain) gain = 0.075;
  const int wrong = CountSweeps(truth, kQuick, kSweeps, [](const auto& claims) {
    return AnyPart(claims[0], Answer::kNo) || AnyPart(claims[2], Answer::kNo);
  });
  EXPECT_LE(wrong, 0.1 * kSweeps);
}

TEST(JudgeClaims, AFlatErrorIsNoLaw) {
  constexpr int kSweeps = 6;
  ClaimTruth flat;
  flat.a = 0;
  flat.resnet_gain = {{"soft", 0}};
  const int wrong = CountSweeps(flat, {.resnets = 5, .mlps = 0}, kSweeps, [](const auto& claims) {
    return AnyPart(claims[3], Answer::kYes);
  });
  EXPECT_LE(wrong, 1);
}

TEST(JudgeClaims, AStudentJustOutsideTheMarginIsHardlyEverReady) {
  constexpr int kSweeps = 40;
  ClaimTruth truth;
  truth.a = 0;
  truth.floor = 6;
  truth.teacher_bpm = 5;  // the margin exactly
  const int wrong = CountSweeps(truth, {.resnets = 3, .mlps = 0}, kSweeps, [](const auto& claims) {
    return AnyPart(claims[4], Answer::kYes);
  });
  EXPECT_LE(wrong, 0.08 * kSweeps);
}

TEST(JudgeClaims, AVerdictThatFlipsWithTheDecodingIsNotResolved) {
  ClaimTruth truth;
  for (auto& [method, gain] : truth.resnet_gain) gain = 0.4;
  auto networks = SimulateNetworks(truth, {.mlps = 0}, 3);
  EXPECT_EQ(MustJudge(networks)[0].answer, Answer::kYes);
  for (TestedNetwork& network : networks) {
    if (network.method != "soft") continue;
    for (SubjectErrors& subject : network.subjects) subject.mae_bpm[1] *= 2;  // by arg max
  }
  const Claim claim = MustJudge(networks)[0];
  EXPECT_EQ(claim.answer, Answer::kNotResolved);
  EXPECT_EQ(claim.parts[3].of, "feature");
  EXPECT_EQ(claim.parts[3].answer, Answer::kYes);
  EXPECT_EQ(claim.parts[1].of, "soft");
  EXPECT_EQ(claim.parts[1].answer, Answer::kNotResolved);
  EXPECT_THAT(claim.parts[1].reason,
              HasSubstr("flips with the decoding: median yes, arg max no, expectation yes"));
}

TEST(JudgeClaims, TheArmToBeatIsTheOneThatValidationPrefers) {
  ClaimTruth truth;
  truth.gaussian_gain = 0.4;
  for (auto& [method, gain] : truth.resnet_gain) gain = 0.4;
  auto networks = SimulateNetworks(truth, {.subjects = 34, .mlps = 0}, 4);
  EXPECT_NE(MustJudge(networks)[0].answer, Answer::kYes);
  // Against the other arm the same networks would look well.
  for (TestedNetwork& network : networks) {
    if (network.gaussian) network.validation_mae_bpm = 100;
  }
  EXPECT_EQ(MustJudge(networks)[0].answer, Answer::kYes);
  for (TestedNetwork& network : networks) network.validation_mae_bpm.reset();
  EXPECT_EQ(MustJudge(networks)[0].answer, Answer::kNotResolved);
}

TEST(JudgeClaims, OfSeveralSettingsThoseCountThatAreBestOnValidation) {
  ClaimTruth truth;
  auto networks = SimulateNetworks(truth, kQuick, 5);
  // Bad settings of dkd that look wonderful on test, and are poor on validation.
  for (TestedNetwork network : std::vector<TestedNetwork>(networks)) {
    if (network.method != "dkd") continue;
    network.settings = "dkd(beta=1)";
    network.validation_mae_bpm = *network.validation_mae_bpm + 50;
    for (SubjectErrors& subject : network.subjects) subject.mae_bpm = {0.1, 0.1, 0.1};
    networks.push_back(network);
  }
  const auto claims = MustJudge(networks);
  EXPECT_NE(claims[0].parts[2].answer, Answer::kYes);
  ASSERT_FALSE(claims[0].warnings.empty());
  EXPECT_THAT(claims[0].warnings[0],
              AllOf(HasSubstr("different numbers of trials"), HasSubstr("dkd 2")));
}

TEST(JudgeClaims, UnderSixSubjectsOrWithOneTrainingNothingIsResolved) {
  for (const ClaimSweep& sweep :
       {ClaimSweep{.subjects = 5}, ClaimSweep{.subjects = 12, .folds = 1, .seeds = 1}}) {
    for (const Claim& claim : MustJudge(SimulateNetworks(AllTrue(), sweep, 1))) {
      EXPECT_EQ(claim.answer, Answer::kNotResolved) << claim.number << ": " << claim.reason;
      for (const ClaimPart& part : claim.parts) EXPECT_FALSE(part.reason.empty());
    }
  }
}

TEST(JudgeClaims, WhatTheSweepLacksIsSaid) {
  auto networks = SimulateNetworks(AllTrue(), {.resnets = 3, .mlps = 0}, 1);
  std::erase_if(networks, [](const TestedNetwork& network) {
    return network.is_teacher || network.method == "dkd";
  });
  const auto claims = MustJudge(networks);
  EXPECT_THAT(claims[1].reason, HasSubstr("needs dkd"));
  EXPECT_THAT(claims[2].reason, HasSubstr("no resnet1d and mlp"));
  EXPECT_THAT(claims[3].reason, HasSubstr("4 sizes"));
  EXPECT_THAT(claims[4].reason, HasSubstr("latencies"));
  std::erase_if(networks, [](const TestedNetwork& network) { return network.method == "scratch"; });
  EXPECT_THAT(MustJudge(networks)[0].reason, HasSubstr("from scratch"));
}

TEST(JudgeClaims, LatenciesOfTwoMachinesAreNotCompared) {
  auto networks = SimulateNetworks(AllTrue(), kQuick, 1);
  for (TestedNetwork& network : networks) {
    if (network.is_teacher) network.latency_machine = "another";
  }
  EXPECT_THAT(MustJudge(networks)[4].reason, HasSubstr("on one machine"));
}

TEST(JudgeClaims, WrongInputIsAClearError) {
  const auto good = SimulateNetworks(AllTrue(), kQuick, 1);
  EXPECT_THAT(ErrorOf({}), HasSubstr("there are none"));
  auto networks = good;
  networks[3].subjects[1].mae_bpm[2] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(ErrorOf(networks), AllOf(HasSubstr("mae_bpm is nan"), HasSubstr("fold 1")));
  networks = good;
  networks.push_back(networks[4]);
  EXPECT_THAT(ErrorOf(networks), HasSubstr("is there twice"));
  networks = good;
  networks[0].validation_mae_bpm = -1;
  EXPECT_THAT(ErrorOf(networks), HasSubstr("validation_mae_bpm is -1"));
  ClaimOptions options;
  options.confidence = 2;
  EXPECT_THAT(ErrorOf(good, options), HasSubstr("confidence: 2"));
  options = {};
  options.edge_times_faster = 0;
  EXPECT_THAT(ErrorOf(good, options), HasSubstr("edge_times_faster: 0"));
}

TEST(Rule, StopsHolmsProcedureAtTheFirstStepThatFails) {
  // p of 0.0130 and 0.0135 (one-sided): the second would pass at its own step, but the first fails
  // at its.
  const auto estimate = [](double z) {
    Estimate made;
    made.effect.fill(z);
    made.uncertainty.fill({.by_subject = {1, 1e9}, .by_training = {}, .by_fold = {}});
    return made;
  };
  const double big = 1e9;
  const auto rulings = Rule({estimate(2.2262), estimate(2.2117)}, 0, big, 0.95);
  EXPECT_NEAR(rulings[0].p_yes_holm, 0.026, 1e-4);
  EXPECT_NEAR(rulings[1].p_yes_holm, 0.026, 1e-4);
  EXPECT_NE(rulings[0].answer, Answer::kYes);
  EXPECT_NE(rulings[1].answer, Answer::kYes);
  // By itself it is one.
  EXPECT_EQ(Rule({estimate(2.2117)}, 0, big, 0.95)[0].answer, Answer::kYes);
  EXPECT_LT(rulings[0].interval.low, 0);
}

}  // namespace
}  // namespace retort::scaling
