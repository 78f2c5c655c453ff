// What `doctor` says of a machine: facts in, checkups out. Pure, but for LookAtFolder.
//
// A checkup is a proto (admin_service.proto) because coordinator, worker and client each make some,
// and one of them shows all.
#ifndef RETORT_COMMON_CHECKUPS_H_
#define RETORT_COMMON_CHECKUPS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "retort/v1/admin_service.pb.h"

namespace retort {

// `advice` is empty where all is well. Long texts are cut.
v1::Checkup MakeCheckup(const std::string& where, const std::string& what, v1::CheckupState state,
                        const std::string& found, const std::string& advice = "");

// Another version than ours. They talk to each other, but a release fixes what it fixes on both
// sides.
v1::Checkup JudgeVersion(const std::string& where, const std::string& own,
                         const std::string& coordinators);

// How far the coordinator's clock is ahead of ours, and how exactly that is known: half of the time
// that the question took.
v1::Checkup JudgeClock(const std::string& where, absl::Duration ahead, absl::Duration uncertainty);

// A file or folder with secrets: nobody but its owner may read it. `name` is what people call it.
v1::Checkup JudgeSecret(const std::string& where, const std::string& name, mode_t mode);

// Open files that the process may have, and how many it needs.
v1::Checkup JudgeDescriptors(const std::string& where, int64_t limit, int64_t needed);

// A folder that is written to.
struct FolderFacts {
  absl::Status writable;   // by a small file that was written, flushed and removed
  absl::Duration flush;    // how long that took
  int64_t free_bytes = 0;  // for us
  int64_t all_bytes = 0;   // of the disk
};

// UNAVAILABLE and others: it cannot be looked at.
absl::StatusOr<FolderFacts> LookAtFolder(const std::string& folder);

// `needed_bytes`: what it may come to hold, said as `needed_for`; 0 if nobody knows.
v1::Checkup JudgeFolder(const std::string& where, const absl::StatusOr<FolderFacts>& facts,
                        int64_t needed_bytes, const std::string& needed_for);

// Bytes for people: `1.5 GiB`.
std::string BytesText(int64_t bytes);

}  // namespace retort

#endif  // RETORT_COMMON_CHECKUPS_H_
