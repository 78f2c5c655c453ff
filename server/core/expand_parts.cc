#include "server/core/expand_parts.h"

#include "common/spec/labels.h"

namespace retort::core {
namespace {

bool GlobFits(const std::string& glob, const std::string& a, const std::string& b) {
  return GlobMatches(glob, a) || GlobMatches(glob, b);
}

}  // namespace

bool Matches(const v1::JobMatch& match, const Parts& parts) {
  if (match.has_teacher() &&
      (parts.teacher == nullptr ||
       !GlobFits(match.teacher(), parts.teacher->name, parts.teacher->label))) {
    return false;
  }
  if (match.has_student() &&
      (parts.student == nullptr || !GlobMatches(match.student(), parts.student->label))) {
    return false;
  }
  if (match.has_method() && (parts.method == nullptr ||
                             !GlobFits(match.method(), parts.method->label, parts.method->name))) {
    return false;
  }
  return (!match.has_seed() || match.seed() == parts.seed) &&
         (!match.has_fold() || match.fold() == parts.fold) &&
         (!match.has_dataset() || match.dataset() == *parts.dataset);
}

}  // namespace retort::core
