// Teachers that were not trained here: which file, and what its subjects may leak. Pure.
#ifndef RETORT_COMMON_SPEC_GIVEN_TEACHER_H_
#define RETORT_COMMON_SPEC_GIVEN_TEACHER_H_

#include <string>
#include <vector>

#include "common/spec/expected.h"
#include "retort/v1/spec.pb.h"

namespace retort {

// SHA-256 of a given teacher's file; empty if none is set.
std::string HashOf(const v1::GivenTeacher& given);

// Of each dataset of the sweep, the subjects that the teacher has been trained on, as its
// `trained_on` says. Error: an entry that names neither a dataset of the sweep, nor subjects of
// one, nor `external:NAME`; such an entry may be a misspelt leak.
Expected<std::vector<std::vector<bool>>> SubjectsSeen(const v1::SweepSpec& sweep,
                                                      const v1::NamedTeacher& teacher);

// What is known of a student's test and validation subjects (science: No leaks).
enum class Leak {
  kNone,     // the teacher has seen none of them
  kUnknown,  // nobody says what it has seen
  kOverlap,  // it has seen some
};

// `seen`: SubjectsSeen; `trained_on`: index of the dataset that the student trains on; `held_out`:
// its validation and test subjects in the fold. Of other datasets all subjects are for test.
Leak LeakOf(const v1::SweepSpec& sweep, const v1::NamedTeacher& teacher,
            const std::vector<std::vector<bool>>& seen, int trained_on,
            const std::vector<int>& held_out);

// Whether a given teacher can teach by this method on this dataset. Error: outputs for another
// dataset, or without features for the method that compares them.
Expected<bool> CheckTaught(const v1::NamedTeacher& teacher, const v1::NamedDataset& dataset,
                           const v1::MethodSpec& method);

// The teacher's name as tables show it: what is not known to be clean says so.
std::string GivenLabel(const std::string& name, Leak leak);

}  // namespace retort

#endif  // RETORT_COMMON_SPEC_GIVEN_TEACHER_H_
