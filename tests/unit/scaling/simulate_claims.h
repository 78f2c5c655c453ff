// Simulated sweeps of networks for which the answers to all claims are known.
#ifndef RETORT_TESTS_UNIT_SCALING_SIMULATE_CLAIMS_H_
#define RETORT_TESTS_UNIT_SCALING_SIMULATE_CLAIMS_H_

#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "client/scaling/claims.h"

namespace retort::scaling {

struct ClaimTruth {
  // Share of the error of one-hot scratch that a method saves, of each family.
  std::map<std::string, double> resnet_gain = {
      {"dkd", 0}, {"feature", 0}, {"hard", 0}, {"soft", 0}};
  std::map<std::string, double> mlp_gain = {{"dkd", 0}, {"feature", 0}, {"hard", 0}, {"soft", 0}};
  double gaussian_gain = 0;
  // Error of one-hot ResNets in BPM: floor + a * size^-alpha, of parameters of the body.
  double floor = 4;
  double a = 300;
  double alpha = 0.6;
  double teacher_bpm = 4;
};

struct ClaimSweep {
  int subjects = 12;
  int folds = 4;
  int seeds = 2;  // of each fold; with one, folds share none
  int resnets = 5;
  int mlps = 3;
};

// Standard deviations of log error.
struct ClaimNoise {
  double subject = 0.35;      // cancels within pairs
  double arm_subject = 0.06;  // of an arm and student
  double arm_fold = 0.02;     // of an arm: its luck with a training set
  double network = 0.05;      // of a trained network
  double rest = 0.05;
  double decoding = 0.01;  // of a decoding of a network's outputs on one subject
};

class ClaimSimulator {
 public:
  ClaimSimulator(const ClaimTruth& truth, const ClaimSweep& sweep, const ClaimNoise& noise,
                 uint64_t seed)
      : truth_(truth), sweep_(sweep), noise_(noise), generator_(seed) {
    for (int i = 0; i < sweep.subjects; ++i) subject_.push_back(Draw(noise.subject));
  }

  std::vector<TestedNetwork> Run() {
    constexpr double kResnets[] = {1488, 4076, 13092, 14960, 55000};
    constexpr double kMlps[] = {4300, 13500, 54000};
    Add("resnet1d-64/8", "resnet1d", 800000, true, "scratch", false, truth_.teacher_bpm);
    for (int i = 0; i < sweep_.resnets; ++i) {
      const double size = kResnets[i];
      const double error = truth_.floor + truth_.a * std::pow(size, -truth_.alpha);
      AddArms("resnet1d-" + std::to_string(i), "resnet1d", size, error, truth_.resnet_gain);
    }
    for (int i = 0; i < sweep_.mlps; ++i) {
      const double error = 1.5 * (truth_.floor + truth_.a * std::pow(kMlps[i], -truth_.alpha));
      AddArms("mlp-" + std::to_string(i), "mlp", kMlps[i], error, truth_.mlp_gain);
    }
    return std::move(networks_);
  }

 private:
  double Draw(double sd) { return sd * normal_(generator_) - sd * sd / 2; }  // E exp = 1

  void AddArms(const std::string& model, const std::string& family, double size, double error,
               const std::map<std::string, double>& gains) {
    Add(model, family, size, false, "scratch", false, error);
    Add(model, family, size, false, "scratch", true, error * (1 - truth_.gaussian_gain));
    for (const auto& [method, gain] : gains)
      Add(model, family, size, false, method, false, error * (1 - gain));
  }

  void Add(const std::string& model, const std::string& family, double size, bool is_teacher,
           const std::string& method, bool gaussian, double error) {
    std::vector<double> of_subject;
    for (int i = 0; i < sweep_.subjects; ++i) of_subject.push_back(Draw(noise_.arm_subject));
    for (int fold = 0; fold < sweep_.folds; ++fold) {
      const double of_fold = Draw(noise_.arm_fold);
      for (int seed = 0; seed < sweep_.seeds; ++seed) {
        TestedNetwork network;
        network.is_teacher = is_teacher;
        network.model = model;
        network.family = family;
        network.method = method;
        network.gaussian = gaussian;
        network.settings = method + (gaussian ? "(sigma=3)" : "");
        network.teacher = is_teacher || method == "scratch" ? "" : "resnet1d-64/8";
        network.fold = fold;
        network.seed = sweep_.seeds == 1 ? fold : seed;
        network.params = network.params_body = size;
        network.bytes = 4 * size;
        network.latency_ms = size / 1e5;
        network.latency_machine = "one";
        const double luck = of_fold + Draw(noise_.network);
        network.validation_mae_bpm = error * std::exp(luck + Draw(noise_.arm_subject));
        for (int i = fold; i < sweep_.subjects; i += sweep_.folds) {
          const double log =
              std::log(error) + subject_[i] + of_subject[i] + luck + Draw(noise_.rest);
          SubjectErrors errors{"s" + std::to_string(i), {}};
          for (double& mae : errors.mae_bpm) mae = std::exp(log + Draw(noise_.decoding));
          network.subjects.push_back(errors);
        }
        networks_.push_back(network);
      }
    }
  }

  ClaimTruth truth_;
  ClaimSweep sweep_;
  ClaimNoise noise_;
  std::mt19937_64 generator_;
  std::normal_distribution<double> normal_;
  std::vector<double> subject_;
  std::vector<TestedNetwork> networks_;
};

inline std::vector<TestedNetwork> SimulateNetworks(const ClaimTruth& truth, const ClaimSweep& sweep,
                                                   uint64_t seed, const ClaimNoise& noise = {}) {
  return ClaimSimulator(truth, sweep, noise, seed).Run();
}

}  // namespace retort::scaling

#endif  // RETORT_TESTS_UNIT_SCALING_SIMULATE_CLAIMS_H_
