// An interval of confidence.
#ifndef RETORT_CLIENT_SCALING_INTERVAL_H_
#define RETORT_CLIENT_SCALING_INTERVAL_H_

namespace retort::scaling {

struct Interval {
  double low = 0;
  double high = 0;
};

// Under so many subjects no interval is given and no comparison is resolved.
inline constexpr int kMinSubjects = 6;

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_INTERVAL_H_
