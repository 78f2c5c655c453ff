// What each role may call: the one table of all calls.
#ifndef RETORT_SERVER_ACCESS_ROLES_H_
#define RETORT_SERVER_ACCESS_ROLES_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "retort/v1/admin_service.pb.h"

namespace retort {

// A call and the roles that may make it, besides admin, which may make all.
struct CallRoles {
  std::string_view call;  // `SweepService/GetSweep`, of package retort.v1
  bool viewer = false;
  bool op = false;  // operator, which is a word of C++
  bool worker = false;
};

const std::vector<CallRoles>& AllCallRoles();

// False for a call that the table does not have.
bool MayCall(v1::Role role, std::string_view call);

// `viewer`, `operator`, `worker`, `admin`.
std::string RoleWord(v1::Role role);
// INVALID_ARGUMENT: none of the four words.
absl::StatusOr<v1::Role> ParseRole(std::string_view word);

// The four, least power first.
const std::vector<v1::Role>& AllRoles();

}  // namespace retort

#endif  // RETORT_SERVER_ACCESS_ROLES_H_
