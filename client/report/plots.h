// The plots of a report. Those without data are left out.
#ifndef RETORT_CLIENT_REPORT_PLOTS_H_
#define RETORT_CLIENT_REPORT_PLOTS_H_

#include <string>
#include <vector>

#include "client/report/report.h"

namespace retort::report {

// Error against parameters of the body: a plot for each family of students.
std::vector<Chart> SizeCharts(const Input& input);
// Error against latency and against bytes, with the Pareto front.
std::vector<Chart> CostCharts(const Input& input);
// Error of students against that of their teachers.
std::vector<Chart> TeacherCharts(const Input& input);
// Each subject's error by the best student, its scratch twins and its teacher.
std::vector<Chart> SubjectCharts(const Input& input);
// Bland and Altman's plot: difference against mean, bias and limits of agreement.
Chart AgreementChart(const Agreement& agreement);
std::string AgreementText(const Agreement& agreement);
// Error on validation by epoch: a plot for each model.
std::vector<Chart> CurveCharts(const Input& input);

}  // namespace retort::report

#endif  // RETORT_CLIENT_REPORT_PLOTS_H_
