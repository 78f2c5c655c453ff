#include "server/core/axes.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/fields.h"

namespace retort::core {
namespace {

struct Axis {
  std::string name;
  int length;
};

std::vector<Axis> AxesOf(const v1::SweepSpec& sweep, int train_on) {
  std::vector<Axis> axes = {{"train_on", train_on},
                            {"students", sweep.students_size()},
                            {"methods", sweep.methods_size()},
                            {"teachers", sweep.teachers_size()}};
  for (const auto& axis : sweep.train_axes()) {
    axes.push_back({absl::StrCat("train.", axis.field()), axis.values_size()});
  }
  axes.push_back({"seeds", std::max(1, sweep.seeds_size())});
  // An axis without values (no teachers, say) takes one step in which its value is not used.
  for (Axis& axis : axes) axis.length = std::max(axis.length, 1);
  return axes;
}

absl::StatusOr<int> FindAxis(const std::vector<Axis>& axes, const std::string& name, int group) {
  std::vector<std::string> names;
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i].name == name) return static_cast<int>(i);
    names.push_back(axes[i].name);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "zip[", group, "]: '", name, "' is not an axis of this sweep", Suggestion(name, names)));
}

}  // namespace

absl::StatusOr<Axes> Axes::Of(const v1::SweepSpec& sweep, int train_on) {
  const std::vector<Axis> axes = AxesOf(sweep, train_on);
  std::vector<int> zipped_in(axes.size(), -1);
  for (int g = 0; g < sweep.zip_size(); ++g) {
    for (const std::string& name : sweep.zip(g).axes()) {
      const auto index = FindAxis(axes, name, g);
      if (!index.ok()) return index.status();
      const auto at = static_cast<size_t>(*index);
      if (zipped_in[at] != -1) {
        return absl::InvalidArgumentError(absl::StrCat(
            "zip[", g, "]: '", name, "' is in a group already; must be in one at most"));
      }
      zipped_in[at] = g;
    }
  }
  Axes out;
  out.train_axes_ = sweep.train_axes_size();
  std::vector<int> group_of_zip(static_cast<size_t>(sweep.zip_size()), -1);
  for (size_t i = 0; i < axes.size(); ++i) {
    if (zipped_in[i] == -1) {
      out.groups_.push_back({axes[i].length, {static_cast<int>(i)}});
      continue;
    }
    int& group = group_of_zip[static_cast<size_t>(zipped_in[i])];
    if (group == -1) {
      group = static_cast<int>(out.groups_.size());
      out.groups_.push_back({axes[i].length, {}});
    }
    Group& members = out.groups_[static_cast<size_t>(group)];
    if (members.length != axes[i].length) {
      return absl::InvalidArgumentError(
          absl::StrCat("zip[", zipped_in[i], "]: ", axes[i].name, " has ", axes[i].length,
                       " values and ", axes[static_cast<size_t>(members.axes[0])].name, " has ",
                       members.length, "; axes that move together must have the same length"));
    }
    members.axes.push_back(static_cast<int>(i));
  }
  for (const Group& group : out.groups_) {
    constexpr int64_t kMost = int64_t{1} << 62;
    out.size_ = out.size_ > kMost / group.length ? kMost : out.size_ * group.length;
  }
  return out;
}

Choice Axes::At(int64_t n) const {
  Choice choice;
  choice.train.resize(static_cast<size_t>(train_axes_));
  for (auto group = groups_.rbegin(); group != groups_.rend(); ++group) {
    const int value = static_cast<int>(n % group->length);
    n /= group->length;
    for (const int axis : group->axes) {
      if (axis == 0) {
        choice.train_on = value;
      } else if (axis == 1) {
        choice.student = value;
      } else if (axis == 2) {
        choice.method = value;
      } else if (axis == 3) {
        choice.teacher = value;
      } else if (axis < 4 + train_axes_) {
        choice.train[static_cast<size_t>(axis - 4)] = value;
      } else {
        choice.seed = value;
      }
    }
  }
  return choice;
}

}  // namespace retort::core
