// retort_scaling_bench: how often the intervals of client/scaling hold the truth, how often claims
// are answered wrongly, and how long a large fit takes. One line of JSON for each measurement;
// README.md says what and how.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "client/scaling/claims.h"
#include "client/scaling/fit.h"
#include "client/scaling/parallel.h"
#include "tests/unit/scaling/simulate_claims.h"
#include "tests/unit/scaling/simulate_forms.h"

namespace retort::scaling {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  int data_sets = 1000;
  int threads = static_cast<int>(std::thread::hardware_concurrency());
  int resamples = 1000;
  std::vector<int> subjects = {12, 34};
  int seeds = 2;
  int folds = 4;
  std::vector<std::string> forms;
  bool bootstrap = false;
};

// How often something was covered, of how often it had an interval.
struct Tally {
  std::atomic<int> given = 0;
  std::atomic<int> covered = 0;

  void Add(const std::optional<Interval>& interval, double truth) {
    if (!interval) return;
    ++given;
    covered += interval->low <= truth && truth <= interval->high;
  }
  Json Percent(int of) const {
    return {{"covered_percent", given > 0 ? Json(100.0 * covered / given) : Json()},
            {"given_percent", 100.0 * given / of}};
  }
};

double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The exponent, which is what a law is about: alpha, k or b.
const Parameter& Slope(const Fit& fit) {
  for (const char* name : {"alpha", "k", "b"}) {
    if (fit.Find(name) != nullptr) return *fit.Find(name);
  }
  return fit.parameters.back();
}

double TrueSlope(const KnownLaw& law) { return law.parameters[law.form == Form::kLog ? 1 : 2]; }

FitOptions OptionsOf(const KnownLaw& law, const Options& options, uint64_t seed) {
  const Size& middle = law.sizes[law.sizes.size() / 2];
  FitOptions fit;
  fit.form = law.form;
  // Between the sizes measured, and ten times the largest.
  fit.curve_sizes = {Size(1.5 * middle.size, middle.size2), law.tenfold};
  if (options.bootstrap) {
    fit.uncertainty = UncertaintyMethod::kBootstrap;
    fit.bootstrap = {.resamples = options.resamples, .seed = seed, .threads = 1};
  }
  return fit;
}

void PrintCoverage(const KnownLaw& law, int subjects, bool rows, const Options& options) {
  SweepShape shape;
  shape.subjects = subjects;
  shape.seeds = options.seeds;
  shape.folds = options.folds;
  Tally slope, inside, beyond;
  std::atomic<int> failed = 0;
  const auto start = std::chrono::steady_clock::now();
  ParallelFor(options.data_sets, options.threads, [&](int i) {
    FitOptions fit_options = OptionsOf(law, options, i);
    if (rows) fit_options.points_are = PointsAre::kRows;
    const auto fit =
        FitLaw(rows ? SimulateRows(law, 5 * subjects, 0.1, i) : SimulateCurve(law, shape, {}, i),
               fit_options);
    if (!fit.ok()) {
      ++failed;
      return;
    }
    slope.Add(Slope(*fit).interval, TrueSlope(law));
    inside.Add(fit->curve[0].interval, law.loss(fit_options.curve_sizes[0]));
    beyond.Add(fit->curve[1].interval, law.loss(law.tenfold));
  });
  const Json line = {{"measure", "coverage"},
                     {"form", FormName(law.form)},
                     {"intervals", options.bootstrap ? "bootstrap" : "jackknife"},
                     {"points", rows ? "rows" : "means"},
                     {rows ? "rows" : "subjects", rows ? 5 * subjects : subjects},
                     {"seeds", options.seeds},
                     {"folds", options.folds},
                     {"sizes", law.sizes.size()},
                     {"data_sets", options.data_sets},
                     {"failed", failed.load()},
                     {"slope", slope.Percent(options.data_sets)},
                     {"curve", inside.Percent(options.data_sets)},
                     {"tenfold", beyond.Percent(options.data_sets)},
                     {"seconds", SecondsSince(start)}};
  std::printf("%s\n", line.dump().c_str());
  std::fflush(stdout);
}

void Coverage(const Options& options, bool rows) {
  for (const KnownLaw& law : KnownLaws()) {
    if (!options.forms.empty() && std::find(options.forms.begin(), options.forms.end(),
                                            FormName(law.form)) == options.forms.end())
      continue;
    for (const int subjects : options.subjects) PrintCoverage(law, subjects, rows, options);
  }
}

// In so many sweeps how often some part of a claim was answered wrongly, and how often the claim
// was answered rightly.
void PrintVerdicts(const char* name, const ClaimTruth& truth, const ClaimSweep& sweep,
                   const std::map<int, Answer>& wrong, const Options& options) {
  std::map<int, std::atomic<int>> counts;
  for (const auto& [number, answer] : wrong) counts[number] = 0;
  ParallelFor(options.data_sets, options.threads, [&](int i) {
    const auto claims = JudgeClaims(SimulateNetworks(truth, sweep, 5000 + i), {});
    if (!claims.ok()) return;
    for (const auto& [number, answer] : wrong) {
      const auto& parts = claims->at(number - 1).parts;
      counts.at(number) += std::any_of(parts.begin(), parts.end(), [&](const ClaimPart& part) {
        // C1 is judged in each family too; the claim is that of all students.
        return part.answer == answer && (number != 1 || part.scope == "all");
      });
    }
  });
  for (const auto& [number, answer] : wrong) {
    const Json line = {{"measure", "false verdicts"},
                       {"truth", name},
                       {"claim", number},
                       {"wrong", AnswerName(answer)},
                       {"subjects", sweep.subjects},
                       {"seeds", sweep.seeds},
                       {"folds", sweep.folds},
                       {"sweeps", options.data_sets},
                       {"percent", 100.0 * counts.at(number) / options.data_sets}};
    std::printf("%s\n", line.dump().c_str());
  }
  std::fflush(stdout);
}

