// What the benchmarks print: one line of JSON for each row of the table.
#ifndef RETORT_TESTS_BENCH_REPORT_H_
#define RETORT_TESTS_BENCH_REPORT_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace retort::bench {

// Whether a value should be at least, or at most, its target.
enum class Better { kMore, kLess };

struct Row {
  std::string name;
  double value = 0;
  std::string unit;
  std::optional<double> target = {};  // none: stated, not judged
  Better better = Better::kMore;
  nlohmann::json settings = nlohmann::json::object();  // sizes, and what else was seen
};

// Prints the row to standard output, with the machine: {name, value, unit, target, met, settings,
// machine {cpu, cores, filesystem, kernel, load}}. `folder` is where the database lay.
void Print(const Row& row, const std::string& folder);

// The value that `share` (0..1) of the sample does not exceed; the sample is sorted on the way.
double Percentile(std::vector<double>& sample, double share);

}  // namespace retort::bench

#endif  // RETORT_TESTS_BENCH_REPORT_H_
