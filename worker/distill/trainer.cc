#include "worker/distill/trainer.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "common/spec/heart_rate.h"
#include "worker/distill/evaluate.h"
#include "worker/distill/failure.h"
#include "worker/distill/losses.h"
#include "worker/distill/optimization.h"
#include "worker/distill/weights.h"

namespace retort::distill {
namespace {

using torch::Tensor;

// What a loss needs besides the student's outputs, for every item of training. Only training
// windows are in it.
class Targets {
 public:
  explicit Targets(const TrainingInputs& in) : channels_(in.dataset.channels()) {
    std::vector<int64_t> rows, classes;
    std::vector<float> bpm;
    for (int64_t window : in.windows.train) {
      bpm.push_back(in.dataset.info.bpm_W[window]);
      classes.push_back(ClassOfBpm(bpm.back()));
      for (int64_t c = 0; c < channels_; ++c) rows.push_back(window * channels_ + c);
    }
    rows_I_ = IndexTensor(rows);
    classes_W_ = IndexTensor(classes);
    if (const double sigma = TargetWidth(in.spec.method()); sigma > 0) {
      targets_WK_ = GaussianTargets(torch::tensor(bpm), sigma);
    }
    if (in.teacher == nullptr) return;
    teacher_logits_IK_ = in.teacher->logits_IK;
    if (in.spec.method().has_feature()) {
      teacher_features_IF_ =
          NormalizeFeatures(in.teacher->features_IF, in.spec.method().feature().norm());
    }
  }

  // Rows of the dataset that belong to items.
  Tensor Rows(const Tensor& items_B) const { return rows_I_.index_select(0, items_B); }

  // All but the student's part.
  LossInputs Select(const Tensor& items_B) const {
    const Tensor windows_B = items_B.div(channels_, "trunc");
    LossInputs out;
    out.classes_B = classes_W_.index_select(0, windows_B);
    if (targets_WK_.defined()) out.targets_BK = targets_WK_.index_select(0, windows_B);
    if (teacher_logits_IK_.defined()) {
      out.teacher_logits_BK = teacher_logits_IK_.index_select(0, items_B);
    }
    if (teacher_features_IF_.defined()) {
      out.teacher_features_BF = teacher_features_IF_.index_select(0, items_B);
    }
    return out;
  }

 private:
  int64_t channels_;
  Tensor rows_I_;
  Tensor classes_W_;
  Tensor targets_WK_;
  Tensor teacher_logits_IK_;
  Tensor teacher_features_IF_;
};

// The network that learns, and the projector that only training needs.
struct Student {
  std::shared_ptr<Network> network;
  std::shared_ptr<Linear> projector;  // null unless the method compares features

  std::vector<Tensor> Parameters() const {
    std::vector<Tensor> all = network->parameters();
    if (projector) {
      for (const auto& parameter : projector->parameters()) all.push_back(parameter);
    }
    return all;
  }
};

uint64_t SeedOf(const v1::TrainingSpec& spec, const char* purpose) {
  return StreamSeed(ArchitectureName(spec.model()), spec.seed(), spec.fold(), purpose);
}

Student MakeStudent(const TrainingInputs& in) {
  Student student;
  student.network =
      BuildNetwork(in.spec.model(), in.dataset.info.samples, SeedOf(in.spec, "weights"));
  student.network->SeedDropout(SeedOf(in.spec, "dropout"));
  if (in.spec.method().has_feature()) {
    Rng rng(SeedOf(in.spec, "projector"));
    student.projector =
        std::make_shared<Linear>(rng, student.network->features(), in.teacher->features_IF.size(1));
  }
  return student;
}

// Means of a loss and its parts over an epoch, kept as tensors so that a step waits for nothing.
class EpochMeans {
 public:
  void Add(const Loss& loss, int64_t items) {
    const auto parts = loss.Parts();
    if (sums_.empty()) {
      for (const auto& [name, value] : parts) sums_.emplace_back(name, torch::zeros_like(value));
    }
    for (size_t i = 0; i < parts.size(); ++i) sums_[i].second += parts[i].second.detach() * items;
    items_ += items;
  }
  std::vector<std::pair<std::string, double>> Values() const {
    std::vector<std::pair<std::string, double>> out;
    for (const auto& [name, sum] : sums_) {
      out.emplace_back(std::string("train.") + name,
                       sum.item<double>() / static_cast<double>(items_));
    }
    return out;
  }

 private:
  std::vector<std::pair<const char*, Tensor>> sums_;
  int64_t items_ = 0;
};

// The weights that count.
class Keeper {
 public:
  explicit Keeper(v1::Keep keep) : keep_(keep) {}

  void Offer(const Network& network, int epoch, const std::optional<double>& validation_mae) {
    if (keep_ == v1::KEEP_BEST) {
      if (!(*validation_mae < best_mae_) && epoch > 0) return;
      best_mae_ = *validation_mae;
      kept_.clear();
      for (const auto& [name, tensor] : NamedTensors(network)) kept_.push_back(tensor.clone());
    }
    epoch_ = epoch;
  }
  // Puts them into the network; returns their epoch.
  int Restore(Network& network) const {
    torch::NoGradGuard no_grad;
    const auto tensors = NamedTensors(network);
    for (size_t i = 0; i < kept_.size(); ++i) Tensor(tensors[i].second).copy_(kept_[i]);
    network.eval();
    return epoch_;
  }

