// Reads the parts of a sweep file: networks, methods, training values, matches.
#ifndef RETORT_CLIENT_SDK_SWEEP_PARTS_H_
#define RETORT_CLIENT_SDK_SWEEP_PARTS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "client/sdk/sweep_reader.h"
#include "retort/v1/spec.pb.h"

namespace retort {

// A given teacher, whose file is still to be read (given_teachers.h).
struct GivenEntry {
  int index = 0;      // of spec.teachers
  size_t number = 0;  // of the entry in the file
  std::string kind;   // weights, outputs or torchscript
  std::string file;   // as written
  std::string path;   // in the sweep file, such as `teachers[1].weights`
};

// A spec under construction, with the path in the file that each expanded entry came from.
struct SweepDraft {
  v1::SweepSpec spec;
  std::vector<std::string> teacher_paths;
  std::vector<std::string> student_paths;
  std::vector<std::string> method_paths;
  std::vector<GivenEntry> given;
  std::map<std::string, std::string> rates_hz;  // of datasets, as their files say; by name
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
