#include "common/spec/split.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace retort {
namespace {

// FNV-1a of the name, then the finaliser of SplitMix64 (Steele, Lea, Flood 2014) with the seed
// mixed in.
uint64_t Shuffled(uint64_t seed, const std::string& name) {
  uint64_t x = 14695981039346656037u;
  for (unsigned char c : name) x = (x ^ c) * 1099511628211u;
  x += seed * 0x9e3779b97f4a7c15u + 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// Indices of the subjects in the order in which folds take them.
std::vector<int> Order(int64_t seed, const std::vector<std::string>& subjects) {
  std::vector<int> order(subjects.size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int a, int b) {
    return std::pair(Shuffled(seed, subjects[a]), subjects[a]) <
           std::pair(Shuffled(seed, subjects[b]), subjects[b]);
  });
  return order;
}

}  // namespace

Expected<int> FoldCount(const v1::SplitSpec& split, int subjects) {
  const int kinds = split.has_kfold() + (split.has_loso() && split.loso()) + split.has_holdout();
  if (kinds != 1) return Error{"split: exactly one of kfold, loso and holdout must be given"};
  if (subjects < 2) {
    return Error{"split: the dataset has " + std::to_string(subjects) +
                 " subject(s); splitting by subject needs at least 2"};
  }
  if (split.has_holdout()) return 1;
  if (split.has_kfold()) {
    if (split.kfold() < 2 || split.kfold() > subjects) {
      return Error{"split.kfold: " + std::to_string(split.kfold()) +
                   "; must be from 2 to the dataset's " + std::to_string(subjects) + " subjects"};
    }
    return split.kfold();
  }
  return subjects;
}

Expected<FoldSubjects> SplitSubjects(const v1::SplitSpec& split,
                                     const std::vector<std::string>& subjects, int fold) {
  const int count = static_cast<int>(subjects.size());
  const auto folds = FoldCount(split, count);
  if (!folds.ok()) return Error{folds.error()};
  if (fold < 0 || fold >= *folds) {
    return Error{"fold: " + std::to_string(fold) + "; must be from 0 to " +
                 std::to_string(*folds - 1)};
  }

  const std::vector<int> order = Order(split.seed(), subjects);
  // Test subjects stand in one stretch of the order; training begins behind it, so that validation
  // subjects, taken from the front of the training part, are the next fold's test subjects: each
  // serves once before any serves twice.
  int begin = 0, end = 0;
  if (split.has_holdout()) {
    end = std::clamp(static_cast<int>(std::lround(split.holdout() * count)), 1, count - 1);
  } else {
    begin = static_cast<int>(static_cast<int64_t>(fold) * count / *folds);
    end = static_cast<int>((static_cast<int64_t>(fold) + 1) * count / *folds);
  }
  FoldSubjects out;
  std::vector<int> rest;
  for (int i = 0; i < count; ++i) {
    const int at = (begin + i) % count;
    (i < end - begin ? out.test : rest).push_back(order[at]);
  }
  const int usual =
      std::max(1, static_cast<int>(std::lround(0.1 * static_cast<double>(rest.size()))));
  const int validation = split.has_validation() ? split.validation() : rest.size() > 1 ? usual : 0;
  if (validation < 0 || validation >= static_cast<int>(rest.size())) {
    return Error{"split.validation: " + std::to_string(validation) +
                 "; must leave at least one of the fold's " + std::to_string(rest.size()) +
                 " training subjects to train on"};
  }
  out.validation.assign(rest.begin(), rest.begin() + validation);
  out.train.assign(rest.begin() + validation, rest.end());
  for (auto* part : {&out.train, &out.validation, &out.test}) std::sort(part->begin(), part->end());
  return out;
}

}  // namespace retort
