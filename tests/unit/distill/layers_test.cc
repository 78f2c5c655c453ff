// The kernels' operations beside LibTorch's own: values, and every gradient.
#include "worker/distill/layers.h"

#include <gtest/gtest.h>

#include <string>

#include "worker/kernels/kernels.h"

namespace retort::distill {
namespace {

using torch::Tensor;

struct Case {
  int64_t batch, in, out, samples, kernel, stride;
};

// Batches with and without rests of vectors, channels with and without rests of tiles, all
// paddings.
const Case kCases[] = {{16, 1, 4, 200, 5, 1},  {128, 4, 4, 50, 5, 2}, {37, 3, 7, 31, 5, 1},
                       {100, 5, 10, 26, 7, 3}, {20, 8, 8, 13, 3, 2},  {33, 2, 2, 9, 1, 1},
                       {64, 6, 12, 25, 9, 4},  {17, 1, 1, 1, 5, 2}};

std::string Describe(const Case& c) {
  return "batch " + std::to_string(c.batch) + ", " + std::to_string(c.in) + " to " +
         std::to_string(c.out) + " channels, " + std::to_string(c.samples) + " samples, kernel " +
         std::to_string(c.kernel) + ", stride " + std::to_string(c.stride);
}

Tensor Leaf(const Tensor& like) { return like.detach().clone().set_requires_grad(true); }

void ExpectClose(const Tensor& ours, const Tensor& theirs, const std::string& what) {
  ASSERT_EQ(ours.sizes(), theirs.sizes()) << what;
  const double scale = theirs.abs().max().item<double>() + 1e-6;
  EXPECT_LE((ours - theirs).abs().max().item<double>(), 2e-5 * scale) << what;
}

Tensor ToBCL(const Tensor& x_CLB) { return x_CLB.permute({2, 0, 1}); }
Tensor ToCLB(const Tensor& x_BCL) { return x_BCL.permute({1, 2, 0}); }

class LayersTest : public testing::Test {
 protected:
  void SetUp() override { torch::manual_seed(1); }
};

TEST_F(LayersTest, ConvolutionsAndTheirGradientsAreTorchs) {
  for (const Case& c : kCases) {
    const Tensor x = torch::randn({c.batch, c.in, c.samples});
    const Tensor w = torch::randn({c.out, c.in, c.kernel}), b = torch::randn({c.out});
    const Tensor x1 = Leaf(x), w1 = Leaf(w), b1 = Leaf(b), x2 = Leaf(x), w2 = Leaf(w), b2 = Leaf(b);
    const Tensor ours = ToBCL(BatchInnerLayers().Conv(ToCLB(x1), w1, b1, c.stride));
    const Tensor theirs = TorchLayers().Conv(x2, w2, b2, c.stride);
    ExpectClose(ours, theirs, "values, " + Describe(c));
    const Tensor weights = torch::randn_like(theirs);
    (ours * weights).sum().backward();
    (theirs * weights).sum().backward();
    ExpectClose(x1.grad(), x2.grad(), "dx, " + Describe(c));
    ExpectClose(w1.grad(), w2.grad(), "dw, " + Describe(c));
    ExpectClose(b1.grad(), b2.grad(), "db, " + Describe(c));
  }
}

TEST_F(LayersTest, NormsAndTheirGradientsAreTorchs) {
  for (const Case& c : kCases) {
    const Tensor x = 3 * torch::randn({c.batch, c.in, c.samples}) + 2;
    const Tensor w = torch::randn({c.in}), b = torch::randn({c.in});
    const auto tensors = [&] {
      return NormTensors{Leaf(w), Leaf(b), torch::full({c.in}, 0.5), torch::full({c.in}, 2.0)};
    };
    const NormTensors n1 = tensors(), n2 = tensors();
    const Tensor x1 = Leaf(x), x2 = Leaf(x);
    const Tensor ours = ToBCL(BatchInnerLayers().NormRelu(ToCLB(x1), n1, true));
    const Tensor theirs = TorchLayers().NormRelu(x2, n2, true);
    ExpectClose(ours, theirs, "values, " + Describe(c));
    ExpectClose(n1.mean_C, n2.mean_C, "running mean, " + Describe(c));
    ExpectClose(n1.var_C, n2.var_C, "running variance, " + Describe(c));
    const Tensor weights = torch::randn_like(theirs);
    (ours * weights).sum().backward();
    (theirs * weights).sum().backward();
    ExpectClose(x1.grad(), x2.grad(), "dx, " + Describe(c));
    ExpectClose(n1.weight_C.grad(), n2.weight_C.grad(), "dweight, " + Describe(c));
    ExpectClose(n1.bias_C.grad(), n2.bias_C.grad(), "dbias, " + Describe(c));

    torch::NoGradGuard no_grad;
    ExpectClose(ToBCL(BatchInnerLayers().NormRelu(ToCLB(x), n1, false)),
                TorchLayers().NormRelu(x.clone(), n2, false), "evaluation, " + Describe(c));
  }
}

TEST_F(LayersTest, ShortcutsAndTheirGradientsAreTorchs) {
  for (const Case& c : kCases) {
    const ResNetBlock shape = {
        static_cast<int>(c.in),      static_cast<int>(c.out),
        static_cast<int>(c.samples), static_cast<int>((c.samples + c.stride - 1) / c.stride),
        static_cast<int>(c.stride),  false};
    const Tensor x = torch::randn({c.batch, c.in, c.samples}).clamp_min(-0.5);  // with ties
    const Tensor h = torch::randn({c.batch, c.out, shape.out_samples});
    const Tensor x1 = Leaf(x), h1 = Leaf(h), x2 = Leaf(x), h2 = Leaf(h);
    const Tensor ours =
        ToBCL(BatchInnerLayers().AddShortcut(ToCLB(h1).contiguous().clone(), ToCLB(x1), shape));
    const Tensor theirs = TorchLayers().AddShortcut(h2, x2, shape);
    ExpectClose(ours, theirs, "values, " + Describe(c));
    const Tensor weights = torch::randn_like(theirs);
    (ours * weights).sum().backward();
    (theirs * weights).sum().backward();
    ExpectClose(x1.grad(), x2.grad(), "dx, " + Describe(c));
    ExpectClose(h1.grad(), h2.grad(), "dh, " + Describe(c));
  }
}

TEST_F(LayersTest, ANumberThatIsNonePassesThrough) {
  const NormTensors n{torch::ones({1}), torch::zeros({1}), torch::zeros({1}), torch::ones({1})};
  const Tensor x = torch::full({1, 4, 16}, std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(BatchInnerLayers().NormRelu(x, n, true).isnan().all().item<bool>());
}

TEST_F(LayersTest, TheBitsDoNotDependOnTheNumberOfThreads) {
  const Tensor x = torch::randn({6, 40, 50}), w = torch::randn({9, 6, 5}), b = torch::randn({9});
  const auto gradients = [&] {
    const Tensor x1 = Leaf(x), w1 = Leaf(w);
    BatchInnerLayers().Conv(x1, w1, b, 1).square().sum().backward();
    return torch::cat({x1.grad().flatten(), w1.grad().flatten()});
  };
  const int before = torch::get_num_threads();
  torch::set_num_threads(1);
  const Tensor one = gradients();
  torch::set_num_threads(2);
  EXPECT_TRUE(one.equal(gradients()));
  torch::set_num_threads(before);
}

TEST_F(LayersTest, OneWindowAndOtherTypesAreLeftToTorch) {
  EXPECT_EQ(&LayersFor(torch::zeros({128, 1, 200}), true), &BatchInnerLayers());
  EXPECT_EQ(&LayersFor(torch::zeros({1, 1, 200}), true), &TorchLayers());
  EXPECT_EQ(&LayersFor(torch::zeros({128, 1, 200}, torch::kDouble), true), &TorchLayers());
  EXPECT_EQ(&LayersFor(torch::zeros({128, 1, 200}), false), &TorchLayers())
      << "gradients of an evaluation";
}

// Each instruction set, since a machine picks only its best.
TEST(KernelsTest, AllInstructionSetsAgree) {
  const Case c = {45, 5, 6, 30, 5, 2};
  const SamePadding padding = SamePaddingOf(c.samples, c.kernel, c.stride);
  const kernels::Geometry g = {c.in,     c.out,    c.samples,    padding.out_samples,
                               c.kernel, c.stride, padding.left, c.batch};
  const auto taps = kernels::Taps::Forward(g);
  const Tensor x = torch::randn({c.in, c.samples, c.batch}),
               w = torch::randn({c.out, c.in, c.kernel}),
               dy = torch::randn({c.out, g.out_samples, c.batch}), zeros = torch::zeros({c.batch});
  const auto packed = kernels::PackForward(g, w.data_ptr<float>());
  Tensor first_y, first_dw, first_norm;
  for (const kernels::Kernels* kernels : kernels::AllKernels()) {
    const Tensor y = torch::empty_like(dy), dw = torch::empty_like(w), norm = torch::empty_like(x);
    kernels->convolve(
        {taps.taps.data(), taps.begin.data(), packed.data(), nullptr, x.data_ptr<float>(),
         y.data_ptr<float>(), c.in, c.samples, c.out, g.out_samples, c.kernel, c.batch},
        0, g.out_samples);
    kernels->weight_gradient(g, x.data_ptr<float>(), dy.data_ptr<float>(), zeros.data_ptr<float>(),
                             dw.data_ptr<float>(), 0,
                             (c.out + kernels::kTile - 1) / kernels::kTile);
    kernels->norm_relu({x.data_ptr<float>(), x.numel(), 0.1f, 1.5f, -0.2f}, norm.data_ptr<float>());
    if (!first_y.defined()) {
      first_y = y, first_dw = dw, first_norm = norm;
    }
    ExpectClose(y, first_y, kernels->name);
    ExpectClose(dw, first_dw, kernels->name);
    ExpectClose(norm, first_norm, kernels->name);
    EXPECT_NEAR(kernels->sum(x.data_ptr<float>(), x.numel()), x.sum().item<float>(), 1e-2);
    EXPECT_NEAR(kernels->sum_of_squares(x.data_ptr<float>(), x.numel(), 0.25f),
                (x - 0.25).square().sum().item<float>(), 1e-1);
  }
}

}  // namespace
}  // namespace retort::distill
