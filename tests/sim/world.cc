#include "tests/sim/world.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace retort::sim {
namespace {

// Long before and long after each other, so that a mixed-up clock is noticed.
const absl::Time kEpoch = absl::FromUnixSeconds(1'700'000'000);

}  // namespace

std::string_view WordFor(Fault fault) {
  static constexpr std::array<std::string_view, kFaultKinds> kWords = {"coordinator crashed",
                                                                       "crashed before a commit",
                                                                       "crashed after a commit",
                                                                       "coordinator suspended",
                                                                       "disk full",
                                                                       "unknown outcome, written",
                                                                       "unknown, not written",
                                                                       "reopening failed",
                                                                       "commit slow",
                                                                       "worker crashed",
                                                                       "worker left",
                                                                       "worker suspended",
                                                                       "partition, both ways",
                                                                       "partition, one way",
                                                                       "request dropped",
                                                                       "reply dropped",
                                                                       "message duplicated",
                                                                       "message delayed",
                                                                       "stream broken",
                                                                       "wall clock jumped",
                                                                       "runner crashed",
                                                                       "runner reported failure",
                                                                       "runner deaf to stop",
                                                                       "spool full",
                                                                       "spool broken",
                                                                       "artifact lost",
                                                                       "transfer failed",
                                                                       "request repeated"};
  return kWords[static_cast<size_t>(fault)];
}

void World::At(absl::Duration when, Event event) {
  queue_.push_back({std::max(when, now_), ++last_number_, std::move(event)});
  std::push_heap(queue_.begin(), queue_.end(), Later());
}

bool World::Step() {
  if (queue_.empty()) return false;
  std::pop_heap(queue_.begin(), queue_.end(), Later());
  Entry entry = std::move(queue_.back());
  queue_.pop_back();
  now_ = entry.when;
  ++events_;
  entry.event();
  return true;
}

void World::Note(std::string_view what, std::string_view who, int64_t a, int64_t b) {
  uint64_t hash = hash_ ^ static_cast<uint64_t>(absl::ToInt64Nanoseconds(now_));
  for (const char c : what) hash = hash * 0x100000001b3u + static_cast<unsigned char>(c);
  for (const char c : who) hash = hash * 0x100000001b3u + static_cast<unsigned char>(c);
  hash_ = Mix(hash + Mix(static_cast<uint64_t>(a)) + 3 * Mix(static_cast<uint64_t>(b)));
  if (!trace_) return;
  std::printf("%12.6f  %-26.*s %-10.*s %lld %lld\n", absl::ToDoubleSeconds(now_),
              static_cast<int>(what.size()), what.data(), static_cast<int>(who.size()), who.data(),
              static_cast<long long>(a), static_cast<long long>(b));
}

void World::Count(Fault fault, std::string_view who) {
  ++faults_[static_cast<size_t>(fault)];
  Note(WordFor(fault), who);
}

void World::Violate(const std::string& what) {
  if (!violation_.empty()) return;
  violation_ = what;
  Note("VIOLATION");
  if (trace_) std::printf("%s\n", what.c_str());
}

// ------------------------------------------------------------------------------------- nodes

Node::Node(World& world, std::string name) : world_(world), name_(std::move(name)) {
  wall_offset_ = world.random().Time(-absl::Minutes(2), absl::Minutes(2));
}

Now Node::Read() const {
  const absl::Duration since = world_.now() - boot_;
  return {base_ + since + since / 1'000'000 * drift_ppm_, kEpoch + world_.now() + wall_offset_};
}

absl::Duration Node::TrueTime(absl::Duration monotonic) const {
  if (monotonic == absl::InfiniteDuration()) return monotonic;
  if (monotonic <= Read().monotonic) return world_.now();
  const absl::Duration since = monotonic - base_;
  // Rounded so that the clock is never found short of the time.
  return boot_ + since - since / 1'000'000 * drift_ppm_ + absl::Microseconds(1) +
         since / 100'000'000;
}

void Node::At(absl::Duration when, World::Event event) {
  world_.At(when, [this, life = life_, event = std::move(event)]() mutable {
    Happen(life, std::move(event));
  });
}

void Node::Happen(uint64_t life, World::Event event) {
  if (life != life_ || !alive_) return;
  if (!suspended()) return event();
  world_.At(resume_at_,
            [this, life, event = std::move(event)]() mutable { Happen(life, std::move(event)); });
}

void Node::Die() {
  alive_ = false;
  ++life_;
  resume_at_ = world_.now();
  off_.emplace_back(world_.now(), absl::InfiniteDuration());
}

void Node::Boot() {
  if (!off_.empty()) off_.back().second = std::min(off_.back().second, world_.now());
  alive_ = true;
  ++life_;
  boot_ = world_.now();
  base_ = world_.random().Time(absl::ZeroDuration(), absl::Hours(1000));
  drift_ppm_ = world_.random().Between(-300, 300);
}

void Node::Suspend(absl::Duration time) {
  const absl::Duration from = std::max(resume_at_, world_.now());
  resume_at_ = std::max(resume_at_, world_.now() + time);
  if (resume_at_ > from) off_.emplace_back(from, resume_at_);
}

absl::Duration Node::Off(absl::Duration since) const {
  absl::Duration sum = absl::ZeroDuration();
  for (const auto& [from, to] : off_) {
    sum += std::max(absl::ZeroDuration(), std::min(to, world_.now()) - std::max(from, since));
  }
  return sum;
}

}  // namespace retort::sim
