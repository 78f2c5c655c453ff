// Reads the parts of a sweep file: networks, methods, training values, matches.
#ifndef RETORT_CLIENT_SDK_SWEEP_PARTS_H_
#define RETORT_CLIENT_SDK_SWEEP_PARTS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/sdk/sweep_reader.h"
#include "retort/v1/spec.pb.h"

namespace retort {

// A spec under construction, with the path in the file that each expanded entry came from.
struct SweepDraft {
  v1::SweepSpec spec;
  std::vector<std::string> teacher_paths;
  std::vector<std::string> student_paths;
  std::vector<std::string> method_paths;
};

// Each reads the value of its key (`teachers`, `students`, `methods`, `train`, `split`, `zip`,
// `exclude`, `overrides`) into the draft. INVALID_ARGUMENT as ReadSweepFile.
absl::Status ReadTeachers(const SweepReader& reader, const YamlNode& node, SweepDraft& draft);
absl::Status ReadStudents(const SweepReader& reader, const YamlNode& node, SweepDraft& draft);
absl::Status ReadMethods(const SweepReader& reader, const YamlNode& node, SweepDraft& draft);
absl::Status ReadTrain(const SweepReader& reader, const YamlNode& node, SweepDraft& draft);
absl::Status ReadSplit(const SweepReader& reader, const YamlNode& node, SweepDraft& draft);
absl::Status ReadZip(const SweepReader& reader, const YamlNode& node, SweepDraft& draft);
absl::Status ReadExclude(const SweepReader& reader, const YamlNode& node, SweepDraft& draft);
absl::Status ReadOverrides(const SweepReader& reader, const YamlNode& node, SweepDraft& draft);

// INVALID_ARGUMENT unless 1..63 letters, digits and `_.-`, as datasets and teachers are named.
absl::Status CheckShortName(std::string_view name);

}  // namespace retort

#endif  // RETORT_CLIENT_SDK_SWEEP_PARTS_H_
