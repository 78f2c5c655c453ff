// Data whose law is known, of any form.
#ifndef RETORT_TESTS_UNIT_SCALING_SIMULATE_FORMS_H_
#define RETORT_TESTS_UNIT_SCALING_SIMULATE_FORMS_H_

#include <cmath>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "client/scaling/fit.h"
#include "tests/unit/scaling/simulate.h"

namespace retort::scaling {

// The loss of a law of one or two sizes.
using Curve = std::function<double(const Size&)>;

struct KnownLaw {
  Form form;
  std::vector<double> parameters;  // in the order of the formula
  Curve loss;
  std::vector<Size> sizes;
  Size tenfold;  // ten times the largest
};

inline std::vector<Size> Pairs(const std::vector<double>& first,
                               const std::vector<double>& second) {
  std::vector<Size> pairs;
  for (const double a : first) {
    for (const double b : second) pairs.emplace_back(a, b);
  }
  return pairs;
}

// One law of each form, in the range of heart-rate networks.
inline std::vector<KnownLaw> KnownLaws() {
  const std::vector<double> sizes = {1488, 4076, 13092, 46484, 174708, 800000};
  const std::vector<Size> one(sizes.begin(), sizes.end());
  return {
      {Form::kPower,
       {3, 200, 0.5},
       [](const Size& n) { return 3 + 200 * std::pow(n.size, -0.5); },
       one,
       8e6},
      {Form::kExp,
       {4, 6, 2e-5},
       [](const Size& n) { return 4 + 6 * std::exp(-2e-5 * n.size); },
       one,
       8e6},
      {Form::kLog, {16, 0.8}, [](const Size& n) { return 16 - 0.8 * std::log(n.size); }, one, 8e6},
      {Form::kPower2,
       {2, 150, 0.5, 40, 0.4},
       [](const Size& n) {
         return 2 + 150 * std::pow(n.size, -0.5) + 40 * std::pow(n.size2, -0.4);
       },
       Pairs({1488, 4076, 13092, 46484, 174708}, {300, 1000, 3000, 9000}),
       {1747080, 90000}},
      {Form::kDistill,
       {1.5, 60, 0.45, 0.5},
       [](const Size& n) { return (1.5 + 60 * std::pow(n.size, -0.45)) * std::pow(n.size2, 0.5); },
       Pairs({1488, 4076, 13092, 46484, 174708}, {3.5, 4.2, 5.5}),
       {1747080, 3.5}},
  };
}

// Losses whose expectation at each size is the curve's, with subjects and seeds as crossed
// clusters.
inline std::vector<Observation> SimulateCurve(const KnownLaw& law, const SweepShape& shape,
                                              const LossNoise& noise, uint64_t seed) {
  // The noise of a law that is flat at 1, one place in the grid for each pair of sizes.
  SweepShape numbered = shape;
  numbered.sizes.clear();
  for (size_t i = 0; i < law.sizes.size(); ++i)
    numbered.sizes.push_back(static_cast<double>(i + 1));
  std::vector<Observation> observations =
      SimulateLosses({.floor = 1, .a = 0, .alpha = 1}, numbered, noise, seed);
  for (Observation& row : observations) {
    const Size& size = law.sizes[static_cast<size_t>(row.size) - 1];
    row.size = size.size;
    row.size2 = size.size2;
    row.loss *= law.loss(size);
  }
  return observations;
}

// Rows without subjects, as a table of runs has them: `count` runs over the law's sizes, each with
// independent noise.
inline std::vector<Observation> SimulateRows(const KnownLaw& law, int count, double sd,
                                             uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<double> normal;
  std::vector<Observation> rows;
  for (int i = 0; i < count; ++i) {
    const Size& size = law.sizes[i % law.sizes.size()];
    Observation row;
    row.size = size.size;
    row.size2 = size.size2;
    row.loss = law.loss(size) * std::exp(sd * normal(generator));
    row.subject = "row " + std::to_string(i);
    rows.push_back(row);
  }
  return rows;
}

}  // namespace retort::scaling

#endif  // RETORT_TESTS_UNIT_SCALING_SIMULATE_FORMS_H_
