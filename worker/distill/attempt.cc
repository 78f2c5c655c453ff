#include "worker/distill/attempt.h"

#include <c10/util/Exception.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <list>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "common/spec/given_teacher.h"
#include "common/spec/labels.h"
#include "common/spec/model_spec.h"
#include "common/spec/safetensors.h"
#include "worker/distill/check_spec.h"
#include "worker/distill/checkpoint.h"
#include "worker/distill/device.h"
#include "worker/distill/evaluate.h"
#include "worker/distill/failure.h"
#include "worker/distill/files.h"
#include "worker/distill/given.h"
#include "worker/distill/latency.h"
#include "worker/distill/machine.h"
#include "worker/distill/out_of_memory.h"
#include "worker/distill/teacher.h"
#include "worker/distill/trainer.h"
#include "worker/distill/weights.h"

namespace retort::distill {
namespace {

using DatasetPtr = std::shared_ptr<const LoadedDataset>;
using OutputsPtr = std::shared_ptr<const TeacherOutputs>;

// What an attempt reads.
struct Inputs {
  DatasetPtr dataset;
  std::vector<DatasetPtr> evaluation_sets;  // as spec.evaluate
  FoldWindows windows;
};

// The values used last, by key.
template <typename T>
class Recent {
 public:
  explicit Recent(size_t limit) : limit_(limit) {}

  // The value of that key, made if it is not there.
  template <typename F>
  T Get(const std::string& key, F make) {
    for (auto it = items_.begin(); it != items_.end(); ++it) {
      if (it->first == key) {
        items_.splice(items_.begin(), items_, it);
        return it->second;
      }
    }
    T made = make();
    if (items_.size() >= limit_) items_.pop_back();
    items_.emplace_front(key, made);
    return made;
  }
  void Clear() { items_.clear(); }

 private:
  size_t limit_;
  std::list<std::pair<std::string, T>> items_;
};

void CheckSamples(const LoadedDataset& trained_on, const LoadedDataset& other) {
  if (trained_on.info.samples == other.info.samples) return;
  throw Failure(v1::FAILURE_CAUSE_INVALID,
                "spec.evaluate: dataset " + other.sha256 + " has windows of " +
                    std::to_string(other.info.samples) + " samples; those of the dataset trained " +
                    "on have " + std::to_string(trained_on.info.samples));
}

std::string Describe(const v1::TrainingSpec& spec, const FoldWindows& windows, int64_t params) {
  return ArchitectureName(spec.model()) + " " + MethodLabel(spec.method()) + ", seed " +
         std::to_string(spec.seed()) + ", fold " + std::to_string(spec.fold()) + ", " +
         std::to_string(params) + " parameters, windows: " + std::to_string(windows.train.size()) +
         " train, " + std::to_string(windows.validation.size()) + " validation, " +
         std::to_string(windows.test.size()) + " test";
}

std::string Describe(const v1::JobResult& result) {
  const auto& test = result.evaluations(0).overall();
  char text[160];
  std::snprintf(text, sizeof(text),
                "done in %.1f s of training: MAE %.2f BPM on the test windows (floors: mean %.2f, "
                "FFT %.2f), %.3f ms a window",
                result.train_s(), test.mae_bpm(), test.floor_mean_bpm(), test.floor_fft_bpm(),
                result.cost().latency_ms());
  return text;
}

// `epoch 3/20  train.loss 3.21  lr 0.01 ...`
std::string Describe(int done, int epochs, const std::vector<v1::MetricPoint>& points) {
  std::string out = "epoch " + std::to_string(done) + "/" + std::to_string(epochs);
  for (const auto& point : points) {
    char text[96];
    std::snprintf(text, sizeof(text), "  %s %.4g", point.series().c_str(), point.value());
    out += text;
  }
  return out;
}

// Sends an epoch's points, and logs some 20 of all epochs.
void Report(const AttemptHooks& hooks, int epochs, int done,
            const std::vector<v1::MetricPoint>& points) {
  v1::RunnerProgress progress;
  progress.mutable_points()->Add(points.begin(), points.end());
  progress.set_epochs_done(done);
  progress.set_epochs(epochs);
  if (done % std::max(1, epochs / 20) == 0 || done == epochs) {
    hooks.log(Describe(done, epochs, points));
  }
  hooks.on_progress(progress);
}

void LeaveIfStopped(const AttemptHooks& hooks) {
  if (hooks.stop) throw Failure(v1::FAILURE_CAUSE_PREEMPTED, "stopped as the agent asked");
}

// The time that an attempt may take, from now on.
class TimeLimit {
 public:
  explicit TimeLimit(double seconds) : seconds_(seconds) {}
  void Check() const {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin_;
    if (seconds_ <= 0 || spent.count() < seconds_) return;
    char text[96];
    std::snprintf(text, sizeof(text), "took longer than its wall limit of %g s", seconds_);
    throw Failure(v1::FAILURE_CAUSE_TIMEOUT, text);
  }

