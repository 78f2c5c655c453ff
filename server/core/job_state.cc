#include "server/core/job_state.h"

#include <array>

namespace retort::core {
namespace {

constexpr uint16_t Bit(JobState state) { return static_cast<uint16_t>(1u << IndexOf(state)); }

template <typename... States>
constexpr uint16_t Set(States... states) {
  return static_cast<uint16_t>((Bit(states) | ... | 0));
}

using enum JobState;

// Where each state may go; the numbers are those of the diagram.
constexpr std::array<uint16_t, kJobStates> kMoves = {
    /* BLOCKED   (3)(4)(13)(17)          */ Set(kQueued, kSkipped, kCancelled, kSucceeded),
    /* QUEUED    (6)(16)(13)(17)         */ Set(kLeased, kBlocked, kCancelled, kSucceeded),
    /* LEASED    (7)(9)(10)(11)(13)      */ Set(kRunning, kQueued, kBlocked, kFailed, kCancelled),
    /* RUNNING   (8)(9)(10)(11)(13)      */ Set(kSucceeded, kQueued, kBlocked, kFailed, kCancelled),
    /* SUCCEEDED (15)                    */ Set(kQueued),
    /* FAILED    (12)                    */ Set(kQueued, kBlocked),
    /* SKIPPED   (5)                     */ Set(kBlocked),
    /* CANCELLED (14)                    */ Set(kQueued, kBlocked),
};

constexpr std::array<std::string_view, kJobStates> kWords = {
    "blocked", "queued", "leased", "running", "succeeded", "failed", "skipped", "cancelled"};

}  // namespace

bool CanMove(JobState from, JobState to) { return (kMoves[IndexOf(from)] & Bit(to)) != 0; }

bool HasEnded(JobState state) { return state >= kSucceeded; }

bool IsLive(JobState state) { return state == kLeased || state == kRunning; }

std::string_view WordFor(JobState state) { return kWords[IndexOf(state)]; }

}  // namespace retort::core
