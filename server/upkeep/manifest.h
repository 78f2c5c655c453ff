// What a backup holds, as its file `manifest.json`, which is written last.
#ifndef RETORT_SERVER_UPKEEP_MANIFEST_H_
#define RETORT_SERVER_UPKEEP_MANIFEST_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/upkeep/upkeep.h"

namespace retort {

std::string ManifestText(const Manifest& manifest);

// INVALID_ARGUMENT: not a manifest that this program understands (says why).
absl::StatusOr<Manifest> ParseManifest(const std::string& text);

}  // namespace retort

#endif  // RETORT_SERVER_UPKEEP_MANIFEST_H_
