// What a sweep's jobs are made of while it is expanded (expand.cc). Pure.
#ifndef RETORT_SERVER_CORE_EXPAND_PARTS_H_
#define RETORT_SERVER_CORE_EXPAND_PARTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "retort/v1/result.pb.h"
#include "retort/v1/spec.pb.h"

namespace retort::core {

// A network of the sweep.
struct Network {
  std::string name;  // teachers: in the sweep file
  std::string label;
  v1::ModelSpec model;  // with defaults; unset for teachers without one
  v1::ModelCost cost;
  const v1::NamedTeacher* given = nullptr;  // if nothing trains it here
  std::vector<std::vector<bool>> seen;      // given: subjects of each dataset
};

// A method of the sweep.
struct Method {
  std::string name;
  std::string label;
  v1::MethodSpec spec;         // with defaults
  std::vector<bool> teachers;  // which it learns from; none for methods without one
};

// A dataset that is trained on, in one fold.
struct Fold {
  int number = 0;
  v1::SplitSpec split;        // with defaults
  double train_share = 0;     // of the subjects
  std::vector<int> held_out;  // subjects for validation and test
};

// What a job is made of, for exclusions and overrides.
struct Parts {
  const Network* teacher = nullptr;
  const Network* student = nullptr;
  const Method* method = nullptr;
  int64_t seed = 0;
  int fold = 0;
  const std::string* dataset = nullptr;
};

// True if all that the match names holds of the parts.
bool Matches(const v1::JobMatch& match, const Parts& parts);

}  // namespace retort::core

#endif  // RETORT_SERVER_CORE_EXPAND_PARTS_H_