 private:
  const double seconds_;
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// Seconds between checkpoints. The coordinator keeps what it was sent for some hours, so that large
// networks do not send more than some 2 MiB a second, however often they are asked to: those of 50
// million parameters (weights and two moments of Adam) come every five minutes.
double CheckpointEvery(const v1::RunJob& job, int64_t params) {
  constexpr double kBytesPerParam = 12, kBytesPerSecond = 2 << 20, kSmall = 1;
  const double least = static_cast<double>(params) * kBytesPerParam / kBytesPerSecond;
  if (job.checkpoint_every_s() <= 0 || least < kSmall) return job.checkpoint_every_s();
  return std::max(job.checkpoint_every_s(), least);
}

// The checkpoint that an attempt goes on from, and those that it leaves.
class Checkpoints {
 public:
  Checkpoints(const v1::RunJob& job, std::string fingerprint, const AttemptHooks& hooks)
      : job_(job), fingerprint_(std::move(fingerprint)), hooks_(hooks) {
    if (!job.checkpoint_path().empty()) Read();
  }

  const Checkpoint* resume() const { return resume_ ? &*resume_ : nullptr; }
  const std::string& fingerprint() const { return fingerprint_; }
  // Whether other fingerprints than this one had a part in the training.
  bool mixed() const { return mixed_; }

  // A checkpoint that cannot be written costs time only if the attempt is lost, and is said.
  void Write(Checkpoint at) {
    at.job = job_.job();
    at.fingerprint = fingerprint_;
    at.mixed = mixed_;
    v1::RunnerCheckpoint written;
    written.set_path(job_.work_dir() + "/checkpoint-" + std::to_string(++count_) + ".safetensors");
    written.set_epochs_done(static_cast<int32_t>(at.epoch));
    written.set_steps_done(at.optimizer_steps);
    const auto done = WriteFileWhole(written.path(), SerializeCheckpoint(at));
    if (!done.ok()) return hooks_.log("no checkpoint: " + done.error());
    hooks_.on_checkpoint(written);
  }

 private:
  // What cannot be read is no reason to fail: the beginning is a checkpoint too, and points that
  // are sent again change nothing.
  void Read() {
    auto bytes = ReadWholeFile(job_.checkpoint_path());
    auto read = bytes.ok() ? ParseCheckpoint(*std::move(bytes), job_.checkpoint_path(), job_.job())
                           : Expected<Checkpoint>(Error{bytes.error()});
    if (!read.ok()) return hooks_.log("begins again, without its checkpoint: " + read.error());
    resume_ = *std::move(read);
    mixed_ = resume_->mixed || resume_->fingerprint != fingerprint_;
    hooks_.log(
        "goes on from epoch " + std::to_string(resume_->epoch) + ", step " +
        std::to_string(resume_->step) +
        (mixed_ ? "; trained in part under another numeric fingerprint: its result is mixed" : ""));
  }

  const v1::RunJob& job_;
  const std::string fingerprint_;
  const AttemptHooks& hooks_;
  std::optional<Checkpoint> resume_;
  bool mixed_ = false;
  int count_ = 0;
};

// The test windows of the dataset trained on, all windows of others, and the validation windows.
void EvaluateAll(const Inputs& inputs, Network& network, const std::function<void()>& pause,
                 v1::JobResult& result) {
  const double train_mean_bpm = MeanBpm(inputs.dataset->info, inputs.windows.train);
  const auto evaluate = [&](const LoadedDataset& set, const std::vector<int64_t>& windows) {
    return Evaluate(EstimateWindows(network, set, windows, pause), set.info.subjects,
                    train_mean_bpm);
  };
  for (const DatasetPtr& set : inputs.evaluation_sets) {
    const bool trained_on = set->sha256 == inputs.dataset->sha256;
    auto& evaluation = *result.add_evaluations();
    evaluation = evaluate(*set, trained_on ? inputs.windows.test : AllWindows(set->info));
    evaluation.set_dataset_sha256(set->sha256);
  }
  if (!inputs.windows.validation.empty()) {
    *result.mutable_validation() = evaluate(*inputs.dataset, inputs.windows.validation).overall();
  }
}

OutputsPtr Moved(const OutputsPtr& outputs, torch::Device device) {
  if (device.is_cpu()) return outputs;
  auto moved = std::make_shared<TeacherOutputs>();
  moved->logits_IK = outputs->logits_IK.to(device);
  if (outputs->features_IF.defined()) moved->features_IF = outputs->features_IF.to(device);
  return moved;
}

v1::Failure MakeFailure(v1::FailureCause cause, const std::string& message) {
  v1::Failure failure;
  failure.set_cause(cause);
  failure.set_message(message);
  return failure;
}

}  // namespace

// Datasets and outputs that the next attempt may need again, and the steps of an attempt.
class AttemptRunner::Memory {
 public:
  v1::RunnerFinished Run(const v1::RunJob& job, const AttemptHooks& hooks);
  void Clear() {
    datasets_.Clear();
    outputs_.Clear();
  }

