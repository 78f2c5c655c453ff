// What people should know of a fit before they believe it.
#ifndef RETORT_CLIENT_SCALING_FIT_WARNINGS_H_
#define RETORT_CLIENT_SCALING_FIT_WARNINGS_H_

#include "client/scaling/fit.h"
#include "client/scaling/loss_table.h"
#include "client/scaling/point_fit.h"

namespace retort::scaling {

bool IsAtLow(const PointFit& fit, size_t parameter);
bool IsAtHigh(const PointFit& fit, size_t parameter);

// Adds the warnings that follow from the sample, and those that follow from the fit.
void WarnOfData(const LossTable& table, const FitOptions& options, Fit& fit);
void WarnOfFit(const Law& law, const FitOptions& options, const PointFit& point_fit, Fit& fit);

}  // namespace retort::scaling

#endif  // RETORT_CLIENT_SCALING_FIT_WARNINGS_H_
