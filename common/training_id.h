// Identity of a job: the hash of what is trained.
#ifndef RETORT_COMMON_TRAINING_ID_H_
#define RETORT_COMMON_TRAINING_ID_H_

#include <string>
#include <string_view>

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

// The id of a spec that has the fields of two: one whose CanonicalTraining is given, and one with
// other top-level fields (seed and teacher_job, say). For many specs that differ in these alone.
JobId TrainingIdOfMerged(std::string_view canonical, const v1::TrainingSpec& rest);

}  // namespace retort

#endif  // RETORT_COMMON_TRAINING_ID_H_
