// retort-fake-runner: speaks the runner protocol and trains nothing, in milliseconds, for tests of
// everything around training. Links no LibTorch.
//
// Its results are a function of the spec alone: the same spec gives the same metrics, the same
// result and the same bytes of weights on every machine. Errors fall with the size of the network
// (a power law with a floor), differ by method, and vary by a few percent with the spec's hash.
// Subjects are the fold's test subjects if the first dataset can be read as a prepared dataset,
// and `s1`..`s3` if not. The teacher's weights must be a safetensors file, or the attempt fails
// with ARTIFACT.
//
// Where the job says how often, it leaves checkpoints at the ends of epochs, and when it is
// stopped; an attempt goes on from the one that it is given.
//
// An epoch takes RETORT_FAKE_EPOCH_MS milliseconds (20 if unset). `seed` chooses the behaviour:
//   9001  dies by SIGSEGV in epoch 1, in every attempt
//   9002  hangs in epoch 1 and ignores `stop`; leaves when descriptor 3 closes
//   9003  fails with NUMERIC in epoch 1, after a point that is NaN
//   9004  dies by SIGSEGV in the first attempt only
//   9005  fails with OUT_OF_MEMORY
//   9006  fails with INVALID before it starts
//   9007  prints 200 lines to standard output and error while it trains
//   9008  leaves with exit status 3 in epoch 1
//   9009  sends a line that is no JSON
//   9010  hangs in epoch 1 and obeys `stop`
//   9011  names a weights file that does not exist
//   9012  is wedged in epoch 1: ignores everything, the end of its descriptors too
//   any other: succeeds
#include <google/protobuf/util/json_util.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "common/spec/dataset.h"
#include "common/spec/labels.h"
#include "common/spec/model_spec.h"
#include "common/spec/safetensors.h"
#include "common/spec/split.h"
#include "common/training_id.h"
#include "retort/v1/runner.pb.h"

namespace retort {
namespace {

constexpr int kCommandFd = 3;
constexpr int kEventFd = 4;
constexpr int kSamples = 200;  // of a window, where the dataset does not say

enum Behaviour : int64_t {
  kSegfault = 9001,
  kHangDeaf = 9002,
  kNotANumber = 9003,
  kSegfaultOnce = 9004,
  kOutOfMemory = 9005,
  kInvalid = 9006,
  kTalkative = 9007,
  kLeave = 9008,
  kNoJson = 9009,
  kHang = 9010,
  kNoWeights = 9011,
  kWedged = 9012,
};

void WriteLine(std::string line) {
  line += "\n";
  for (size_t at = 0; at < line.size();) {
    const ssize_t n = write(kEventFd, line.data() + at, line.size() - at);
    if (n <= 0) std::exit(1);
    at += static_cast<size_t>(n);
  }
}

void Emit(const v1::RunnerEvent& event) {
  std::string line;
  if (!google::protobuf::util::MessageToJsonString(event, &line).ok()) std::exit(1);
  WriteLine(line);
}

void EmitFailure(v1::FailureCause cause, const std::string& message) {
  v1::RunnerEvent event;
  event.mutable_failed()->set_cause(cause);
  event.mutable_failed()->set_message(message);
  Emit(event);
}

// Commands by line. Leaves the process when descriptor 3 closes.
class Commands {
 public:
  // The next command within the time, or nothing. A negative time waits for ever.
  std::optional<v1::RunnerCommand> Next(int wait_ms) {
    while (true) {
      const size_t end = buffer_.find('\n');
      if (end != std::string::npos) {
        v1::RunnerCommand command;
        const std::string line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        if (!google::protobuf::util::JsonStringToMessage(line, &command).ok()) std::exit(2);
        return command;
      }
      pollfd fd{kCommandFd, POLLIN, 0};
      if (poll(&fd, 1, wait_ms) == 0) return std::nullopt;
      char bytes[4096];
      const ssize_t n = read(kCommandFd, bytes, sizeof bytes);
      if (n <= 0) std::exit(0);
      buffer_.append(bytes, static_cast<size_t>(n));
    }
  }

