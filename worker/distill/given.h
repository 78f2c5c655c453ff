// Teachers that are given as files (teachers.md).
#ifndef RETORT_WORKER_DISTILL_GIVEN_H_
#define RETORT_WORKER_DISTILL_GIVEN_H_

#include <memory>
#include <string>
#include <vector>

#include "worker/distill/data.h"
#include "worker/distill/teacher.h"

namespace retort::distill {

// A given network, checked against the dataset; `bytes` are its file's and `what` names it in
// errors. Failure: INVALID if the file is not what it should be, does not fit the dataset, or is a
// TorchScript module and `allow_torchscript` is false: such a file is not even opened.
TeacherFile ReadGivenTeacher(const v1::GivenTeacher& given, std::string bytes,
                             const std::string& what, const LoadedDataset& dataset,
                             bool allow_torchscript);

// The part of given outputs that belongs to the training windows: nothing of others is kept.
// Failure: INVALID as above.
std::shared_ptr<const TeacherOutputs> ReadGivenOutputs(std::string bytes, const std::string& what,
                                                       const LoadedDataset& dataset,
                                                       const std::vector<int64_t>& train_windows);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_GIVEN_H_
