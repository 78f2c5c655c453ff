// retort_training_bench: training steps and epochs of this machine, beside PyTorch and beside each
// other. ../README.md says what and how.
//
// Of the runner alone: no package but LibTorch and Protobuf, so that it builds where the runner
// does.

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "common/spec/labels.h"
#include "common/spec/split.h"
#include "synthetic.h"
#include "worker/distill/failure.h"
#include "worker/distill/machine.h"
#include "worker/distill/trainer.h"

namespace retort::distill {
namespace {

constexpr int kBatch = 128;

struct Options {
  int threads = 1;
  int rounds = 5;
  double share = 1;  // of the usual number of steps: less, to try the program out
  std::string only;  // rows whose name has this in it
};

double Median(std::vector<double> sample) {
  std::sort(sample.begin(), sample.end());
  return sample[sample.size() / 2];
}

v1::TrainingSpec SpecOf(const v1::ModelSpec& model, const v1::MethodSpec& method, int epochs) {
  v1::TrainingSpec spec;
  *spec.mutable_model() = model;
  *spec.mutable_method() = method;
  auto& train = *spec.mutable_train();
  train.set_epochs(epochs);
  train.set_batch(kBatch);
  train.set_optimizer(v1::OPTIMIZER_ADAM);
  train.set_peak_lr(1e-3);
  train.set_schedule(v1::SCHEDULE_ONE_CYCLE);
  train.set_clip(1);
  train.set_keep(v1::KEEP_LAST);
  train.set_channels(v1::CHANNEL_DRAW_RANDOM);
  return spec;
}

// Windows to train on and a teacher's outputs for them, all random: what is learnt does not matter
// here.
struct Material {
  std::shared_ptr<const LoadedDataset> dataset;
  FoldWindows windows;
  TeacherOutputs teacher;

