#include "worker/distill/trainer.h"

#include <chrono>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "common/spec/labels.h"
#include "common/spec/stages.h"
#include "worker/distill/autocast.h"
#include "worker/distill/device.h"
#include "worker/distill/evaluate.h"
#include "worker/distill/failure.h"
#include "worker/distill/layers.h"
#include "worker/distill/loss_watch.h"
#include "worker/distill/methods.h"
#include "worker/distill/microbatch.h"
#include "worker/distill/optimization.h"
#include "worker/distill/out_of_memory.h"
#include "worker/distill/targets.h"
#include "worker/distill/weights.h"

namespace retort::distill {
namespace {

using torch::Tensor;

// The network that learns, and the projector that only training needs.
struct Student {
  std::shared_ptr<Network> network;
  std::shared_ptr<Linear> projector;  // null unless the method compares features
  int stage = Network::kLastStage;    // whose features are compared

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
  if (const auto compared = FeaturesOf(in.spec.method())) {
    Rng rng(SeedOf(in.spec, "projector"));
    student.stage = ValueOrFail(StageIndex(in.spec.model(), compared->student_stage),
                                v1::FAILURE_CAUSE_INVALID);
    student.projector = std::make_shared<Linear>(
        rng, StagesOf(in.spec.model())[student.stage].channels, in.teacher->features_IF.size(1));
  }
  if (in.as_on_gpu) student.network->UseLayers(TorchLayers());
  if (const torch::Device device = in.dataset.device(); !device.is_cpu()) {
    student.network->to(device);
    if (student.projector) student.projector->to(device);
  }
  return student;
}

// What a step changes before the optimiser changes the weights.
struct ForwardState {
  NamedTensorList buffers;  // of the batch norms
  uint64_t dropout = 0;
};

ForwardState Remember(const Network& network) {
  ForwardState state{{}, network.dropout_state()};
  for (const auto& item : network.named_buffers()) {
    state.buffers.emplace_back(item.key(), item.value().clone());
  }
  return state;
}

void GoBack(Network& network, const ForwardState& state) {
  NamedTensorList buffers;
  for (const auto& item : network.named_buffers()) buffers.emplace_back(item.key(), item.value());
  ValueOrFail(CopyInto(state.buffers, buffers), v1::FAILURE_CAUSE_CRASHED);
  network.SeedDropout(state.dropout);
}

// Means of a loss and its parts, kept as one tensor so that a step waits for nothing and does
// little.
class Means {
 public:
  void Add(const Loss& loss, int64_t items) {
    torch::NoGradGuard no_grad;
    std::map<std::string, Tensor> parts;
    for (const auto& [name, value] : loss.Parts()) parts.emplace(name, value);
    AddSums(parts, items);
  }
  void Add(const Means& others) {
    if (sums_P_.defined()) {
      sums_P_ += others.sums_P_;
    } else {
      names_ = others.names_;
      sums_P_ = others.sums_P_;
    }
    items_ += others.items_;
  }
  // The sums so far, and of how many items.
  NamedTensorList Sums() const {
    NamedTensorList out;
    for (size_t i = 0; i < names_.size(); ++i) {
      out.emplace_back(names_[i], sums_P_[static_cast<int64_t>(i)].clone());
    }
    return out;
  }
  int64_t items() const { return items_; }
  void Resume(const NamedTensorList& sums, int64_t items, torch::Device device) {
    if (sums.empty()) return;
    AddSums({sums.begin(), sums.end()}, 1);
    sums_P_ = sums_P_.to(device);
    items_ = items;
  }
  std::vector<std::pair<std::string, double>> Values() const {
    const Tensor sums_P = sums_P_.to(torch::kCPU, torch::kDouble);
    std::vector<std::pair<std::string, double>> out;
    for (size_t i = 0; i < names_.size(); ++i) {
      out.emplace_back("train." + names_[i],
                       sums_P.data_ptr<double>()[i] / static_cast<double>(items_));
    }
    return out;
  }

