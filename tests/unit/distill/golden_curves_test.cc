// One small job of each method, whose curves are held against stored ones: a change of what is
// learnt shows here, however small. RETORT_UPDATE_GOLDEN=1 writes them anew; say why in the commit.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

#include "common/spec/labels.h"
#include "synthetic.h"
#include "worker/distill/losses.h"
#include "worker/distill/trainer.h"

namespace retort::distill {
namespace {

constexpr char kFile[] = RETORT_SOURCE_DIR "/tests/golden/loss_curves.csv";
// Between instruction sets sums differ in their last bits, which some 50 steps let grow. Errors on
// a few validation windows grow most, by up to 1.8 % between AVX-512, AVX2 and plain x86-64.
constexpr double kTrainTolerance = 2e-3;
constexpr double kValidationTolerance = 4e-2;

using Curves = std::map<std::string, std::vector<double>>;  // by `method series`

v1::MethodSpec BetweenStages() {
  auto method = Feature(v1::FEATURE_NORM_L2, 2);
  method.mutable_feature()->set_student_stage("block1");
  return method;
}

void Add(const v1::ModelSpec& model, const v1::MethodSpec& method, Curves& curves) {
  const auto dataset = LoadDataset(SineDataset(6, 60), "data");
  auto spec = Job(model, method, 6);
  const FoldWindows windows = SplitWindows(dataset->info, spec.split(), 0);
  // A teacher that knows: the heart rate's distribution, and features that follow it.
  std::vector<float> bpm;
  for (int64_t w : windows.train) {
    for (int c = 0; c < 2; ++c) bpm.push_back(dataset->info.bpm_W[w] + static_cast<float>(c));
  }
  const auto bpm_I = torch::tensor(bpm);
  TeacherOutputs teacher;
  teacher.logits_IK = GaussianTargets(bpm_I, 4).clamp_min(1e-6).log();
  teacher.features_IF =
      torch::stack({bpm_I / 60, (bpm_I / 10).sin(), (bpm_I / 10).cos()}, 1).contiguous();

  const std::atomic<bool> stop = false;
  TrainingShare share("", stop);
  const std::string label = MethodLabel(method) + (model.has_mlp() ? " of an mlp" : "");
  Train({spec, *dataset, windows, &teacher},
        {.stop = stop,
         .share = share,
         .unix_ms = [] { return int64_t{0}; },
         .on_epoch =
             [&](int, int, const std::vector<v1::MetricPoint>& points) {
               for (const auto& point : points) {
                 if (point.series() == "train.samples_per_s") continue;
                 curves[label + " " + point.series()].push_back(point.value());
               }
             },
         .on_checkpoint = [](const Checkpoint&) {},
         .check_time = [] {}});
}

Curves Read() {
  Curves curves;
  std::ifstream file(kFile);
  for (std::string line; std::getline(file, line);) {
    const size_t comma = line.find(';');
    std::istringstream numbers(line.substr(comma + 1));
    for (double value; numbers >> value;) curves[line.substr(0, comma)].push_back(value);
  }
  return curves;
}

void Write(const Curves& curves) {
  std::ofstream file(kFile);
  file.precision(9);
  for (const auto& [name, values] : curves) {
    file << name << ";";
    for (double value : values) file << " " << value;
    file << "\n";
  }
}

TEST(GoldenCurvesTest, EveryMethodLearnsAsItDid) {
  torch::set_num_threads(1);
  Curves curves;
  for (const auto& method : {Scratch(), Scratch(3), Hard(), Soft(2), Dkd(2),
                             Feature(v1::FEATURE_NORM_CHANNEL_STD), BetweenStages()}) {
    Add(ResNet(4, 4), method, curves);
  }
  Add(Mlp(16, 2), Soft(2), curves);
  if (std::getenv("RETORT_UPDATE_GOLDEN") != nullptr) Write(curves);
  const Curves golden = Read();
  ASSERT_EQ(golden.size(), curves.size());
  for (const auto& [name, values] : golden) {
    ASSERT_TRUE(curves.contains(name)) << name;
    ASSERT_EQ(curves[name].size(), values.size()) << name;
    const double tolerance =
        name.find(" val.") == std::string::npos ? kTrainTolerance : kValidationTolerance;
    for (size_t epoch = 0; epoch < values.size(); ++epoch) {
      EXPECT_NEAR(curves[name][epoch], values[epoch],
                  tolerance * std::max(0.1, std::abs(values[epoch])))
          << name << ", epoch " << epoch;
    }
  }
}

}  // namespace
}  // namespace retort::distill