  explicit Material(int64_t count) {
    dataset = LoadDataset(SineDataset(1, static_cast<int>(count)), "bench");
    windows.train = AllWindows(dataset->info);
    const int64_t items = count * dataset->channels();
    teacher = {torch::randn({items, 180}), torch::randn({items, 128})};
  }
};

// Seconds of a step of training.
double SecondsOfAStep(const v1::TrainingSpec& spec, const Material& material) {
  const std::atomic<bool> stop = false;
  TrainingShare share("", stop);
  const TrainingHooks hooks{.stop = stop,
                            .share = share,
                            .unix_ms = [] { return int64_t{0}; },
                            .on_epoch = [](int, int, const std::vector<v1::MetricPoint>&) {},
                            .on_checkpoint = [](const Checkpoint&) {},
                            .checkpoint_every_s = 0,
                            .check_time = [] {}};
  const TrainedNetwork trained =
      Train({spec, *material.dataset, material.windows, &material.teacher}, hooks);
  const double steps = static_cast<double>(material.windows.train.size()) / kBatch;
  return trained.train_s / steps / spec.train().epochs();
}

double SecondsInPyTorch(const std::string& base_blocks, int64_t steps, int threads) {
  std::string sizes = base_blocks;
  std::replace(sizes.begin(), sizes.end(), '/', ' ');
  const std::string command = "/usr/bin/python3 " RETORT_SOURCE_DIR
                              "/tests/bench/training/pytorch_training.py step " +
                              sizes + " " + std::to_string(steps) + " " + std::to_string(threads);
  FILE* pipe = popen(command.c_str(), "r");
  double seconds = 0;
  const int read = pipe == nullptr ? 0 : std::fscanf(pipe, "%lf", &seconds);
  if (pipe == nullptr || pclose(pipe) != 0 || read != 1) {
    throw std::runtime_error(command + " failed; is PyTorch for Python installed?");
  }
  return seconds;
}

// One line of JSON: `ratio` is the median over the rounds, each of which ran both sides one after
// the other, so that a noisy machine does not favour one.
void Print(const std::string& row, const std::vector<double>& ours,
           const std::vector<double>& theirs, const char* meaning) {
  std::vector<double> ratios;
  for (size_t i = 0; i < ours.size(); ++i) ratios.push_back(theirs[i] / ours[i]);
  std::sort(ratios.begin(), ratios.end());
  std::printf(
      "{\"row\": \"%s\", \"ratio\": %.3f, \"least\": %.3f, \"most\": %.3f, \"ms\": %.2f, "
      "\"beside_ms\": %.2f, \"rounds\": %zu, \"ratio_is\": \"%s\"}\n",
      row.c_str(), Median(ratios), ratios.front(), ratios.back(), 1e3 * Median(ours),
      1e3 * Median(theirs), ours.size(), meaning);
  std::fflush(stdout);
}

void MeasureSteps(const Options& options) {
  for (const auto& [base, blocks, steps] :
       {std::tuple{4, 4, 120}, {8, 4, 100}, {16, 4, 60}, {16, 8, 40}, {32, 8, 24}, {64, 8, 12}}) {
    const auto count = static_cast<int64_t>(std::max(2.0, steps * options.share));
    const Material material(count * kBatch);
    const auto spec = SpecOf(ResNet(base, blocks), Scratch(), 1);
    const std::string name = std::to_string(base) + "/" + std::to_string(blocks);
    const std::string row = "step resnet1d-" + name;
    if (row.find(options.only) == std::string::npos) continue;
    std::vector<double> ours, theirs;
    for (int round = 0; round < options.rounds; ++round) {
      ours.push_back(SecondsOfAStep(spec, material));
      theirs.push_back(SecondsInPyTorch(name, count, options.threads));
    }
    Print(row, ours, theirs, "PyTorch script / ours");
  }
}

void MeasureEpochs(const Options& options) {
  for (const auto& [base, blocks, steps] :
       {std::tuple{4, 4, 100}, {8, 4, 100}, {16, 4, 60}, {16, 8, 40}}) {
    const Material material(static_cast<int64_t>(std::max(2.0, steps * options.share)) * kBatch);
    const auto scratch = SpecOf(ResNet(base, blocks), Scratch(), 1);
    for (const auto& method : {Hard(), Soft(2), Dkd(2), Feature(v1::FEATURE_NORM_CHANNEL_STD)}) {
      const auto spec = SpecOf(ResNet(base, blocks), method, 1);
      const std::string row = "epoch resnet1d-" + std::to_string(base) + "/" +
                              std::to_string(blocks) + " " + MethodLabel(method);
      if (row.find(options.only) == std::string::npos) continue;
      std::vector<double> alone, distilled;
      for (int round = 0; round < options.rounds; ++round) {
        alone.push_back(SecondsOfAStep(scratch, material));
        distilled.push_back(SecondsOfAStep(spec, material));
      }
      Print(row, alone, distilled, "distillation / scratch");
    }
  }
}

int Usage() {
  std::fprintf(stderr,
               "usage: retort_training_bench step|epoch [--threads N] [--rounds N] [--share S] "
               "[--only PART_OF_A_ROWS_NAME]\n");
  return 2;
}

int Main(int argc, char** argv) {
  if (argc < 2) return Usage();
  const std::string command = argv[1];
  Options options;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string flag = argv[i];
    if (flag == "--threads") {
      options.threads = std::atoi(argv[i + 1]);
    } else if (flag == "--rounds") {
      options.rounds = std::atoi(argv[i + 1]);
    } else if (flag == "--share") {
      options.share = std::atof(argv[i + 1]);
    } else if (flag == "--only") {
      options.only = argv[i + 1];
    } else {
      return Usage();
    }
  }
  if (options.threads < 1 || options.rounds < 1 || !(options.share > 0)) return Usage();
  SetThreads(options.threads);
  if (command == "step") {
    MeasureSteps(options);
  } else if (command == "epoch") {
    MeasureEpochs(options);
  } else {
    return Usage();
  }
  return 0;
}

}  // namespace
}  // namespace retort::distill

int main(int argc, char** argv) {
  try {
    return retort::distill::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "retort_training_bench: %s\n", error.what());
    return 1;
  }
}
