// What monitors see of our programs, and what they ask for.
#ifndef RETORT_TESTS_TESTING_MONITORING_H_
#define RETORT_TESTS_TESTING_MONITORING_H_

#include <set>
#include <string>

namespace retort {

// One HTTP request to this machine: head and body of the answer; empty if nobody listens.
std::string HttpGet(int port, const std::string& path);

// Names of metrics in the expressions of deploy/grafana.json, without what Prometheus appends to
// those of histograms.
std::set<std::string> DashboardMetrics();

}  // namespace retort

#endif  // RETORT_TESTS_TESTING_MONITORING_H_