 private:
  v1::Keep keep_;
  double best_mae_ = std::numeric_limits<double>::infinity();
  std::vector<Tensor> kept_;
  int epoch_ = 0;
};

// Points of one epoch.
class Points {
 public:
  Points(int epoch, int64_t unix_ms) : epoch_(epoch), unix_ms_(unix_ms) {}
  void Add(const std::string& series, double value) {
    auto& point = points_.emplace_back();
    point.set_series(series);
    point.set_step(epoch_);
    point.set_value(value);
    point.set_unix_ms(unix_ms_);
  }
  const std::vector<v1::MetricPoint>& all() const { return points_; }

 private:
  int epoch_;
  int64_t unix_ms_;
  std::vector<v1::MetricPoint> points_;
};

void LeaveIfStopped(const TrainingHooks& hooks) {
  if (hooks.stop) throw Failure(v1::FAILURE_CAUSE_PREEMPTED, "stopped between two steps");
}

// What happens between two steps: nothing, mostly.
void Pause(const TrainingHooks& hooks) {
  hooks.share.Yield();
  LeaveIfStopped(hooks);
}

void RefuseBadLoss(double loss, double last_loss, int64_t step, int epoch) {
  if (std::isfinite(loss)) return;
  throw Failure(v1::FAILURE_CAUSE_NUMERIC,
                "the loss is " + std::to_string(loss) + " at step " + std::to_string(step) +
                    " (epoch " + std::to_string(epoch) + "); the last finite loss was " +
                    std::to_string(last_loss) + "; a smaller train.peak_lr may help");
}

// MAE on the validation windows, which is added to the points with the cross-entropy; nothing
// without such windows.
std::optional<double> Validate(const TrainingInputs& in, const TrainingHooks& hooks,
                               Network& network, Points& points) {
  if (in.windows.validation.empty()) return std::nullopt;
  const auto estimates =
      EstimateWindows(network, in.dataset, in.windows.validation, [&] { Pause(hooks); });
  const auto metrics = Evaluate(estimates, in.dataset.info.subjects, 0).overall();
  points.Add("val.mae_bpm", metrics.mae_bpm());
  points.Add("val.ce", metrics.cross_entropy());
  return metrics.mae_bpm();
}

// The last step may spoil the weights after its loss was computed.
void RefuseBadWeights(const Network& network, double last_loss) {
  for (const auto& [name, tensor] : NamedTensors(network)) {
    if (tensor.isfinite().all().item<bool>()) continue;
    throw Failure(v1::FAILURE_CAUSE_NUMERIC,
                  "tensor '" + name + "' is not finite after the last step; the last loss was " +
                      std::to_string(last_loss));
  }
}

double SecondsSince(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

TrainedNetwork Train(const TrainingInputs& in, const TrainingHooks& hooks) {
  const v1::TrainSpec& train = in.spec.train();
  if (train.keep() == v1::KEEP_BEST && in.windows.validation.empty()) {
    throw Failure(v1::FAILURE_CAUSE_INVALID,
                  "spec.train.keep: best; needs validation subjects, and spec.split has none");
  }
  const auto train_windows = static_cast<int64_t>(in.windows.train.size());
  const int64_t items_per_epoch =
      train_windows * (train.channels() == v1::CHANNEL_DRAW_EACH ? in.dataset.channels() : 1);
  const auto borders = StepBorders(items_per_epoch, train.batch());
  const auto steps_per_epoch = static_cast<int64_t>(borders.size()) - 1;

  const Targets targets(in);
  const Student student = MakeStudent(in);
  Optimization optimization(train, student.Parameters(), train.epochs() * steps_per_epoch);
  Rng order_rng(SeedOf(in.spec, "order"));
  Keeper keeper(train.keep());
  TrainedNetwork out{.network = student.network};
  double last_loss = std::numeric_limits<double>::quiet_NaN();

  for (int epoch = 0; epoch < train.epochs(); ++epoch) {
    student.network->train();
    const Tensor items_I =
        IndexTensor(DrawEpoch(train_windows, in.dataset.channels(), train.channels(), order_rng));
    EpochMeans means;
    double epoch_s = 0;
    for (int64_t s = 0; s < steps_per_epoch; ++s) {
      Pause(hooks);
      const auto begin = std::chrono::steady_clock::now();
      const Tensor items_B = items_I.slice(0, borders[s], borders[s + 1]);
      const Tensor rows_B1L = in.dataset.rows_R1L.index_select(0, targets.Rows(items_B));
      optimization.ZeroGradients();
      const NetworkOutput output = student.network->Forward(rows_B1L);
      LossInputs inputs = targets.Select(items_B);
      inputs.logits_BK = output.logits_BK;
      if (student.projector) inputs.projected_BF = student.projector->Forward(output.features_BF);
      const Loss loss = ComputeLoss(in.spec.method(), inputs, epoch);
      const double value = loss.total.item<double>();
      RefuseBadLoss(value, last_loss, epoch * steps_per_epoch + s, epoch);
      last_loss = value;
      loss.total.backward();
      optimization.Step();
      means.Add(loss, items_B.size(0));
      epoch_s += SecondsSince(begin);
    }
    Points points(epoch, hooks.unix_ms());
    for (const auto& [series, mean] : means.Values()) points.Add(series, mean);
    points.Add("lr", optimization.learning_rate());
    points.Add("train.samples_per_s", static_cast<double>(items_per_epoch) / epoch_s);
    keeper.Offer(*student.network, epoch, Validate(in, hooks, *student.network, points));
    out.train_s += epoch_s;
    hooks.share.Release();
    hooks.on_epoch(epoch + 1, points.all());
    hooks.share.Acquire();
  }
  out.kept_epoch = keeper.Restore(*student.network);
  RefuseBadWeights(*student.network, last_loss);
  out.samples_per_s = static_cast<double>(items_per_epoch * train.epochs()) / out.train_s;
  return out;
}

}  // namespace retort::distill