 private:
  void AddSums(const std::map<std::string, Tensor>& parts, int64_t items) {
    std::vector<Tensor> values;
    for (const auto& [name, value] : parts) values.push_back(value);
    const Tensor more_P = torch::stack(values).mul_(items);
    items_ += items;
    if (sums_P_.defined()) {
      sums_P_ += more_P;
      return;
    }
    for (const auto& [name, value] : parts) names_.push_back(name);
    sums_P_ = more_P;
  }

  std::vector<std::string> names_;  // of the parts, in order
  Tensor sums_P_;                   // undefined while there is nothing
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
      for (const auto& [name, tensor] : NamedTensors(network)) {
        kept_.emplace_back(name, tensor.clone());
      }
    }
    epoch_ = epoch;
  }
  // Puts them into the network; returns their epoch.
  int Restore(Network& network) const {
    if (!kept_.empty()) {
      ValueOrFail(CopyInto(kept_, NamedTensors(network)), v1::FAILURE_CAUSE_ARTIFACT);
    }
    network.eval();
    return epoch_;
  }
  int epoch() const { return epoch_; }
  void SaveTo(Checkpoint& checkpoint) const {
    checkpoint.kept_epoch = epoch_;
    checkpoint.best_mae = best_mae_;
    checkpoint.kept = kept_;
  }
  void Resume(const Checkpoint& checkpoint) {
    epoch_ = static_cast<int>(checkpoint.kept_epoch);
    best_mae_ = checkpoint.best_mae;
    kept_ = checkpoint.kept;
  }

