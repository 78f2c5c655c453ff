// The version of the training code, which is part of what identifies a job.
#ifndef RETORT_COMMON_SPEC_TRAINER_VERSION_H_
#define RETORT_COMMON_SPEC_TRAINER_VERSION_H_

namespace retort {

// Raised when the trainer starts to give other results for the same spec.
inline constexpr int kTrainerVersion = 4;

}  // namespace retort

#endif  // RETORT_COMMON_SPEC_TRAINER_VERSION_H_
