// What a report of a sweep says, from the rows that `retort results` and `retort fit` give. Pure.
#ifndef RETORT_CLIENT_REPORT_REPORT_H_
#define RETORT_CLIENT_REPORT_REPORT_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "client/report/document.h"
#include "nlohmann/json.hpp"

namespace retort::report {

using Json = nlohmann::ordered_json;

// A network as tables tell it from others: kind, model, method, teacher, and training values where
// the sweep varies them.
struct Network {
  std::string kind = {}, model = {}, method = {}, teacher = {}, train = {};

  std::string Label() const;  // `resnet1d-16/4, dkd of resnet1d-32/8`
  friend auto operator<=>(const Network&, const Network&) = default;
};
// Of a row of results.
Network NetworkOf(const Json& row);

// Validation MAE of one job by epoch.
struct Curve {
  Network network;
  std::string job;                                // `seed 0, fold 1`
  std::vector<std::pair<double, double>> points;  // epoch from 1, BPM
};

// Estimates of one student on windows of its test subjects, single channel, median decoding.
struct Agreement {
  Network network;
  struct Point {
    double reference_bpm, estimate_bpm;
  };
  std::vector<Point> points;
  std::string problem;  // why there are none
};

struct Input {
  std::string sweep, description;
  std::string made;            // when, for people
  std::vector<Json> rows;      // ResultRows
  std::vector<Json> networks;  // GroupedRows
  std::vector<Json> methods;   // MethodRows
  std::vector<Json> claims;    // ClaimRows, with their parts
  std::string claims_problem;  // why there are none
  std::vector<Json> laws;  // FitRows over parameters of the body, with predictions for the curve
  std::vector<Json> laws_by_macs;
  std::vector<Curve> curves;
  Agreement agreement;
  std::vector<std::string> remarks;  // floors, jobs without a result
  // How the bits came about: `label: value`.
  std::vector<std::pair<std::string, std::string>> origin;
  std::string reproduce;  // command lines
  std::string spec;       // of the sweep
};

Document MakeReport(const Input& input);

// The student with the smallest error on validation (on test where there is no validation) among
// the rows that count; nothing in it if there is none.
Network BestStudent(const std::vector<Json>& rows);

// Of (cost, error) the indices that no other undercuts in both, by ascending cost.
std::vector<size_t> ParetoFront(const std::vector<std::pair<double, double>>& points);

}  // namespace retort::report

#endif  // RETORT_CLIENT_REPORT_REPORT_H_
