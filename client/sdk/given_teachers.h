// Teachers that a sweep file gives as files.
#ifndef RETORT_CLIENT_SDK_GIVEN_TEACHERS_H_
#define RETORT_CLIENT_SDK_GIVEN_TEACHERS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/sdk/sweep_parts.h"
#include "client/sdk/sweep_reader.h"

namespace retort {

// The keys of which one says that a teacher is given: weights, outputs, torchscript.
const std::vector<std::string>& GivenKeys();
// True if the entry of `teachers` is of a given teacher.
bool IsGiven(const YamlNode& entry);

// Reads one such entry; its file is not looked at yet. INVALID_ARGUMENT as ReadSweepFile.
absl::Status ReadGivenEntry(const SweepReader& reader, const YamlNode& node,
                            const std::string& path, SweepDraft& draft);

// Once the datasets are known: reads the files, relative to `folder`, fills in what the spec says
// of them, and holds classes, rate, windows, channels and `trained_on` against the datasets. Adds
// their places to `paths`, by SHA-256. INVALID_ARGUMENT as ReadSweepFile.
absl::Status LoadGivenTeachers(const SweepReader& reader, const std::string& folder,
                               SweepDraft& draft, std::map<std::string, std::string>& paths);

}  // namespace retort

#endif  // RETORT_CLIENT_SDK_GIVEN_TEACHERS_H_