 private:
  v1::Keep keep_;
  double best_mae_ = std::numeric_limits<double>::infinity();
  NamedTensorList kept_;
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

// MAE on the validation windows, which is added to the points with the cross-entropy; nothing
// without such windows.
std::optional<double> Validate(const TrainingInputs& in, Network& network,
                               const std::function<void()>& pause, Points& points) {
  if (in.windows.validation.empty()) return std::nullopt;
  const auto estimates = EstimateWindows(network, in.dataset, in.windows.validation, pause);
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

int64_t ItemsPerEpoch(const TrainingInputs& in) {
  const bool each = in.spec.train().channels() == v1::CHANNEL_DRAW_EACH;
  return static_cast<int64_t>(in.windows.train.size()) * (each ? in.dataset.channels() : 1);
}

// One run of training. Everything that Checkpoint has is a member.
class Training {
 public:
  Training(const TrainingInputs& in, const TrainingHooks& hooks)
      : in_(in),
        hooks_(hooks),
        train_(in.spec.train()),
        items_per_epoch_(ItemsPerEpoch(in)),
        borders_(StepBorders(items_per_epoch_, train_.batch())),
        targets_(in.spec.method(), in.dataset, in.windows, in.teacher),
        student_(MakeStudent(in)),
        optimization_(train_, student_.Parameters(), train_.epochs() * steps_per_epoch()),
        order_rng_(SeedOf(in.spec, "order")),
        microbatch_(train_),
        losses_(in.as_on_gpu || !in.dataset.device().is_cpu()),
        keeper_(train_.keep()),
        checkpointed_(std::chrono::steady_clock::now()) {
    if (in.resume != nullptr) Resume(*in.resume);
  }

  TrainedNetwork Run() {
    for (; epoch_ < train_.epochs() && !OutOfPatience(epoch_); ++epoch_) RunEpoch();
    TrainedNetwork out;
    out.network = student_.network;
    out.end = Save();
    out.epochs = epoch_;
    out.kept_epoch = keeper_.Restore(*student_.network);
    out.microbatch = microbatch_.recorded();
    RefuseBadWeights(*student_.network, losses_.last());
    out.train_s = train_s_;
    out.samples_per_s = static_cast<double>(items_per_epoch_ * epoch_) / train_s_;
    return out;
  }

 private:
  int64_t steps_per_epoch() const { return static_cast<int64_t>(borders_.size()) - 1; }

  // Whether that many epochs are enough: the best of them is too long ago.
  bool OutOfPatience(int epochs) const {
    return train_.patience() > 0 && epochs - 1 - keeper_.epoch() >= train_.patience();
  }

  void RunEpoch() {
    student_.network->train();
    order_before_ = order_rng_;
    const Tensor items_I =
        OnDevice(IndexTensor(DrawEpoch(static_cast<int64_t>(in_.windows.train.size()),
                                       in_.dataset.channels(), train_.channels(), order_rng_)),
                 in_.dataset.device());
    for (; step_ < steps_per_epoch(); ++step_) {
      BetweenSteps();
      const auto begin = std::chrono::steady_clock::now();
      RunStep(items_I.slice(0, borders_[step_], borders_[step_ + 1]));
      epoch_s_ += SecondsSince(begin);
    }
    const auto begin = std::chrono::steady_clock::now();
    losses_.Look();
    epoch_s_ += SecondsSince(begin);
    EndEpoch();
  }

  void RunStep(const Tensor& items_B) {
    Means losses;
    while (!AddGradients(items_B, losses)) losses = Means();
    optimization_.Step();
    means_.Add(losses);
  }

  // The gradient of the mean loss over the items, and that loss. False, with nothing changed but
  // the micro-batch, if memory is not enough and smaller pieces may be tried.
  bool AddGradients(const Tensor& items_B, Means& losses) {
    if (!microbatch_.may_halve()) {
      AddGradientsOfPieces(items_B, losses);
      return true;
    }
    const ForwardState before = Remember(*student_.network);
    try {
      AddGradientsOfPieces(items_B, losses);
      return true;
    } catch (const std::exception& error) {
      if (!IsOutOfMemory(error) || !microbatch_.Halve(items_B.size(0))) throw;
    }
    GoBack(*student_.network, before);
    hooks_.log("memory is not enough at step " + std::to_string(step_) + " of epoch " +
               std::to_string(epoch_) + ": goes on with micro-batches of " +
               std::to_string(microbatch_.recorded()) + " windows");
    return false;
  }

  void AddGradientsOfPieces(const Tensor& items_B, Means& losses) {
    optimization_.ZeroGradients();
    const std::vector<int64_t> borders = microbatch_.Borders(items_B.size(0));
    const size_t pieces = borders.size() - 1;
    losses_.BeginStep(epoch_ * steps_per_epoch() + step_, epoch_);
    for (size_t i = 0; i < pieces; ++i) {
      const Tensor piece_B = items_B.slice(0, borders[i], borders[i + 1]);
      const Loss loss = LossOf(piece_B);
      const double share =
          static_cast<double>(piece_B.size(0)) / static_cast<double>(items_B.size(0));
      losses_.Add(loss.total, share);
      (pieces == 1 ? loss.total : loss.total * share).backward();
      losses.Add(loss, piece_B.size(0));
    }
    losses_.EndStep();
  }

  // Of the mean over the items.
  Loss LossOf(const Tensor& items_B) {
    const Tensor rows_B1L = in_.dataset.rows_R1L.index_select(0, targets_.Rows(items_B));
    const NetworkOutput output = Forward(rows_B1L);
    LossInputs inputs = targets_.Select(items_B);
    inputs.logits_BK = output.logits_BK;
    if (student_.projector) inputs.projected_BF = student_.projector->Forward(output.features_BF);
    return ComputeLoss(in_.spec.method(), inputs, epoch_);
  }

  // In the spec's precision; what comes out is in 32 bits.
  NetworkOutput Forward(const Tensor& rows_B1L) {
    const Autocast autocast(train_.precision(), rows_B1L.device().type());
    const NetworkOutput output = student_.network->Forward(rows_B1L, student_.stage);
    return {output.logits_BK.to(torch::kFloat), output.features_BF.to(torch::kFloat)};
  }

  // The weights that count are chosen before the epoch's points are told: whoever has heard of an
  // epoch can go on behind it.
  void EndEpoch() {
    Points points(epoch_, hooks_.unix_ms());
    for (const auto& [series, mean] : means_.Values()) points.Add(series, mean);
    points.Add("lr", optimization_.learning_rate());
    points.Add("train.samples_per_s", static_cast<double>(items_per_epoch_) / epoch_s_);
    const auto pause = [this] {
      hooks_.share.Yield();
      LeaveIfStopped();
    };
    keeper_.Offer(*student_.network, epoch_, Validate(in_, *student_.network, pause, points));
    train_s_ += epoch_s_;
    epoch_s_ = 0;
    step_ = 0;
    means_ = Means();
    hooks_.share.Release();
    const int done = epoch_ + 1;
    hooks_.on_epoch(done, OutOfPatience(done) ? done : train_.epochs(), points.all());
    hooks_.share.Acquire();
  }

  // Nothing, mostly.
  void BetweenSteps() {
    hooks_.share.Yield();
    if (hooks_.checkpoint_every_s > 0 && SecondsSince(checkpointed_) >= hooks_.checkpoint_every_s) {
      hooks_.on_checkpoint(Save());
      checkpointed_ = std::chrono::steady_clock::now();
    }
    LeaveIfStopped();
  }

  // Also between two batches of validation: that changes nothing, and is done again.
  void LeaveIfStopped() {
    hooks_.check_time();
    if (!hooks_.stop) return;
    hooks_.on_checkpoint(Save());
    throw Failure(v1::FAILURE_CAUSE_PREEMPTED, "stopped between two steps");
  }

  // Nothing is saved that comes behind a loss that is not finite.
  Checkpoint Save() {
    losses_.Look();
    Checkpoint out;
    out.epoch = epoch_;
    out.step = step_;
    out.order_rng = order_before_.state();
    out.dropout_rng = student_.network->dropout_state();
    out.last_loss = losses_.last();
    out.train_s = train_s_;
    out.epoch_s = epoch_s_;
    out.sums = means_.Sums();
    out.sum_items = means_.items();
    out.microbatch = microbatch_.recorded();
    keeper_.SaveTo(out);
    out.optimizer_steps = optimization_.steps_done();
    out.learning_rate = optimization_.learning_rate();
    out.network = NamedTensors(*student_.network);
    if (student_.projector) out.projector = NamedTensors(*student_.projector);
    out.optimizer = optimization_.Memory();
    return out;
  }

  void Resume(const Checkpoint& from) {
    const auto fill = [](const NamedTensorList& list, const NamedTensorList& into) {
      ValueOrFail(CopyInto(list, into), v1::FAILURE_CAUSE_ARTIFACT);
    };
    fill(from.network, NamedTensors(*student_.network));
    if (student_.projector) fill(from.projector, NamedTensors(*student_.projector));
    fill(from.optimizer, optimization_.Memory());
    optimization_.Resume(from.optimizer_steps, from.learning_rate);
    epoch_ = static_cast<int>(from.epoch);
    step_ = from.step;
    order_rng_ = Rng(from.order_rng);
    student_.network->SeedDropout(from.dropout_rng);
    losses_.Resume(from.last_loss);
    train_s_ = from.train_s;
    epoch_s_ = from.epoch_s;
    means_.Resume(from.sums, from.sum_items, in_.dataset.device());
    microbatch_.Resume(from.microbatch);
    keeper_.Resume(from);
  }

  const TrainingInputs& in_;
  const TrainingHooks& hooks_;
  const v1::TrainSpec& train_;
  const int64_t items_per_epoch_;
  const std::vector<int64_t> borders_;
  const Targets targets_;
  const Student student_;
  Optimization optimization_;
  Rng order_rng_;
  Rng order_before_{0};  // before the draw of the epoch under way
  Microbatch microbatch_;
  LossWatch losses_;
  Keeper keeper_;
  Means means_;
  int epoch_ = 0;
  int64_t step_ = 0;
  double train_s_ = 0;
  double epoch_s_ = 0;
  std::chrono::steady_clock::time_point checkpointed_;
};

}  // namespace

TrainedNetwork Train(const TrainingInputs& in, const TrainingHooks& hooks) {
  if (in.spec.train().keep() == v1::KEEP_BEST && in.windows.validation.empty()) {
    throw Failure(v1::FAILURE_CAUSE_INVALID,
                  "spec.train.keep: best; needs validation subjects, and spec.split has none");
  }
  return Training(in, hooks).Run();
}

}  // namespace retort::distill
