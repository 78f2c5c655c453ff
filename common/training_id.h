// Identity of a job: the hash of what is trained.
#ifndef RETORT_COMMON_TRAINING_ID_H_
#define RETORT_COMMON_TRAINING_ID_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "common/ids.h"
#include "common/spec/trainer_version.h"
#include "retort/v1/spec.pb.h"

namespace retort {

// The bytes that are hashed: a line `path=value` for each field that is set, sorted by path, behind
// a line with the version of this form. Proto serialisation is not canonical; this is, and golden
// hashes hold it. Unset fields leave no line, so that a field can be added later without renaming
// the jobs of today.
std::string CanonicalTraining(const v1::TrainingSpec& spec);

// SHA-256 of CanonicalTraining. Two specs have the same id exactly if the same fields have the same
// values.
JobId TrainingId(const v1::TrainingSpec& spec);

// The ids of specs that differ in seed and teacher's job alone, of which a sweep has many.
class TrainingIds {
 public:
  // `common`: what they have in common, so without these two fields.
  explicit TrainingIds(const v1::TrainingSpec& common);

  // TrainingId of the spec that has these too.
  JobId Of(int64_t seed, const std::optional<JobId>& teacher) const;

 private:
  std::string text_;  // CanonicalTraining
  size_t seed_at_;    // where the line of the seed belongs
  size_t teacher_at_;
};

}  // namespace retort

#endif  // RETORT_COMMON_TRAINING_ID_H_
