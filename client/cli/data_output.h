// What the commands for datasets share: writing one and saying what it holds.
#ifndef RETORT_CLIENT_CLI_DATA_OUTPUT_H_
#define RETORT_CLIENT_CLI_DATA_OUTPUT_H_

#include <string>

#include "absl/status/statusor.h"
#include "client/cli/context.h"
#include "common/spec/dataset.h"

namespace retort {

inline constexpr char kFilterHelp[] =
    "what the band-pass sees: recording (zero phase over all of it), window, or causal (what a "
    "wearable can do in real time)";

// Says on `out` what the dataset at `path` holds.
void EmitDataset(Context& context, const Dataset& dataset, const std::string& path,
                 const std::string& sha256);

// Writes a dataset whole or not at all, and says what it holds; on `err`, which recordings and
// windows were left out.
void WriteDataset(Context& context, const absl::StatusOr<Dataset>& dataset, const std::string& out);

}  // namespace retort

#endif  // RETORT_CLIENT_CLI_DATA_OUTPUT_H_
