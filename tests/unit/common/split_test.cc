#include "common/spec/split.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace retort {
namespace {

std::vector<std::string> Subjects(int count) {
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) names.push_back("s" + std::to_string(i));
  return names;
}

v1::SplitSpec KFold(int k) {
  v1::SplitSpec split;
  split.set_kfold(k);
  return split;
}

TEST(Split, NeverSharesASubjectAndTestsEveryOneOnce) {
  for (int subjects : {2, 3, 5, 12, 13, 34}) {
    for (int k = 2; k <= subjects; ++k) {
      for (int64_t seed : {0, 1, 7}) {
        auto split = KFold(k);
        split.set_seed(seed);
        std::map<int, int> tested;
        for (int fold = 0; fold < k; ++fold) {
          const auto parts = SplitSubjects(split, Subjects(subjects), fold);
          ASSERT_TRUE(parts.ok()) << parts.error();
          std::set<int> all;
          for (const auto* part : {&parts->train, &parts->validation, &parts->test}) {
            for (int s : *part)
              EXPECT_TRUE(all.insert(s).second) << "subject " << s << " is in two parts";
          }
          EXPECT_EQ(all.size(), static_cast<size_t>(subjects));
          EXPECT_FALSE(parts->train.empty());
          for (int s : parts->test) ++tested[s];
        }
        EXPECT_EQ(tested.size(), static_cast<size_t>(subjects));
        for (const auto& [subject, times] : tested) EXPECT_EQ(times, 1);
      }
    }
  }
}

TEST(Split, FoldsOfTwelveSubjectsInFourHaveThree) {
  for (int fold = 0; fold < 4; ++fold) {
    const auto parts = SplitSubjects(KFold(4), Subjects(12), fold);
    EXPECT_EQ(parts->test.size(), 3u);
    EXPECT_EQ(parts->validation.size(), 1u);
    EXPECT_EQ(parts->train.size(), 8u);
  }
}

TEST(Split, DoesNotDependOnTheOrderOfTheFile) {
  auto names = Subjects(12);
  auto reversed = names;
  std::reverse(reversed.begin(), reversed.end());
  const auto a = SplitSubjects(KFold(4), names, 1);
  const auto b = SplitSubjects(KFold(4), reversed, 1);
  std::set<std::string> tested_a, tested_b;
  for (int s : a->test) tested_a.insert(names[s]);
  for (int s : b->test) tested_b.insert(reversed[s]);
  EXPECT_EQ(tested_a, tested_b);
}

TEST(Split, ASeedChangesTheFolds) {
  auto other = KFold(4);
  other.set_seed(1);
  EXPECT_NE(SplitSubjects(KFold(4), Subjects(34), 0)->test,
            SplitSubjects(other, Subjects(34), 0)->test);
}

TEST(Split, HoldoutAndLeaveOneOut) {
  v1::SplitSpec holdout;
  holdout.set_holdout(0.25);
  EXPECT_EQ(*FoldCount(holdout, 12), 1);
  EXPECT_EQ(SplitSubjects(holdout, Subjects(12), 0)->test.size(), 3u);
  v1::SplitSpec loso;
  loso.set_loso(true);
  EXPECT_EQ(*FoldCount(loso, 12), 12);
  EXPECT_EQ(SplitSubjects(loso, Subjects(12), 11)->test.size(), 1u);
}

TEST(Split, ValidationCanBeNoneAndCannotTakeAll) {
  auto split = KFold(4);
  split.set_validation(0);
  EXPECT_TRUE(SplitSubjects(split, Subjects(12), 0)->validation.empty());
  split.set_validation(9);
  EXPECT_FALSE(SplitSubjects(split, Subjects(12), 0).ok());
}

TEST(Split, RefusesWhatCannotBeDivided) {
  EXPECT_FALSE(FoldCount({}, 12).ok());
  auto both = KFold(4);
  both.set_holdout(0.5);
  EXPECT_FALSE(FoldCount(both, 12).ok());
  EXPECT_EQ(FoldCount(KFold(13), 12).error(),
            "split.kfold: 13; must be from 2 to the dataset's 12 subjects");
  EXPECT_FALSE(FoldCount(KFold(2), 1).ok());
  EXPECT_FALSE(SplitSubjects(KFold(4), Subjects(12), 4).ok());
  EXPECT_FALSE(SplitSubjects(KFold(4), Subjects(12), -1).ok());
}

}  // namespace
}  // namespace retort
