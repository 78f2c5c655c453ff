// The networks that are trained (science: Models).
#ifndef RETORT_WORKER_DISTILL_MODELS_H_
#define RETORT_WORKER_DISTILL_MODELS_H_

#include <torch/torch.h>

#include <memory>
#include <string>

#include "retort/v1/spec.pb.h"
#include "worker/distill/rng.h"

namespace retort::distill {

class Layers;

// What a network says about a batch of B windows.
struct NetworkOutput {
  torch::Tensor logits_BK;    // K = 180 classes
  torch::Tensor features_BF;  // of a stage; means over time
};

// An affine map, drawn as PyTorch's.
class Linear : public torch::nn::Module {
 public:
  Linear(Rng& rng, int64_t in, int64_t out);
  torch::Tensor Forward(const torch::Tensor& x_BF) { return torch::linear(x_BF, weight_, bias_); }

 private:
  torch::Tensor weight_;
  torch::Tensor bias_;
};

// A network for windows of one channel. Parameters and buffers have stable dotted names, which
// weights files use.
class Network : public torch::nn::Module {
 public:
  // windows_B1L: one channel, L samples as the network was built for. The features are those of the
  // stage of that index (StageIndex), kLastStage for the input of the last linear layer.
  static constexpr int kLastStage = -1;
  virtual NetworkOutput Forward(const torch::Tensor& windows_B1L, int stage = kLastStage) = 0;
  // Computes with these operations (layers.h), which must outlive it, rather than with those that
  // LayersFor chooses for each batch.
  void UseLayers(const Layers& layers) { layers_ = &layers; }
  // Restarts the dropout's random numbers. They are drawn on the CPU whatever the device.
  void SeedDropout(uint64_t seed) { dropout_rng_ = Rng(seed); }
  // Where they are; SeedDropout(state) goes on from there.
  uint64_t dropout_state() const { return dropout_rng_.state(); }

 protected:
  // x with a share `p` of its elements set to zero and the others scaled up, while training; else
  // x.
  torch::Tensor Dropout(const torch::Tensor& x, double p);
  const Layers& LayersOf(const torch::Tensor& windows_B1L) const;

 private:
  const Layers* layers_ = nullptr;
  Rng dropout_rng_{0};
};

// Builds the network of a spec with all fields filled in (FillModelDefaults) for windows of
// `samples` samples. Weights are drawn from `seed` with PyTorch's usual distributions
// (Kaiming-uniform, a = sqrt 5). Failure: INVALID.
std::shared_ptr<Network> BuildNetwork(const v1::ModelSpec& model, int samples, uint64_t seed);

// While it lives, convolutions use the kernels that are fastest for this architecture on a CPU. The
// choice depends on the architecture alone, so that a job's bits do not depend on what ran before
// it.
class KernelChoice {
 public:
  explicit KernelChoice(const v1::ModelSpec& model);
  ~KernelChoice();
  KernelChoice(const KernelChoice&) = delete;
  KernelChoice& operator=(const KernelChoice&) = delete;

 private:
  bool before_;
};

// Name of an architecture: its label without the dropout. Two specs with the same name have the
// same tensors.
std::string ArchitectureName(const v1::ModelSpec& model);

}  // namespace retort::distill

#endif  // RETORT_WORKER_DISTILL_MODELS_H_
