// A small dataset whose heart rate is the frequency of a sine, and specs to train on it.
#ifndef RETORT_TESTS_UNIT_DISTILL_SYNTHETIC_H_
#define RETORT_TESTS_UNIT_DISTILL_SYNTHETIC_H_

#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <numbers>
#include <set>
#include <string>
#include <system_error>

#include "common/spec/dataset.h"
#include "common/spec/trainer_version.h"
#include "retort/v1/spec.pb.h"

namespace retort::distill {

// `subjects` subjects with `windows` windows each, 2 channels of 200 samples at 25 Hz: a sine at
// the heart rate with another phase in each channel. Rates run from 60 to 120 BPM in an order that
// differs between subjects.
inline Dataset SineDataset(int subjects, int windows) {
  Dataset d;
  d.windows_count = subjects * windows;
  d.channels_count = 2;
  d.samples = 200;
  d.channels = {"a", "b"};
  d.recordings = {"r"};
  d.metadata = {{"rate_hz", "25"}, {"window_s", "8"}, {"stride_s", "2"}};
  for (int s = 0; s < subjects; ++s) {
    d.subjects.emplace_back("s").append(std::to_string(s));  // GCC 12 warns of "s" + in a release
    for (int w = 0; w < windows; ++w) {
      const double bpm = 60 + (w * 37 + s * 11) % 61;
      d.bpm_W.push_back(static_cast<float>(bpm));
      d.subject_W.push_back(s);
      d.recording_W.push_back(0);
      d.start_s_W.push_back(static_cast<float>(2 * w));
      for (int c = 0; c < 2; ++c) {
        d.fft_bpm_WC.push_back(static_cast<float>(bpm + 20));
        for (int i = 0; i < 200; ++i) {
          const double phase = 0.7 * w + 1.3 * c + s;
          d.windows_WCL.push_back(static_cast<float>(
              std::numbers::sqrt2 * std::sin(2 * std::numbers::pi * bpm / 60 * i / 25 + phase)));
        }
      }
    }
  }
  return d;
}

inline v1::ModelSpec ResNet(int base, int blocks) {
  v1::ModelSpec model;
  auto& net = *model.mutable_resnet1d();
  net.set_base(base);
  net.set_blocks(blocks);
  net.set_kernel(5);
  net.set_stride(2);
  net.set_downsample_every(2);
  net.set_widen_every(4);
  net.set_dropout(0);
  return model;
}

inline v1::ModelSpec Mlp(int width, int depth) {
  v1::ModelSpec model;
  model.mutable_mlp()->set_width(width);
  model.mutable_mlp()->set_depth(depth);
  model.mutable_mlp()->set_dropout(0);
  return model;
}

// A method with all its fields set.
inline v1::MethodSpec Scratch(double sigma = 0) {
  v1::MethodSpec method;
  method.mutable_scratch()->set_sigma(sigma);
  return method;
}
inline v1::MethodSpec Hard() {
  v1::MethodSpec method;
  method.mutable_hard()->set_lambda(0.5);
  method.mutable_hard()->set_sigma(0);
  return method;
}
inline v1::MethodSpec Soft(double temperature, double lambda = 0.9, double sigma = 0) {
  v1::MethodSpec method;
  method.mutable_soft()->set_lambda(lambda);
  method.mutable_soft()->set_temperature(temperature);
  method.mutable_soft()->set_sigma(sigma);
  return method;
}
inline v1::MethodSpec Dkd(double temperature, double lambda = 0.9, double alpha = 1,
                          double beta = 8) {
  v1::MethodSpec method;
  auto& dkd = *method.mutable_dkd();
  dkd.set_lambda(lambda);
  dkd.set_alpha(alpha);
  dkd.set_beta(beta);
  dkd.set_temperature(temperature);
  dkd.set_warmup_epochs(0);
  dkd.set_sigma(0);
  return method;
}
inline v1::MethodSpec Feature(v1::FeatureNorm norm, double gamma = 1) {
  v1::MethodSpec method;
  method.mutable_feature()->set_gamma(gamma);
  method.mutable_feature()->set_norm(norm);
  method.mutable_feature()->set_sigma(0);
  return method;
}

// A job on dataset "data": 3-fold, one validation subject.
inline v1::TrainingSpec Job(const v1::ModelSpec& model, const v1::MethodSpec& method, int epochs) {
  v1::TrainingSpec spec;
  spec.set_trainer_version(kTrainerVersion);
  spec.mutable_dataset()->set_sha256("data");
  spec.add_evaluate()->set_sha256("data");
  spec.mutable_split()->set_kfold(3);
  spec.mutable_split()->set_validation(1);
  spec.mutable_split()->set_seed(0);
  *spec.mutable_model() = model;
  *spec.mutable_method() = method;
  auto& train = *spec.mutable_train();
  train.set_epochs(epochs);
  train.set_batch(32);
  train.set_optimizer(v1::OPTIMIZER_ADAM);
  train.set_peak_lr(1e-2);
  train.set_schedule(v1::SCHEDULE_ONE_CYCLE);
  train.set_weight_decay(0);
  train.set_clip(1);
  train.set_keep(v1::KEEP_LAST);
  train.set_channels(v1::CHANNEL_DRAW_RANDOM);
  return spec;
}

// An empty folder for one test; removed when the process ends, though not when a fork of it does.
inline std::string EmptyFolder(const std::string& name) {
  struct Folders {
    const pid_t owner = ::getpid();
    std::set<std::filesystem::path> paths;
    ~Folders() {
      if (::getpid() != owner) return;
      std::error_code ignored;
      for (const auto& path : paths) std::filesystem::remove_all(path, ignored);
    }
  };
  static Folders folders;
  const auto path = std::filesystem::temp_directory_path() /
                    ("retort-" + name + "-" + std::to_string(::getpid()));
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  folders.paths.insert(path);
  return path.string();
}

}  // namespace retort::distill

#endif  // RETORT_TESTS_UNIT_DISTILL_SYNTHETIC_H_
