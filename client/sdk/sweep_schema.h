// The JSON Schema of sweep files, for editors (`# yaml-language-server: $schema=…`).
#ifndef RETORT_CLIENT_SDK_SWEEP_SCHEMA_H_
#define RETORT_CLIENT_SDK_SWEEP_SCHEMA_H_

#include <string>

namespace retort {

// Draft 2020-12, indented, made of the descriptors and rules that the reader itself uses. It knows
// keys, types and bounds; names that point nowhere are the reader's to find.
std::string SweepSchema();

}  // namespace retort

#endif  // RETORT_CLIENT_SDK_SWEEP_SCHEMA_H_
