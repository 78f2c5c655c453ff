// Checks of a sweep as a whole: names that point nowhere, duplicates, axes that do not fit, splits
// that the datasets do not carry.
#ifndef RETORT_CLIENT_SDK_SWEEP_CHECKS_H_
#define RETORT_CLIENT_SDK_SWEEP_CHECKS_H_

#include "absl/status/status.h"
#include "client/sdk/sweep_parts.h"
#include "client/sdk/sweep_reader.h"

namespace retort {

// What can be said before the datasets are read. Replaces teachers' labels in methods by their
// names. INVALID_ARGUMENT as ReadSweepFile.
absl::Status CheckReferences(const SweepReader& reader, SweepDraft& draft);

// What depends on the datasets' subjects and samples.
absl::Status CheckAgainstDatasets(const SweepReader& reader, const SweepDraft& draft);

}  // namespace retort

#endif  // RETORT_CLIENT_SDK_SWEEP_CHECKS_H_
