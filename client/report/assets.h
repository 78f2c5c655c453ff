// Files that are part of an HTML report, embedded by the build.
#ifndef RETORT_CLIENT_REPORT_ASSETS_H_
#define RETORT_CLIENT_REPORT_ASSETS_H_

namespace retort::report {

extern const char* const kChartJs;   // the plotting library
extern const char* const kReportJs;  // report.js
extern const char* const kStyleCss;  // style.css

}  // namespace retort::report

#endif  // RETORT_CLIENT_REPORT_ASSETS_H_