 private:
  // Forgets what lies on another device.
  void UseDevice(torch::Device device);
  Inputs ReadInputs(const v1::RunJob& job);
  DatasetPtr DatasetOf(const v1::RunJob& job, const std::string& sha256);
  // Null if the method needs no teacher.
  OutputsPtr OutputsOf(const v1::RunJob& job, const Inputs& inputs,
                       const std::function<void()>& between_batches);

  torch::Device device_ = torch::kCPU;  // where the following are
  Recent<DatasetPtr> datasets_{4};
  Recent<OutputsPtr> outputs_{8};
};

void AttemptRunner::Memory::UseDevice(torch::Device device) {
  if (device != device_) Clear();
  device_ = device;
}

DatasetPtr AttemptRunner::Memory::DatasetOf(const v1::RunJob& job, const std::string& sha256) {
  return datasets_.Get(sha256, [&] {
    const auto path = job.dataset_paths().find(sha256);
    if (path == job.dataset_paths().end()) {
      throw Failure(v1::FAILURE_CAUSE_INVALID,
                    "dataset_paths: no file for dataset " + sha256 + ", which the spec names");
    }
    auto dataset = ValueOrFail(ReadDataset(path->second), v1::FAILURE_CAUSE_ARTIFACT);
    return LoadDataset(std::move(dataset), sha256, device_);
  });
}

Inputs AttemptRunner::Memory::ReadInputs(const v1::RunJob& job) {
  const v1::TrainingSpec& spec = job.spec();
  Inputs inputs;
  inputs.dataset = DatasetOf(job, spec.dataset().sha256());
  for (const auto& id : spec.evaluate()) {
    inputs.evaluation_sets.push_back(DatasetOf(job, id.sha256()));
    CheckSamples(*inputs.dataset, *inputs.evaluation_sets.back());
  }
  inputs.windows = SplitWindows(inputs.dataset->info, spec.split(), spec.fold());
  return inputs;
}

OutputsPtr AttemptRunner::Memory::OutputsOf(const v1::RunJob& job, const Inputs& inputs,
                                            const std::function<void()>& between_batches) {
  const auto& spec = job.spec();
  if (!NeedsTeacher(spec.method())) return nullptr;
  auto bytes = ValueOrFail(ReadWholeFile(job.teacher_weights_path()), v1::FAILURE_CAUSE_ARTIFACT);
  const std::string& what = job.teacher_weights_path();
  const auto& windows = inputs.windows.train;
  const bool is_outputs = spec.given_teacher().has_outputs_sha256();
  TeacherFile teacher;
  if (spec.has_given_teacher() && !is_outputs) {
    teacher = ReadGivenTeacher(spec.given_teacher(), std::move(bytes), what, *inputs.dataset,
                               job.allow_torchscript());
  } else {
    const std::string name = is_outputs ? HashOf(spec.given_teacher()) : spec.teacher_job();
    teacher = {.name = name,
               .model = spec.teacher_model(),
               .bytes = std::move(bytes),
               .what = what};
  }
  const auto compared = FeaturesOf(spec.method());
  if (compared) teacher.stage = compared->teacher_stage;
  const auto outputs = outputs_.Get(TeacherOutputsKey(teacher, *inputs.dataset, windows), [&] {
    const auto read =
        is_outputs ? ReadGivenOutputs(std::move(teacher.bytes), what, *inputs.dataset, windows)
                   : LoadTeacherOutputs(teacher, *inputs.dataset, windows, job.cache_dir(),
                                        between_batches);
    return Moved(read, device_);
  });
  if (compared && !outputs->features_IF.defined()) {
    throw Failure(v1::FAILURE_CAUSE_INVALID, "given_teacher: " + what +
                                                 ": gives no features, which the method " +
                                                 MethodName(spec.method()) + " learns from");
  }
  return outputs;
}

v1::RunnerFinished AttemptRunner::Memory::Run(const v1::RunJob& job, const AttemptHooks& hooks) {
  const v1::TrainingSpec& spec = job.spec();
  ValueOrFail(CheckSpec(spec), v1::FAILURE_CAUSE_INVALID);
  const torch::Device device = DeviceOf(job.device());
  const DeviceScope scope(device);
  UseDevice(device);
  const int threads = std::max(1, job.threads());
  SetThreads(threads);
  const KernelChoice kernels(spec.model());
  const Inputs inputs = ReadInputs(job);
  const int samples = inputs.dataset->info.samples;
  v1::RunnerFinished finished;
  v1::JobResult& result = *finished.mutable_result();
  *result.mutable_cost() = ValueOrFail(CostOf(spec.model(), samples), v1::FAILURE_CAUSE_INVALID);

  const TimeLimit limit(job.wall_limit_s());
  Checkpoints checkpoints(job, NumericFingerprint(threads, DeviceText(device)), hooks);
  TrainingShare share(hooks.lock_folder, hooks.stop);
  const auto pause = [&] {
    share.Yield();
    limit.Check();
    LeaveIfStopped(hooks);
  };
  const OutputsPtr teacher = OutputsOf(job, inputs, pause);
  hooks.log(Describe(spec, inputs.windows, result.cost().params()));
  hooks.on_started();
  const auto report = [&](int done, int epochs, const std::vector<v1::MetricPoint>& points) {
    result.set_metric_points(result.metric_points() + static_cast<int64_t>(points.size()));
    Report(hooks, epochs, done, points);
    if (done == epochs && epochs < spec.train().epochs()) {
      hooks.log("ends after epoch " + std::to_string(done) + ": no smaller validation error for " +
                std::to_string(spec.train().patience()) + " epochs");
    }
  };
  const TrainedNetwork trained =
      Train({spec, *inputs.dataset, inputs.windows, teacher.get(), checkpoints.resume()},
            {.stop = hooks.stop,
             .share = share,
             .unix_ms = hooks.unix_ms,
             .on_epoch = report,
             .on_checkpoint = [&](const Checkpoint& at) { checkpoints.Write(at); },
             .checkpoint_every_s = CheckpointEvery(job, result.cost().params()),
             .check_time = [&] { limit.Check(); },
             .log = hooks.log});
  const auto pause_trained = [&] {
    if (hooks.stop) checkpoints.Write(trained.end);
    pause();
  };
  EvaluateAll(inputs, *trained.network, pause_trained, result);
  share.Release();
  if (!device.is_cpu()) trained.network->to(torch::kCPU);
  FillLatency(*trained.network, spec.model(), samples, threads,
              {job.cache_dir(), hooks.lock_folder}, hooks.stop, *result.mutable_cost());
  LeaveIfStopped(hooks);

  result.set_epochs(trained.epochs);
  result.set_microbatch(static_cast<int32_t>(trained.microbatch));
  result.set_kept_epoch(trained.kept_epoch);
  result.set_train_s(trained.train_s);
  result.set_samples_per_s(trained.samples_per_s);
  result.set_numeric_fingerprint(checkpoints.fingerprint());
  result.set_mixed(checkpoints.mixed());
  finished.set_weights_path(job.work_dir() + "/weights.safetensors");
  ValueOrFail(WriteFileWhole(finished.weights_path(),
                             SerializeWeights(*trained.network, spec.model(), job.job(), samples)),
              v1::FAILURE_CAUSE_CRASHED);
  hooks.log(Describe(result));
  return finished;
}

AttemptRunner::AttemptRunner() : memory_(std::make_unique<Memory>()) {}
AttemptRunner::~AttemptRunner() = default;

std::variant<v1::RunnerFinished, v1::Failure> AttemptRunner::Run(const v1::RunJob& job,
                                                                 const AttemptHooks& hooks) {
  const auto out_of_memory = [&](const std::string& message) {
    memory_->Clear();
    return MakeFailure(v1::FAILURE_CAUSE_OUT_OF_MEMORY, message);
  };
  try {
    return memory_->Run(job, hooks);
  } catch (const Failure& failure) {
    return MakeFailure(failure.cause(), failure.what());
  } catch (const std::bad_alloc&) {
    return out_of_memory("the host's memory is not enough");
  } catch (const c10::Error& error) {
    const std::string message = error.what_without_backtrace();
    if (IsOutOfMemory(error)) return out_of_memory(message);
    return MakeFailure(v1::FAILURE_CAUSE_CRASHED, "LibTorch: " + message);
  } catch (const std::exception& error) {
    if (IsOutOfMemory(error)) return out_of_memory(error.what());
    return MakeFailure(v1::FAILURE_CAUSE_CRASHED, error.what());
  }
}

}  // namespace retort::distill
