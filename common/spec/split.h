// Division of subjects into folds (science: Splits). Pure; the same for every method, so that pairs
// are pairs.
#ifndef RETORT_COMMON_SPEC_SPLIT_H_
#define RETORT_COMMON_SPEC_SPLIT_H_

#include <string>
#include <vector>

#include "common/spec/expected.h"
#include "retort/v1/spec.pb.h"

namespace retort {

// One fold: indices into the dataset's list of subjects, each part ascending, no index in two
// parts.
struct FoldSubjects {
  std::vector<int> train;
  std::vector<int> validation;
  std::vector<int> test;
};

// How many folds there are. Error: not exactly one of kfold, loso and holdout; or fewer subjects
// than it needs.
Expected<int> FoldCount(const v1::SplitSpec& split, int subjects);

// Subjects of one fold. The assignment depends on the subjects' names and split.seed and not on
// their order in the file. Error: as FoldCount; fold out of range; no subject left to train on.
Expected<FoldSubjects> SplitSubjects(const v1::SplitSpec& split,
                                     const std::vector<std::string>& subjects, int fold);

}  // namespace retort

#endif  // RETORT_COMMON_SPEC_SPLIT_H_
