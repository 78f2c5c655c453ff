// Simulated sweeps whose truth is known, with subjects and seeds as crossed clusters.
#ifndef RETORT_TESTS_UNIT_SCALING_SIMULATE_H_
#define RETORT_TESTS_UNIT_SCALING_SIMULATE_H_

#include <cmath>
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "client/scaling/compare.h"
#include "client/scaling/fit.h"

namespace retort::scaling {

// L = floor + a * size^-alpha.
struct TrueLaw {
  double floor = 3;
  double a = 200;
  double alpha = 0.5;

  double operator()(double size) const { return floor + a * std::pow(size, -alpha); }
};

struct SweepShape {
  std::vector<double> sizes = {1488, 4076, 13092, 46484, 174708, 800000};
  int subjects = 12;
  int seeds = 3;
  int folds = 4;
};

// Standard deviations, of log loss, of effects that differ between ...
struct LossNoise {
  double subject = 0.35;
  double subject_size = 0.06;
  double network = 0.03;  // trained networks: one for each (size, seed, fold)
  double rest = 0.08;
};

// Losses whose expectation at each size is the law.
inline std::vector<Observation> SimulateLosses(const TrueLaw& law, const SweepShape& shape,
                                               const LossNoise& noise, uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<double> normal;
  const auto draw = [&](double sd) { return sd * normal(generator) - sd * sd / 2; };  // E exp = 1
  std::vector<double> subject_effect;
  for (int i = 0; i < shape.subjects; ++i) subject_effect.push_back(draw(noise.subject));
  std::vector<Observation> observations;
  for (const double size : shape.sizes) {
    std::vector<double> of_subject;
    for (int i = 0; i < shape.subjects; ++i) of_subject.push_back(draw(noise.subject_size));
    for (int k = 0; k < shape.seeds; ++k) {
      std::vector<double> of_network;
      for (int f = 0; f < shape.folds; ++f) of_network.push_back(draw(noise.network));
      for (int i = 0; i < shape.subjects; ++i) {
        const double effect =
            subject_effect[i] + of_subject[i] + of_network[i % shape.folds] + draw(noise.rest);
        observations.push_back(
            {size, law(size) * std::exp(effect), "s" + std::to_string(i), k, i % shape.folds});
      }
    }
  }
  return observations;
}

// Standard deviations, in BPM, of effects that differ between ...
struct GainNoise {
  double subject = 2;  // cancels within pairs
  double method_subject = 0.3;
  double method_fold = 0;  // training sets
  double network = 0.4;    // trained networks: one for each (method, student, seed, fold)
  double rest = 0.3;
};

// Methods with these gains over `scratch`, and a second arm `scratch(sigma=3)` with its own.
inline std::vector<Outcome> SimulateOutcomes(const std::map<std::string, double>& gain_bpm,
                                             double gaussian_gain_bpm, int subjects, int seeds,
                                             const GainNoise& noise, uint64_t seed) {
  constexpr int kFolds = 4;
  std::mt19937_64 generator(seed);
  std::normal_distribution<double> normal;
  std::vector<double> base;
  for (int i = 0; i < subjects; ++i) base.push_back(12 + noise.subject * normal(generator));
  std::vector<Outcome> outcomes;
  const auto add = [&](const std::string& method, bool scratch, double gain) {
    std::vector<double> of_subject;
    for (int i = 0; i < subjects; ++i)
      of_subject.push_back(noise.method_subject * normal(generator));
    std::vector<double> of_fold;
    for (int f = 0; f < kFolds; ++f) of_fold.push_back(noise.method_fold * normal(generator));
    for (const std::string student : {"resnet1d-4/4", "resnet1d-8/4", "resnet1d-16/4"}) {
      for (int k = 0; k < seeds; ++k) {
        for (int fold = 0; fold < kFolds; ++fold) {
          const double network = of_fold[fold] + noise.network * normal(generator);
          const double validation = 12 - gain + network + noise.method_subject * normal(generator);
          for (int i = fold; i < subjects; i += kFolds) {
            Outcome outcome;
            outcome.method = method;
            outcome.scratch = scratch;
            outcome.student = student;
            outcome.teacher = scratch ? "" : "resnet1d-32/8";
            outcome.fold = fold;
            outcome.seed = k;
            outcome.subject = "s" + std::to_string(i);
            outcome.mae_bpm = std::max(
                0.0, base[i] - gain + of_subject[i] + network + noise.rest * normal(generator));
            outcome.validation_mae_bpm = validation;
            outcomes.push_back(outcome);
          }
        }
      }
    }
  };
  add("scratch", true, 0);
  add("scratch(sigma=3)", true, gaussian_gain_bpm);
  for (const auto& [method, gain] : gain_bpm) add(method, false, gain);
  return outcomes;
}

}  // namespace retort::scaling

#endif  // RETORT_TESTS_UNIT_SCALING_SIMULATE_H_
