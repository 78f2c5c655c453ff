#include "tests/sim/network.h"

#include <algorithm>
#include <utility>

namespace retort::sim {

void Link::Cut(bool up, bool down) {
  up_cut_ = up_cut_ || up;
  down_cut_ = down_cut_ || down;
  Disturb();
}

void Link::Reset() {
  for (const auto& [id, broken] : std::exchange(waiting_, {})) broken();
}

uint64_t Link::OnReset(std::function<void()> broken) {
  waiting_[++last_id_] = std::move(broken);
  return last_id_;
}

absl::Duration Link::Travel(bool up) {
  if (up ? up_cut_ : down_cut_) return absl::InfiniteDuration();
  Random& random = world_.random();
  if (faults_.drop > 0 && random.Chance(faults_.drop)) {
    world_.Count(up ? Fault::kRequestDropped : Fault::kReplyDropped, peer_.name());
    Disturb();
    return absl::InfiniteDuration();
  }
  if (faults_.delay > 0 && random.Chance(faults_.delay)) {
    world_.Count(Fault::kDelayed, peer_.name());
    Disturb();
    return random.Time(absl::Milliseconds(5), faults_.most_delay);
  }
  return random.Time(absl::Microseconds(50), absl::Milliseconds(5));
}

bool Link::Duplicates() {
  if (faults_.duplicate <= 0 || !world_.random().Chance(faults_.duplicate)) return false;
  world_.Count(Fault::kDuplicated, peer_.name());
  return true;
}

bool Link::BreaksStream() {
  if (faults_.break_stream <= 0 || !world_.random().Chance(faults_.break_stream)) return false;
  world_.Count(Fault::kStreamBroken, peer_.name());
  return true;
}

absl::Duration FailsAfter(Link& link, absl::Duration deadline) {
  Random& random = link.world().random();
  const absl::Duration soon = random.Time(absl::Milliseconds(1), absl::Milliseconds(200));
  const absl::Duration late = random.Time(absl::Milliseconds(1), absl::Seconds(20));
  return std::min(deadline, random.Chance(0.5) ? soon : late);
}

}  // namespace retort::sim
