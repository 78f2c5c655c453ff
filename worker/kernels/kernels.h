// Arithmetic of the 1-D networks and of their losses on a CPU, on raw arrays.
//
// Activations are [channels, samples, batch]: the batch is innermost. A network with 4 channels has
// no 16 channels to fill a vector with, but every network has a batch of windows, to each of which
// the same is done; a time step of a channel is one contiguous row, so that a shift in time is
// another row and no copy is made for padding, kernels or strides. Logits are [rows, classes]: a
// loss is of one row, whose classes fill vectors. No torch here; worker/distill/batch_inner_layers
// and worker/distill/row_losses make differentiable operations of these.
//
// Functions work on a range of their outermost loop, so that the caller can share it out between
// threads; what they write depends on the range only in that it is written. No allocation, no
// errors, no threads of their own.
#ifndef RETORT_WORKER_KERNELS_KERNELS_H_
#define RETORT_WORKER_KERNELS_KERNELS_H_

#include <cstdint>
#include <vector>

namespace retort::kernels {

// A convolution or pooling that divides the length by the stride, rounded up, with zeros beyond
// both ends.
struct Geometry {
  int64_t in_channels = 0;
  int64_t out_channels = 0;
  int64_t in_samples = 0;
  int64_t out_samples = 0;
  int64_t kernel = 0;
  int64_t stride = 1;
  int64_t left = 0;  // zeros before the first sample
  int64_t batch = 0;
};

// One product of a convolution's sum: kernel position `k` meets input row `row`.
struct Tap {
  int32_t k = 0;
  int32_t row = 0;
};

// Which taps make up each output row; what is beyond the ends is left out.
struct Taps {
  std::vector<Tap> taps;
  std::vector<int32_t> begin;  // of each output row, and the end of the last

  // Of the convolution itself, and of the gradient of its input, whose output rows are the
  // convolution's input rows.
  static Taps Forward(const Geometry& g);
  static Taps InputGradient(const Geometry& g);
};

// Weights as Convolve reads them: [output channels / kTile rounded up, input channels, kernel,
// kTile], with zeros for output channels that there are not.
constexpr int64_t kTile = 4;
// `weights` is [out_channels, in_channels, kernel].
std::vector<float> PackForward(const Geometry& g, const float* weights);
// The same for the gradient of the input: the input channels are the outputs.
std::vector<float> PackInputGradient(const Geometry& g, const float* weights);

// The arrays of Convolve. For the gradient of the input, the channels and samples of Geometry
// change places.
struct Convolution {
  const Tap* taps = nullptr;       // Taps::taps
  const int32_t* begin = nullptr;  // Taps::begin
  const float* packed = nullptr;
  const float* bias = nullptr;  // of each output channel; null for zero
  const float* x = nullptr;     // [in_channels, in_samples, batch]
  float* y = nullptr;           // [out_channels, output rows, batch]
  int64_t in_channels = 0;
  int64_t in_samples = 0;
  int64_t out_channels = 0;
  int64_t out_samples = 0;
  int64_t kernel = 0;
  int64_t batch = 0;
};

// One channel of a batch norm followed by a ReLU, over `count` numbers.
struct ChannelNorm {
  const float* x = nullptr;
  int64_t count = 0;
  float mean = 0;
  float scale = 1;  // weight / sqrt(variance + epsilon)
  float shift = 0;  // y = max(0, (x - mean) * scale + shift)
};

// Cross-entropy of rows of logits. Here and in Divergence a row's exponents are of distances from
// its greatest logit: finite for finite logits; a logit that is none makes its row's numbers none.
struct CrossEntropy {
  const float* logits = nullptr;  // [rows, classes]
  int64_t classes = 0;
  const int64_t* at = nullptr;     // [rows], the class of a row; or
  const float* targets = nullptr;  // [rows, classes], unless null
  float* p = nullptr;              // out, [rows, classes]: softmax(logits)
  float* loss = nullptr;           // out, [rows]: -sum of targets * log p
  float* mass = nullptr;           // out, [rows]: sum of the targets
};

// KL(p_t || p_s) of rows of logits, p = softmax(logits * per_temperature).
struct Divergence {
  const float* student = nullptr;  // [rows, classes]
  const float* teacher = nullptr;  // [rows, classes]
  int64_t classes = 0;
  float per_temperature = 1;
  // [rows], a class of each row that its distributions leave out, with p = 0 there; null: none.
  const int64_t* without = nullptr;
  float* p_s = nullptr;  // out, [rows, classes]
  float* p_t = nullptr;
  float* kl = nullptr;  // out, [rows]
  // Out, [rows], unless `without` is null: the logit left out, times per_temperature, less the
  // logsumexp of the others.
  float* u_s = nullptr;
  float* u_t = nullptr;
};

// Gradients of the two: dz = x * by_x + y * by_y, and by_at more at the class `at`.
struct RowGradient {
  const float* x = nullptr;     // [rows, classes]
  const float* y = nullptr;     // [rows, classes]; null for zero
  const float* by_x = nullptr;  // [rows]
  const float* by_y = nullptr;  // [rows], unless y is null
  const int64_t* at = nullptr;  // [rows]; null: no such class
  const float* by_at = nullptr;
  float* dz = nullptr;
  int64_t classes = 0;
};

// One set of kernels for each instruction set.
struct Kernels {
  const char* name;

  // Output rows [row_begin, row_end) of all output channels.
  void (*convolve)(const Convolution& c, int64_t row_begin, int64_t row_end);
  // dw[o, i, k] for tiles [tile_begin, tile_end) of kTile output channels: the sum over rows and
  // batch of dy[o, l] * x[i, l * stride + k - left]. `zeros`: a row of zeros.
  void (*weight_gradient)(const Geometry& g, const float* x, const float* dy, const float* zeros,
                          float* dw, int64_t tile_begin, int64_t tile_end);
  // Sum of `count` numbers, and of the squares of their distances from `center`.
  float (*sum)(const float* x, int64_t count);
  float (*sum_of_squares)(const float* x, int64_t count, float center);
  void (*norm_relu)(const ChannelNorm& n, float* y);
  // Sums of g and of g * (x - mean), where g is dy where the ReLU let pass, else 0.
  void (*norm_relu_sums)(const ChannelNorm& n, const float* dy, float* sum_g, float* sum_gx);
  // dx = g * by_g + (x - mean) * by_x + constant.
  void (*norm_relu_gradient)(const ChannelNorm& n, const float* dy, float by_g, float by_x,
                             float constant, float* dx);
  // y[c + offset] += the greatest of the `kernel` rows (kernel == stride) of x[c], for input
  // channels [begin, end); the offset is half of the channels that are added. `zeros`: a row of
  // zeros.
  void (*add_pooled)(const Geometry& g, const float* x, const float* zeros, float* y, int64_t begin,
                     int64_t end);
  // Its gradient: dx[c] += dy[c + offset] where x[c] has the first greatest.
  void (*add_pooled_gradient)(const Geometry& g, const float* x, const float* zeros,
                              const float* dy, float* dx, int64_t begin, int64_t end);
  // Rows [begin, end).
  void (*cross_entropy)(const CrossEntropy& c, int64_t begin, int64_t end);
  void (*divergence)(const Divergence& d, int64_t begin, int64_t end);
  void (*row_gradient)(const RowGradient& g, int64_t begin, int64_t end);
};

// The fastest set that this processor has.
const Kernels& BestKernels();
// All sets that this processor has, for tests.
std::vector<const Kernels*> AllKernels();

}  // namespace retort::kernels

#endif  // RETORT_WORKER_KERNELS_KERNELS_H_
