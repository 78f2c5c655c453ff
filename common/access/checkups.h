// What a machine that was given an access can find out about the way to its coordinator.
#ifndef RETORT_COMMON_ACCESS_CHECKUPS_H_
#define RETORT_COMMON_ACCESS_CHECKUPS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/access/access.h"
#include "retort/v1/admin_service.pb.h"

namespace retort {

// Opens a TCP connection and closes it. UNAVAILABLE says why not.
absl::Status Reach(const std::string& address, absl::Duration patience);

// What was found of a way to a coordinator.
struct WayCheckups {
  std::vector<v1::Checkup> checkups;
  bool open = false;     // some address could be reached
  bool reached = false;  // and a coordinator let us in
};

// Looks at the access file's mode, at the port of each address, and asks the coordinator which
// version and time it has. Takes some seconds where nobody answers. `where`, `version`: ours.
WayCheckups CheckWay(const std::string& where, const AccessSource& source,
                     const std::string& version);

}  // namespace retort

#endif  // RETORT_COMMON_ACCESS_CHECKUPS_H_
