#include "worker/distill/microbatch.h"

#include <algorithm>

#include "common/spec/train.h"
#include "worker/distill/data.h"

namespace retort::distill {
namespace {

constexpr int64_t kFewest = 2;  // that batch norm has a variance of

}  // namespace

Microbatch::Microbatch(const v1::TrainSpec& train)
    : stated_(train.has_microbatch()),
      auto_(train.has_microbatch() && train.microbatch() == 0),
      windows_(WindowsAtOnce(train)) {}

std::vector<int64_t> Microbatch::Borders(int64_t items) const {
  return StepBorders(items, windows_);
}

bool Microbatch::Halve(int64_t items) {
  const int64_t now = std::min(windows_, items);
  // Three windows are one piece of two with the one that is left.
  if (!auto_ || now <= kFewest + 1) return false;
  windows_ = std::max(kFewest, now / 2);
  return true;
}

void Microbatch::Resume(int64_t recorded) {
  if (auto_ && recorded > 0) windows_ = recorded;
}

}  // namespace retort::distill