void Claims(const Options& options) {
  const ClaimTruth nothing;
  ClaimTruth margins;  // twice the margin of C1 of some 7 BPM; the margin of C3 between families
  for (auto& [method, gain] : margins.resnet_gain) gain = 0.12;
  for (auto& [method, gain] : margins.mlp_gain) gain = 0.075;
  ClaimTruth edge;  // all students at the margin of C5
  edge.a = 0;
  edge.floor = 6;
  edge.teacher_bpm = 5;
  ClaimTruth flat;
  flat.a = 0;
  flat.resnet_gain = {{"dkd", 0}, {"soft", 0}};
  const ClaimTruth law = {.resnet_gain = {{"dkd", 0}, {"soft", 0}}, .mlp_gain = {}};
  for (const int subjects : options.subjects) {
    ClaimSweep quick = {.subjects = subjects,
                        .folds = options.folds,
                        .seeds = options.seeds,
                        .resnets = 3,
                        .mlps = 3};
    PrintVerdicts("no gain", nothing, quick,
                  {{1, Answer::kYes}, {2, Answer::kYes}, {3, Answer::kYes}}, options);
    PrintVerdicts("gains at the margin", margins, quick, {{1, Answer::kNo}, {3, Answer::kNo}},
                  options);
    quick.mlps = 0;
    PrintVerdicts("students at the margin", edge, quick, {{5, Answer::kYes}, {5, Answer::kNo}},
                  options);
    quick.resnets = 5;
    Options fewer = options;
    fewer.data_sets /= 5;  // fits take their time
    PrintVerdicts("no law", flat, quick, {{4, Answer::kYes}}, fewer);
    PrintVerdicts("a law", law, quick, {{4, Answer::kNo}}, fewer);
  }
}

// 240 runs of a law of two sizes, fitted from the 4,500 starts of Hoffmann et al., and resampled.
void Timing(const Options& options, Preset preset, int resamples) {
  KnownLaw law = KnownLaws()[3];
  FitOptions fit_options;
  fit_options.form = law.form;
  fit_options.preset = preset;
  fit_options.points_are = PointsAre::kRows;
  fit_options.uncertainty = UncertaintyMethod::kBootstrap;
  fit_options.bootstrap = {.resamples = resamples, .seed = 1, .threads = options.threads};
  const auto rows = SimulateRows(law, 240, 0.02, 1);
  const auto start = std::chrono::steady_clock::now();
  const auto fit = FitLaw(rows, fit_options);
  const double seconds = SecondsSince(start);
  Json line = {{"measure", "timing"},
               {"preset", preset == Preset::kChinchilla ? "chinchilla" : "robust"},
               {"points", rows.size()},
               {"threads", options.threads},
               {"seconds", seconds}};
  if (fit.ok()) {
    line["starts"] = fit->convergence.starts;
    line["converged"] = fit->convergence.converged;
    line["at_best"] = fit->convergence.at_best;
    line["resamples"] = fit->convergence.resamples;
    line["resamples_failed"] = fit->convergence.resamples_failed;
    line["alpha"] = fit->Find("alpha")->value;
  } else {
    line["error"] = fit.status().ToString();
  }
  std::printf("%s\n", line.dump().c_str());
}

int Main(int argc, char** argv) {
  CLI::App app("Measures the scaling laws of client/scaling.");
  app.require_subcommand(1);
  Options options;
  bool rows = false;
  bool robust = false;
  int resamples = 4000;
  app.add_option("--threads", options.threads)->capture_default_str();
  CLI::App* coverage = app.add_subcommand("coverage", "how often 95 % intervals hold the truth");
  coverage->add_option("--data-sets", options.data_sets)->capture_default_str();
  coverage->add_option("--subjects", options.subjects)->capture_default_str();
  coverage->add_option("--seeds", options.seeds)->capture_default_str();
  coverage->add_option("--folds", options.folds)->capture_default_str();
  coverage->add_option("--form", options.forms, "all if not given");
  coverage->add_flag("--bootstrap", options.bootstrap, "rather than the jackknife");
  coverage->add_option("--resamples", options.resamples)->capture_default_str();
  coverage->add_flag("--rows", rows, "runs without subjects, five for each of --subjects");
  CLI::App* claims = app.add_subcommand("claims", "how often claims are answered wrongly");
  claims->add_option("--sweeps", options.data_sets)->capture_default_str();
  claims->add_option("--subjects", options.subjects)->capture_default_str();
  claims->add_option("--seeds", options.seeds)->capture_default_str();
  claims->add_option("--folds", options.folds)->capture_default_str();
  CLI::App* timing = app.add_subcommand("timing", "4,500 starts and 4,000 resamples on 240 points");
  timing->add_flag("--robust", robust, "the default's starts and delta instead");
  timing->add_option("--resamples", resamples)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (*coverage) Coverage(options, rows);
  if (*claims) Claims(options);
  if (*timing) Timing(options, robust ? Preset::kRobust : Preset::kChinchilla, resamples);
  return 0;
}

}  // namespace
}  // namespace retort::scaling

int main(int argc, char** argv) { return retort::scaling::Main(argc, argv); }