 private:
  std::string buffer_;
};

// Numbers in [0, 1) that the spec's hash decides; `which` tells them apart.
double Draw(const v1::TrainingSpec& spec, uint64_t which) {
  const auto bytes = TrainingId(spec).bytes();
  uint64_t x = which * 0x9e3779b97f4a7c15u;
  for (int i = 0; i < 8; ++i) x = (x ^ bytes[i]) * 1099511628211u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return static_cast<double>((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

v1::ModelCost Cost(const v1::TrainingSpec& spec) {
  const auto cost = CostOf(spec.model(), kSamples);
  v1::ModelCost out = cost.ok() ? *cost : v1::ModelCost();
  out.set_latency_ms(0.05 + 1e-7 * static_cast<double>(out.macs()));
  out.set_latency_p95_ms(1.2 * out.latency_ms());
  out.set_latency_machine("fake");
  return out;
}

double MeanError(const v1::TrainingSpec& spec) {
  const double params = std::max(100.0, static_cast<double>(Cost(spec).params()));
  double factor = 1;
  switch (spec.method().kind_case()) {
    case v1::MethodSpec::kScratch:
      factor = spec.method().scratch().sigma() > 0 ? 0.95 : 1;
      break;
    case v1::MethodSpec::kHard:
      factor = 0.97;
      break;
    case v1::MethodSpec::kSoft:
      factor = 0.90;
      break;
    case v1::MethodSpec::kDkd:
      factor = 0.88;
      break;
    case v1::MethodSpec::kFeature:
      factor = 0.93;
      break;
    default:
      break;
  }
  return (3 + 60 * std::pow(params, -0.3)) * factor * (0.97 + 0.06 * Draw(spec, 1));
}

v1::HeartRateMetrics Metrics(const v1::TrainingSpec& spec, double mae, int64_t windows) {
  v1::HeartRateMetrics m;
  m.set_windows(windows);
  m.set_mae_bpm(mae);
  m.set_mae_argmax_bpm(1.05 * mae);
  m.set_mae_expectation_bpm(1.02 * mae);
  m.set_mae_all_channels_bpm(0.9 * mae);
  m.set_rmse_bpm(1.4 * mae);
  m.set_bias_bpm(2 * (Draw(spec, 2) - 0.5));
  m.set_loa_low_bpm(m.bias_bpm() - 1.96 * 1.4 * mae);
  m.set_loa_high_bpm(m.bias_bpm() + 1.96 * 1.4 * mae);
  m.set_p90_bpm(2.2 * mae);
  m.set_within_5_bpm(1 - std::exp(-5 / mae));
  m.set_within_10_bpm(1 - std::exp(-10 / mae));
  m.set_pearson_r(std::max(0.0, 1 - mae / 30));
  m.set_cross_entropy(1 + 0.2 * mae);
  m.set_calibration_error(0.05);
  m.set_floor_mean_bpm(22);
  m.set_floor_fft_bpm(15);
  return m;
}

// Names of the test subjects.
std::vector<std::string> Subjects(const v1::RunJob& job, const std::string& sha256) {
  const auto path = job.dataset_paths().find(sha256);
  if (path != job.dataset_paths().end()) {
    const auto dataset = ReadDataset(path->second);
    if (dataset.ok()) {
      if (sha256 != job.spec().dataset().sha256()) return dataset->subjects;
      const auto fold = SplitSubjects(job.spec().split(), dataset->subjects, job.spec().fold());
      std::vector<std::string> names;
      if (fold.ok()) {
        for (const int i : fold->test) names.push_back(dataset->subjects[i]);
        return names;
      }
    }
  }
  return {"s1", "s2", "s3"};
}

v1::JobResult Result(const v1::RunJob& job, int64_t points) {
  const v1::TrainingSpec& spec = job.spec();
  v1::JobResult result;
  for (int e = 0; e < spec.evaluate_size(); ++e) {
    v1::Evaluation* evaluation = result.add_evaluations();
    evaluation->set_dataset_sha256(spec.evaluate(e).sha256());
    double sum = 0;
    double worst = 0;
    uint64_t which = 100 * (e + 1);
    for (const std::string& name : Subjects(job, spec.evaluate(e).sha256())) {
      const double mae = MeanError(spec) * (1 + 0.2 * e) * (0.8 + 0.4 * Draw(spec, ++which));
      v1::SubjectMetrics* subject = evaluation->add_subjects();
      subject->set_subject(name);
      *subject->mutable_metrics() = Metrics(spec, mae, 100);
      sum += mae;
      worst = std::max(worst, mae);
    }
    const int subjects = std::max(1, evaluation->subjects_size());
    *evaluation->mutable_overall() = Metrics(spec, sum / subjects, 100 * subjects);
    evaluation->set_worst_subject_mae_bpm(worst);
  }
  if (spec.split().validation() > 0) {
    *result.mutable_validation() = Metrics(spec, 1.05 * MeanError(spec), 100);
  }
  *result.mutable_cost() = Cost(spec);
  result.set_epochs(spec.train().epochs());
  result.set_kept_epoch(spec.train().epochs() - 1);
  result.set_train_s(0.001 * spec.train().epochs());
  result.set_samples_per_s(1000);
  result.set_metric_points(points);
  result.set_numeric_fingerprint("fake");
  return result;
}

// The path; empty if they cannot be written.
std::string WriteWeights(const v1::RunJob& job) {
  std::vector<float> numbers(64);
  for (size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = static_cast<float>(Draw(job.spec(), 1000 + i) - 0.5);
  }
  const std::string label = ModelLabel(job.spec().model(), kStudentDropout);
  const std::string path = job.work_dir() + "/weights.safetensors";
  std::ofstream out(path, std::ios::binary);
  out << SerializeSafetensors(
      {{"format", "retort.fake_weights.v1"}, {"model", label}},
      {{"w", DType::kF32, {static_cast<int64_t>(numbers.size())}, BytesOfVector(numbers)}});
  out.close();
  return out ? path : "";
}

int EpochMs() {
  const char* text = std::getenv("RETORT_FAKE_EPOCH_MS");
  return text == nullptr ? 20 : std::atoi(text);
}

// The points of an epoch; returns how many.
int EmitEpoch(const v1::TrainingSpec& spec, int epoch, int epochs) {
  v1::RunnerEvent event;
  v1::RunnerProgress* progress = event.mutable_progress();
  progress->set_epochs_done(epoch + 1);
  progress->set_epochs(epochs);
  const double left = std::exp(-3.0 * (epoch + 1) / epochs);
  const auto add = [&](const char* series, double value) {
    v1::MetricPoint* point = progress->add_points();
    point->set_series(series);
    point->set_step(epoch);
    point->set_value(value);
    point->set_unix_ms(std::chrono::duration_cast<std::chrono::milliseconds>(
                           std::chrono::system_clock::now().time_since_epoch())
                           .count());
  };
  const bool nan = spec.seed() == kNotANumber && epoch == 1;
  add("train.loss", nan ? std::numeric_limits<double>::quiet_NaN() : 0.5 + 4.5 * left);
  add("val.mae_bpm", MeanError(spec) * (1 + 4 * left));
  Emit(event);
  return 2;
}

// What an attempt leaves for the next: how many epochs are done.
class Checkpoints {
 public:
  explicit Checkpoints(const v1::RunJob& job) : job_(job) {}

  // Epochs that were done before; none if the file is of no use.
  int Resume() const {
    if (job_.checkpoint_path().empty()) return 0;
    const auto file = Safetensors::ReadFile(job_.checkpoint_path());
    const bool good = file.ok() && file->metadata().contains("epochs_done");
    const int done = good ? std::atoi(file->metadata().at("epochs_done").c_str()) : 0;
    std::printf("fake runner: goes on from epoch %d\n", done);
    std::fflush(stdout);
    return done;
  }
  void WriteIfDue(int epochs_done) {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - last_;
    if (job_.checkpoint_every_s() > 0 && spent.count() >= job_.checkpoint_every_s()) {
      Write(epochs_done);
    }
  }
  void Write(int epochs_done) {
    last_ = std::chrono::steady_clock::now();
    v1::RunnerEvent event;
    v1::RunnerCheckpoint* written = event.mutable_checkpoint();
    written->set_path(job_.work_dir() + "/checkpoint-" + std::to_string(epochs_done));
    written->set_epochs_done(epochs_done);
    written->set_steps_done(epochs_done);
    std::ofstream out(written->path(), std::ios::binary);
    out << SerializeSafetensors({{"format", "retort.fake_checkpoint.v1"},
                                 {"job", job_.job()},
                                 {"epochs_done", std::to_string(epochs_done)}},
                                {});
    out.close();
    if (out) Emit(event);
  }

 private:
  const v1::RunJob& job_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

// Without the handlers that sanitizers put there: they would turn the signal into an exit status.
void DieBySegfault() {
  signal(SIGSEGV, SIG_DFL);
  raise(SIGSEGV);
}

// What happens in epoch 1 besides training. True if the attempt has ended.
bool Misbehave(const v1::RunJob& job, Commands& commands) {
  switch (job.spec().seed()) {
    case kSegfault:
      DieBySegfault();
      break;
    case kSegfaultOnce:
      if (job.attempt() == 1) DieBySegfault();
      break;
    case kLeave:
      std::exit(3);
    case kHangDeaf:
      while (true) commands.Next(-1);
    case kHang:
      while (!commands.Next(-1)->has_stop()) {
      }
      EmitFailure(v1::FAILURE_CAUSE_PREEMPTED, "stopped");
      return true;
    case kWedged:
      while (true) pause();
    case kNotANumber:
      EmitFailure(v1::FAILURE_CAUSE_NUMERIC, "the loss is not finite in epoch 1, step 0; it was 2");
      return true;
    case kOutOfMemory:
      EmitFailure(v1::FAILURE_CAUSE_OUT_OF_MEMORY, "a tensor of 1 TiB does not fit");
      return true;
    case kNoJson:
      WriteLine("this is not JSON");
      break;
    default:
      break;
  }
  return false;
}

void Train(const v1::RunJob& job, Commands& commands) {
  const v1::TrainingSpec& spec = job.spec();
  if (spec.seed() == kInvalid) {
    EmitFailure(v1::FAILURE_CAUSE_INVALID, "seed: 9006; the fake runner refuses it");
    return;
  }
  if (NeedsTeacher(spec.method())) {
    const auto teacher = Safetensors::ReadFile(job.teacher_weights_path());
    if (!teacher.ok()) {
      EmitFailure(v1::FAILURE_CAUSE_ARTIFACT, teacher.error());
      return;
    }
  }
  std::printf("fake runner: job %.12s attempt %d, model %s, method %s\n", job.job().c_str(),
              job.attempt(), ModelLabel(spec.model(), kStudentDropout).c_str(),
              MethodLabel(spec.method()).c_str());
  std::fflush(stdout);
  Checkpoints checkpoints(job);
  const int resumed = checkpoints.Resume();
  v1::RunnerEvent started;
  started.mutable_started();
  Emit(started);
  const int epochs = std::max(1, spec.train().epochs());
  int64_t points = 0;
  for (int epoch = resumed; epoch < epochs; ++epoch) {
    const auto command = commands.Next(EpochMs());
    if (command && command->has_stop()) {
      checkpoints.Write(epoch);
      EmitFailure(v1::FAILURE_CAUSE_PREEMPTED, "stopped");
      return;
    }
    if (spec.seed() == kTalkative) {
      for (int i = 0; i < 100; ++i) {
        std::printf("{\"failed\": {}} stray line %d of epoch %d\n", i, epoch);
        std::fprintf(stderr, "and on standard error\n");
      }
      std::fflush(stdout);
    }
    points += EmitEpoch(spec, epoch, epochs);
    if (epoch == std::min(1, epochs - 1) && Misbehave(job, commands)) return;
    checkpoints.WriteIfDue(epoch + 1);
  }
  v1::RunnerEvent event;
  *event.mutable_finished()->mutable_result() = Result(job, points);
  const std::string weights = WriteWeights(job);
  if (weights.empty()) {
    EmitFailure(v1::FAILURE_CAUSE_CRASHED, "the weights cannot be written");
    return;
  }
  event.mutable_finished()->set_weights_path(
      spec.seed() == kNoWeights ? job.work_dir() + "/none.safetensors" : weights);
  Emit(event);
}

int Main() {
  signal(SIGPIPE, SIG_DFL);
  Commands commands;
  v1::RunnerEvent ready;
  ready.mutable_ready()->set_version(RETORT_VERSION);
  ready.mutable_ready()->set_numeric_fingerprint("fake");
  Emit(ready);
  while (true) {
    const auto command = commands.Next(-1);
    if (command && command->has_run()) Train(command->run(), commands);
  }
}

}  // namespace
}  // namespace retort

int main() { return retort::Main(); }
